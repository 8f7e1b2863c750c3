"""One file, every key an environment variable, unknown keys an error."""

from pathlib import Path

import pytest

from shared import config
from shared.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "safelight.yaml"
    path.write_text(text)
    return path


def test_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    settings = config.load(write(tmp_path, ""), {})
    assert settings.bus == "local://"
    assert settings.data_dir == tmp_path / "safelight-data"
    assert settings.store == f"sqlite:///{tmp_path}/safelight-data/safelight.db"
    assert settings.sqlite_path == tmp_path / "safelight-data" / "safelight.db"
    assert (settings.proxy.listen, settings.proxy.max_object) == ("127.0.0.1:8080", 128 << 20)
    assert (settings.console.listen, settings.metrics.listen) == ("127.0.0.1:8088", "127.0.0.1:9464")
    assert settings.key_file == tmp_path / "safelight-data" / "secret.key"
    assert settings.alert_sinks == ("jsonl",)
    assert settings.tenant == ""


@pytest.mark.parametrize("name", ["acme", "a", "0-9", "x" * 32])
def test_a_tenant_has_a_plain_name(tmp_path: Path, name: str) -> None:
    assert config.load(write(tmp_path, f"tenant: '{name}'\n"), {}).tenant == name


@pytest.mark.parametrize("name", ["Acme", "x" * 33, "a/b", "a.b", "a b", "acme\n", "a_b", "é"])
def test_a_tenant_with_another_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="tenant"):
        config.load(None, {"SAFELIGHT_TENANT": name})


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "bus: kafka://a:1\nproxy: {listen: '127.0.0.1:1', instance: 3}\n")
    environ = {
        "SAFELIGHT_PROXY__LISTEN": "127.0.0.1:2",
        "SAFELIGHT_PROXY__MAX_OBJECT": "64 MiB",
        "SAFELIGHT_PROXY__RESOLVE": '{"a:443": "127.0.0.1:9"}',
        "SAFELIGHT_KAFKA__SECURITY_PROTOCOL": "SSL",
        "SAFELIGHT_STORE": "redis://h:6379/0",
        "SAFELIGHT_CORPUS": "not ours",
        "HOME": "/",
    }
    settings = config.load(path, environ)
    assert (settings.proxy.listen, settings.proxy.instance, settings.proxy.max_object) == ("127.0.0.1:2", 3, 64 << 20)
    assert settings.proxy.resolve == {"a:443": "127.0.0.1:9"}
    assert settings.kafka == {"security.protocol": "SSL"}
    assert settings.sqlite_path is None
    assert settings.alert_sinks == ("jsonl", "kafka")


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path, "data_dir: here\n")
    assert config.load(None, {"SAFELIGHT_CONFIG": str(path)}).data_dir == tmp_path / "here"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("prxy: {}", "unknown key prxy; the nearest known one is proxy$"),
        ("proxi: {listen: x}", "unknown key proxi; the nearest known one is proxy$"),
        ("proxy: {listne: x}", r"unknown key proxy\.listne; the nearest known one is proxy\.listen"),
        ("proxy: {max_object: lots}", "proxy.max_object"),
        ("bus: amqp://x", "bus"),
        ("proxy: {listen: nowhere}", "proxy.listen"),
        ("- a\n- b", "keys and values"),
        ("a: [", "not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        config.load(write(tmp_path, text), {})


def test_an_unknown_key_in_the_environment_is_named_too() -> None:
    with pytest.raises(ConfigError, match=r"nearest known one is proxy\.listen"):
        config.load(None, {"SAFELIGHT_PROXY__LISTENS": "x"})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        config.load(tmp_path / "none.yaml", {})


def test_secrets_are_masked(tmp_path: Path) -> None:
    text = "store: redis://user:hunter2@h:6379\nkafka: {sasl.password: hunter2, client.id: x}\n"
    shown = config.masked(config.load(write(tmp_path, text), {}))
    assert "hunter2" not in str(shown)
    assert shown["kafka"] == {"sasl.password": "***", "client.id": "x"}
    assert shown["store"] == "redis://user:***@h:6379"


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("redis://:hun@ter2@h:6379/0", "redis://:***@h:6379/0"),
        ("rediss://h:6379/0?password=hunter2&db=1", "rediss://h:6379/0?password=***&db=1"),
        ("redis://h:6379/0", "redis://h:6379/0"),
    ],
)
def test_a_password_is_masked_wherever_the_address_holds_it(store: str, expected: str) -> None:
    assert config.masked(config.load(None, {"SAFELIGHT_STORE": store}))["store"] == expected
