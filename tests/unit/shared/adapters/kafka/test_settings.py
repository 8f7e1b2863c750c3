"""Java's names become aiokafka's arguments; what is not known is an error that helps."""

from __future__ import annotations

import inspect
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from shared.adapters.kafka import settings as kafka_settings
from shared.adapters.kafka.settings import client_settings, consumer_settings, group_settings, producer_settings
from shared.config import Settings
from shared.errors import ConfigError


def settings(**kafka: str) -> Settings:
    return Settings(bus="kafka://a:9092,b:9092", kafka={key.replace("_", "."): value for key, value in kafka.items()})


def test_every_argument_exists_in_aiokafka() -> None:
    given = {
        "client.id": "x",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "u",
        "sasl.password": "p",
        "security.protocol": "SSL",
        "acks": "all",
        "batch.size": "1",
        "compression.type": "none",
        "enable.idempotence": "true",
        "check.crcs": "true",
        "group.id": "g",
        **{
            key: "1"
            for key in kafka_settings.KNOWN
            if key.endswith((".ms", ".bytes", ".size")) and not key.startswith("ssl")
        },
    }
    full = Settings(bus="kafka://a:9092", kafka=given)
    for make, options in (
        (AIOKafkaAdminClient, client_settings(full)),
        (AIOKafkaProducer, producer_settings(full)),
        (AIOKafkaConsumer, group_settings(full)),
    ):
        accepted = inspect.signature(make.__init__).parameters
        assert set(options) <= set(accepted)
    assert producer_settings(full)["acks"] == "all"
    assert producer_settings(full)["enable_idempotence"] is True


def test_brokers_come_from_the_bus_and_the_defaults_are_for_speed() -> None:
    options = producer_settings(settings())
    assert options["bootstrap_servers"] == ["a:9092", "b:9092"]
    assert (options["acks"], options["linger_ms"], options["enable_idempotence"]) == (1, 0, False)
    assert consumer_settings(settings())["group_id"] is None
    group = group_settings(settings())
    assert group["enable_auto_commit"] is False
    assert (group["auto_offset_reset"], group["session_timeout_ms"]) == ("earliest", 6000)


def test_a_tenant_s_workers_are_a_group_of_their_own_unless_it_is_named() -> None:
    acme = Settings(bus="kafka://a:9092", tenant="acme")
    assert group_settings(acme)["group_id"] == "safelight.acme.workers"
    assert group_settings(settings())["group_id"] == "safelight-workers"
    named = Settings(bus="kafka://a:9092", tenant="acme", kafka={"group.id": "mine"})
    assert group_settings(named)["group_id"] == "mine"


def test_partitions_are_never_given_out_by_the_sticky_assignor() -> None:
    # With several consumers in a process it froze a group for 45 minutes (aiokafka#1175, #1176).
    assert "partition_assignment_strategy" not in group_settings(settings())
    default = inspect.signature(AIOKafkaConsumer.__init__).parameters["partition_assignment_strategy"].default
    assert default == (RoundRobinPartitionAssignor,)


def test_a_group_members_requests_outlast_a_session() -> None:
    assert group_settings(settings(request_timeout_ms="500"))["request_timeout_ms"] > 6000
    assert producer_settings(settings(request_timeout_ms="500"))["request_timeout_ms"] == 500


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("securty.protocol", "security.protocol"), ("linger", "linger.ms"), ("sasl.user", "sasl.username")],
)
def test_an_unknown_key_names_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"kafka.{key}; the nearest known one is kafka.{nearest}"):
        client_settings(Settings(bus="kafka://a:9092", kafka={key: "1"}))


@pytest.mark.parametrize(
    "given",
    [
        {"linger.ms": "soon"},
        {"acks": "many"},
        {"enable.idempotence": "maybe"},
    ],
)
def test_a_value_that_does_not_fit_names_its_key(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"kafka.{next(iter(given))}"):
        producer_settings(Settings(bus="kafka://a:9092", kafka=given))


def test_a_java_login_line_is_understood() -> None:
    line = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p\\"w";'
    options = client_settings(settings(security_protocol="SASL_PLAINTEXT", sasl_jaas_config=line))
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("u", 'p"w')
    with pytest.raises(ConfigError, match="username"):
        client_settings(settings(sasl_jaas_config="org.example.Module required;"))


def test_tls_makes_a_context_that_verifies() -> None:
    context: Any = client_settings(settings(security_protocol="SSL"))["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    lenient = client_settings(settings(security_protocol="SSL", ssl_endpoint_identification_algorithm=""))
    assert not lenient["ssl_context"].check_hostname
    assert "ssl_context" not in client_settings(settings())


def test_certificates_that_cannot_be_read_are_configuration_errors(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for given in (
        {"ssl.ca.location": str(tmp_path / "ca.pem")},
        {"ssl.truststore.location": str(tmp_path / "missing.pem")},
        {"ssl.truststore.type": "JKS"},
        {"ssl.certificate.location": str(tmp_path / "ca.pem")},
    ):
        with pytest.raises(ConfigError, match=r"kafka\.ssl"):
            client_settings(Settings(bus="kafka://a:9092", kafka={"security.protocol": "SSL", **given}))
