"""From the configuration to aiokafka's arguments: Java's names outside, aiokafka's inside, unknown names an error."""

from __future__ import annotations

import difflib
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.config import Settings
from shared.errors import ConfigError

REQUEST_TIMEOUT_MS: Final = 2000
"""A broker that has not answered by then is down; also how long aiokafka keeps a message it cannot deliver."""
GROUP_REQUEST_TIMEOUT_MS: Final = 15_000
"""For group members: a broker holds a join until the slowest member's session has ended, and aiokafka counts that."""
SESSION_TIMEOUT_MS: Final = 6000
"""Brokers' least, ``group.min.session.timeout.ms``, unless changed: a lost worker's requests move on after this.
With 2000 they did after 2.2 s, but a worker that was held up for 3 s was taken for lost: all changed hands twice."""
HEARTBEAT_MS: Final = 500  # also how late a worker hears that partitions are given out anew
MAX_POLL_INTERVAL_MS: Final = 30_000  # a stuck worker leaves the group; small, or it would freeze a rebalance so long
FETCH_MAX_WAIT_MS: Final = 500
MAX_REQUEST_BYTES: Final = 1 << 20
MAX_BATCH_BYTES: Final = 256 << 10
"""What waits for the request before it goes together; with aiokafka's 16 KB every photograph would go alone."""

Parser = Callable[[str], Any]


def group_of(tenant: str) -> str:
    """Return the workers' group; a tenant's begins as its topics do, so that one prefix in Kafka's ACLs is for all."""
    return f"safelight.{tenant}.workers" if tenant else "safelight-workers"


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def _acks(text: str) -> int | str:
    return text if text == "all" else int(text)


def _compression(text: str) -> str | None:
    return None if text == "none" else text


_COMMON: Final[Mapping[str, tuple[str, Parser]]] = {
    "client.id": ("client_id", str),
    "connections.max.idle.ms": ("connections_max_idle_ms", int),
    "metadata.max.age.ms": ("metadata_max_age_ms", int),
    "request.timeout.ms": ("request_timeout_ms", int),
    "retry.backoff.ms": ("retry_backoff_ms", int),
    "sasl.mechanism": ("sasl_mechanism", str),
    "sasl.password": ("sasl_plain_password", str),
    "sasl.username": ("sasl_plain_username", str),
    "security.protocol": ("security_protocol", str),
}
_PRODUCER: Final[Mapping[str, tuple[str, Parser]]] = {
    "acks": ("acks", _acks),
    "batch.size": ("max_batch_size", int),
    "compression.type": ("compression_type", _compression),
    "enable.idempotence": ("enable_idempotence", _flag),
    "linger.ms": ("linger_ms", int),
    "max.request.size": ("max_request_size", int),
}
_CONSUMER: Final[Mapping[str, tuple[str, Parser]]] = {
    "check.crcs": ("check_crcs", _flag),
    "fetch.max.bytes": ("fetch_max_bytes", int),
    "fetch.max.wait.ms": ("fetch_max_wait_ms", int),
    "fetch.min.bytes": ("fetch_min_bytes", int),
    "max.partition.fetch.bytes": ("max_partition_fetch_bytes", int),
}
_GROUP: Final[Mapping[str, tuple[str, Parser]]] = {
    "group.id": ("group_id", str),
    "heartbeat.interval.ms": ("heartbeat_interval_ms", int),
    "max.poll.interval.ms": ("max_poll_interval_ms", int),
    "session.timeout.ms": ("session_timeout_ms", int),
}
_TLS: Final = (
    "ssl.ca.location",  # PEM files, as librdkafka names them …
    "ssl.certificate.location",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.keystore.location",  # … and as Java does, where the store's type is PEM
    "ssl.keystore.type",
    "ssl.truststore.location",
    "ssl.truststore.type",
)
_JAAS: Final = "sasl.jaas.config"
KNOWN: Final = frozenset({*_COMMON, *_PRODUCER, *_CONSUMER, *_GROUP, *_TLS, _JAAS})
_JAAS_FIELD: Final = re.compile(r'(username|password)\s*=\s*"((?:[^"\\]|\\.)*)"')


def client_settings(settings: Settings) -> dict[str, Any]:
    """Return what every aiokafka client takes: addresses, timeouts, security.  Raises ConfigError."""
    given = settings.kafka
    for key in given:
        if key not in KNOWN:
            nearest = difflib.get_close_matches(key, sorted(KNOWN), n=1, cutoff=0.0)[0]
            raise ConfigError(f"unknown key kafka.{key}; the nearest known one is kafka.{nearest}")
    options = {
        "bootstrap_servers": settings.bus.removeprefix("kafka://").split(","),
        "client_id": "safelight",
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        **_jaas(given.get(_JAAS, "")),
        **_translate(given, _COMMON),
    }
    if options.get("security_protocol", "PLAINTEXT") in ("SSL", "SASL_SSL"):
        options["ssl_context"] = _tls(given)
    return options


def producer_settings(settings: Settings) -> dict[str, Any]:
    """Return a producer's arguments: sent at once, acknowledged by the leader; nobody waits for a late request."""
    defaults = {
        "acks": 1,
        "enable_idempotence": False,
        "linger_ms": 0,
        "max_batch_size": MAX_BATCH_BYTES,
        "max_request_size": MAX_REQUEST_BYTES,
    }
    return {**client_settings(settings), **defaults, **_translate(settings.kafka, _PRODUCER)}


def consumer_settings(settings: Settings) -> dict[str, Any]:
    """Return an asker's consumer's arguments: no group, only what is new.

    Checksums are left out: what is read is authenticated (AES-GCM) by who uses it.
    """
    defaults = {
        "auto_offset_reset": "latest",
        "check_crcs": False,
        "enable_auto_commit": False,
        "fetch_max_wait_ms": FETCH_MAX_WAIT_MS,
        "group_id": None,
    }
    return {**client_settings(settings), **defaults, **_translate(settings.kafka, _CONSUMER)}


def group_settings(settings: Settings) -> dict[str, Any]:
    """Return a worker's consumer's arguments: whatever is still kept, committed by hand."""
    defaults = {
        "auto_offset_reset": "earliest",
        "group_id": group_of(settings.tenant),
        "heartbeat_interval_ms": HEARTBEAT_MS,
        "max_poll_interval_ms": MAX_POLL_INTERVAL_MS,
        "session_timeout_ms": SESSION_TIMEOUT_MS,
    }
    options = {**consumer_settings(settings), **defaults, **_translate(settings.kafka, _GROUP)}
    options["request_timeout_ms"] = max(options["request_timeout_ms"], GROUP_REQUEST_TIMEOUT_MS)
    return options


def _translate(given: Mapping[str, str], table: Mapping[str, tuple[str, Parser]]) -> dict[str, Any]:
    options = {}
    for key, (name, parse) in table.items():
        if key in given:
            try:
                options[name] = parse(given[key])
            except ValueError as error:
                raise ConfigError(f"kafka.{key}: {given[key]!r} does not fit: {error}") from error
    return options


def _jaas(text: str) -> dict[str, str]:
    """Return the user of Java's one-line login, ``…LoginModule required username="…" password="…";``."""
    if not text:
        return {}
    fields = {name: re.sub(r"\\(.)", r"\1", value) for name, value in _JAAS_FIELD.findall(text)}
    if set(fields) != {"username", "password"}:
        raise ConfigError(f'kafka.{_JAAS} must hold username="…" and password="…"')
    return {"sasl_plain_username": fields["username"], "sasl_plain_password": fields["password"]}


def _tls(given: Mapping[str, str]) -> ssl.SSLContext:
    for kind in ("ssl.keystore.type", "ssl.truststore.type"):
        if given.get(kind, "PEM") != "PEM":
            raise ConfigError(f"kafka.{kind}: only PEM files can be read; convert the store")
    keystore = given.get("ssl.keystore.location")
    certificate = given.get("ssl.certificate.location", keystore)
    try:
        context = ssl.create_default_context(cafile=given.get("ssl.ca.location", given.get("ssl.truststore.location")))
        if certificate is not None:
            # An empty password, for without one OpenSSL would ask for it on the terminal.
            context.load_cert_chain(
                certificate, given.get("ssl.key.location", keystore), given.get("ssl.key.password", "")
            )
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"kafka.ssl.*: the certificates cannot be read: {error}") from error
    # Java's way to say that the certificate's name does not matter: an empty algorithm.
    context.check_hostname = given.get("ssl.endpoint.identification.algorithm", "https") != ""
    return context
