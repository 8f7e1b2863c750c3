"""Settings: one YAML file, every key also an environment variable, unknown keys an error.

``load`` is the only way in; what it returns is frozen and its paths are absolute.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from shared.errors import ConfigError

ENV_PREFIX: Final = "SAFELIGHT_"
ENV_CONFIG: Final = "SAFELIGHT_CONFIG"
_SIZE: Final = re.compile(r"\s*(\d+)\s*(B|KiB|MiB|GiB)?\s*")
_UNITS: Final = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SECRET_KEY: Final = re.compile(r"password|secret$|sasl\.jaas|token", re.IGNORECASE)


def _parse_size(value: object) -> object:
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        return int(match[1]) * _UNITS[match[2]]
    return value


def _parse_json(value: object) -> object:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"must be a JSON object: {error}") from error
    return value


def _parse_list(value: object) -> object:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _check_network(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


Names = Annotated[list[str], BeforeValidator(_parse_list)]
Networks = Annotated[list[Annotated[str, AfterValidator(_check_network)]], BeforeValidator(_parse_list)]
Size = Annotated[int, BeforeValidator(_parse_size), Field(ge=0)]
Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:]+):\d{1,5}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProxySettings(_Section):
    """The enforcement point."""

    listen: Address = Field(default="127.0.0.1:8080", description="address that endpoints use as their proxy")
    max_object: Size = Field(default=128 << 20, description="largest body held for inspection; more is streamed")
    decode_budget: int = Field(
        default=6000,
        ge=0,
        le=10_000_000,
        description="new images per user (else IP) and minute, counted per 256 KiB or 4 megapixels (0: no limit)",
    )
    instance: int = Field(default=0, ge=0, lt=1024, description="reply partition, held by a lease; one proxy each")
    processes: int = Field(
        default=1, ge=1, le=64, description="processes on one port, of instances numbered from `instance` on"
    )
    shared_port: bool = Field(default=False, description="listen beside other proxies of this machine on one port")
    upstream_ca: Path | None = Field(default=None, description="PEM file trusted for origins (default: the system's)")
    trickle_after_ms: int = Field(
        default=0,
        ge=0,
        le=300_000,
        description="a download that waits longer for its verdict gets a byte a second meanwhile (0: never)",
    )
    resolve: Annotated[dict[str, str], BeforeValidator(_parse_json)] = Field(
        default_factory=dict, description='connect elsewhere: {"host:port": "host:port"}'
    )
    apps_dir: Path | None = Field(
        default=None, description="folder with applications (TOML) of your own; one of the same name replaces ours"
    )
    upload_spool: Size = Field(default=1 << 30, description="bytes of parts of uploads that one proxy keeps")
    upload_hours: float = Field(default=24, gt=0, le=720, description="how long the parts of an upload are kept")
    debug_headers: bool = Field(default=False, description="mark inspected and passed responses too")
    trusted_proxies: Networks = Field(
        default_factory=list, description="networks of load balancers whose word on the client is believed"
    )
    proxy_protocol: bool = Field(
        default=False, description="connections from trusted_proxies begin with a PROXY header (version 1 or 2)"
    )
    company_accounts: Names = Field(
        default_factory=list, description="the company's own tenants, domains and workspaces (* allowed)"
    )


class IdentitySettings(_Section):
    """Who sends."""

    htpasswd: Path | None = Field(
        default=None,
        description="users and bcrypt, MD5 ($apr1$) or SHA-1 passwords; where set, the proxy asks for them (Basic)",
    )
    realm: str = Field(
        default="Safelight", pattern=r"^[ !#-\[\]-~]+$", description="named when a password is asked for"
    )
    directory: Path | None = Field(
        default=None, description="TOML or JSON file: networks to user, groups and device; groups to their members"
    )
    device_header: str = Field(
        default="", pattern=r"^[A-Za-z0-9-]*$", description="header in which trusted_proxies name the client's device"
    )


class PassThroughSettings(_Section):
    """TLS that is not decrypted."""

    do_not_decrypt: Names = Field(
        default=["banking", "health", "push", "updates"], description="categories of the list that ships"
    )
    do_not_decrypt_file: Path | None = Field(default=None, description="TOML file with categories of your own")
    pinned_failures: int = Field(
        default=3, ge=0, le=100, description="failed handshakes that let a client's TLS with a host through (0: never)"
    )
    pinned_window_s: int = Field(default=300, ge=1, le=86_400, description="seconds within which they must happen")
    pinned_minutes: int = Field(default=60, ge=1, le=1440, description="for how long it is let through then")
    never: Names = Field(
        default=["app:*"], description="hosts that are always decrypted; app:NAME is one of the catalogue, app:* all"
    )


class EndpointSettings(_Section):
    """What endpoints are told: PAC file and profiles."""

    proxies: Annotated[list[Address], BeforeValidator(_parse_list)] = Field(
        default_factory=list, description="addresses that endpoints use, in this order (default: proxy.listen)"
    )
    fail_open: bool = Field(default=False, description="end the PAC file's list of proxies with DIRECT")
    direct: Names = Field(default_factory=list, description="hosts that endpoints reach without the proxy (* allowed)")


class ConsoleSettings(_Section):
    """The HTTP API."""

    listen: Address = Field(default="127.0.0.1:8088", description="address of the API and console")


class MetricsSettings(_Section):
    """Metrics, health and readiness."""

    listen: Address = Field(default="127.0.0.1:9464", description="address of /metrics, /healthz and /readyz")


class SecretsSettings(_Section):
    """Keys."""

    key_file: Path | None = Field(
        default=None, description="signs and encrypts; the same on every host (default: made in data_dir)"
    )


class WorkerSettings(_Section):
    """The inspection."""

    encoder: str = Field(default="", description="encoder version (default: the one shipped)")
    decoders: int = Field(default=2, ge=1, le=256, description="sandboxed decode processes")
    decode_timeout_ms: int = Field(default=5000, ge=50, le=300_000, description="a decode child is killed after this")
    max_pixels: int = Field(default=100_000_000, ge=1, description="images with more pixels are not decoded")
    max_unpacked: int = Field(
        default=256 << 20, ge=1 << 20, description="bytes that come out of an archive or document and all inside it"
    )
    max_frames: int = Field(default=16, ge=1, le=64, description="frames or pages that are judged of one file at most")
    batch_limit: int = Field(default=8, ge=1, le=64, description="images per encoder run at most")
    threads: int = Field(default=1, ge=1, le=256, description="onnxruntime intra-op threads")
    provider: Literal["cpu", "cuda"] = Field(
        default="cpu", description="execution provider; falling back fails readiness"
    )
    gpu_memory_mb: int = Field(default=2048, ge=64, description="MiB that onnxruntime may take of a GPU")
    hard_negatives: bool = Field(
        default=False,
        description="keep rows (never pictures) of images that came near a classifier's label, for 7 days, for"
        " `safelight classifier negatives`",
    )
    compare_share: float = Field(
        default=0.05, ge=0.0, le=1.0, description="of live images, judged by the coming encoder too in a migration"
    )
    precision: Literal["auto", "fp32", "int8", "fp16"] = Field(
        default="auto",
        description="of the encoder's file, an index version each (auto: fp16 on cuda, int8 on cpu, else fp32)",
    )


class IndexSettings(_Section):
    """The index of image sets."""

    keep_days: float = Field(
        default=14, ge=0, le=365, description="how long a set's revisions, and what was removed from it, are kept"
    )


class AlertsSettings(_Section):
    """Alert delivery."""

    sinks: Annotated[list[Literal["jsonl", "kafka"]], BeforeValidator(_parse_list)] = Field(
        default_factory=list, description="jsonl, kafka (default: jsonl, and kafka where the bus is Kafka)"
    )


class Settings(_Section):
    """The whole configuration; paths are absolute."""

    data_dir: Path = Field(
        default=Path("./safelight-data"), description="CA, embedded store, spool, run/, alerts.jsonl"
    )
    bus: str = Field(
        default="local://", pattern=r"^(local://|kafka://\S+)$", description="local:// or kafka://host:port,…"
    )
    store: str = Field(
        default="sqlite:///{data_dir}/safelight.db",
        pattern=r"^(sqlite:///.+|rediss?://\S+)$",
        description="sqlite:///PATH, redis://… or rediss://… (Redis >= 7.0 with AOF)",
    )
    tenant: str = Field(
        default="",
        pattern=r"^[a-z0-9-]{0,32}$",
        description="keeps several deployments apart on one bus and store: a-z, 0-9 and -, at most 32 (empty: the only"
        " one)",
    )
    proxy: ProxySettings = ProxySettings()
    identity: IdentitySettings = IdentitySettings()
    pass_through: PassThroughSettings = PassThroughSettings()
    endpoint: EndpointSettings = EndpointSettings()
    console: ConsoleSettings = ConsoleSettings()
    metrics: MetricsSettings = MetricsSettings()
    secrets: SecretsSettings = SecretsSettings()
    worker: WorkerSettings = WorkerSettings()
    index: IndexSettings = IndexSettings()
    alerts: AlertsSettings = AlertsSettings()
    kafka: dict[str, str] = Field(
        default_factory=dict, description="Kafka client settings by their Java names (_ for . in the environment)"
    )

    @property
    def key_file(self) -> Path:
        """Where the deployment's key is."""
        return self.secrets.key_file or self.data_dir / "secret.key"

    @property
    def sqlite_path(self) -> Path | None:
        """The embedded store's file, or None where the store is Redis."""
        prefix = "sqlite:///"
        return Path(self.store.removeprefix(prefix)) if self.store.startswith(prefix) else None

    @property
    def run_dir(self) -> Path:
        """Where each role says which ports it has: ``run/ROLE.json``."""
        return self.data_dir / "run"

    @property
    def alert_sinks(self) -> tuple[str, ...]:
        """The sinks in force."""
        default = ["jsonl", "kafka"] if self.bus.startswith("kafka://") else ["jsonl"]
        return tuple(self.alerts.sinks or default)


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the effective settings of ``path`` (else ``SAFELIGHT_CONFIG``, else defaults) and the environment.

    Raises ConfigError that names the key, and the nearest known one where the key is unknown.
    """
    environ = os.environ if environ is None else environ
    if path is None and environ.get(ENV_CONFIG):
        path = Path(environ[ENV_CONFIG])
    values = _read_file(path) if path is not None else {}
    _overlay(values, environ)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem) for problem in error.errors())) from error
    return _absolute(settings, path.parent if path is not None else Path.cwd())


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold keys and values at its top level")
    return values


def _overlay(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX) or name == ENV_CONFIG:
            continue
        section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if not key:
            # A bare word such as SAFELIGHT_CORPUS belongs to somebody else unless it names a top-level key.
            if section in Settings.model_fields:
                values[section] = value
            continue
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{name}: {section} is not a section")
        inner[key.replace("_", ".") if section == "kafka" else key] = value


def _explain(problem: Any) -> str:
    path = [str(step) for step in problem["loc"]]
    key = ".".join(path)
    if problem["type"] != "extra_forbidden":
        return f"{key}: {problem['msg']}"
    known = known_keys() if "." in key else sorted({each.partition(".")[0] for each in known_keys()})
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return f"unknown key {key}; the nearest known one is {nearest[0]}"


def known_keys() -> list[str]:
    """Return every key as ``section.key``."""
    keys = []
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Section):
            keys += [f"{name}.{inner}" for inner in field.annotation.model_fields]
        else:
            keys.append(name)
    return keys


def _absolute(settings: Settings, base: Path) -> Settings:
    data_dir = _join(base, settings.data_dir)
    store = settings.store.replace("{data_dir}", str(data_dir))
    if store.startswith("sqlite:///"):
        store = f"sqlite:///{_join(base, Path(store.removeprefix('sqlite:///')))}"
    sections = {
        name: _absolute_section(section, base)
        for name in type(settings).model_fields
        if isinstance(section := getattr(settings, name), _Section)
    }
    return settings.model_copy(update={"data_dir": data_dir, "store": store, **sections})


def _absolute_section(section: _Section, base: Path) -> _Section:
    paths = {name: _join(base, path) for name, path in section if isinstance(path, Path)}
    return section.model_copy(update=paths)


def _join(base: Path, path: Path) -> Path:
    return (base / path.expanduser()).resolve()


def masked(settings: Settings) -> dict[str, Any]:
    """Return the settings as plain values with secrets masked, for ``config show``."""
    values = settings.model_dump(mode="json")
    store = re.sub(r"(?<=://)([^/:]*):([^/]*)@", r"\1:***@", settings.store)
    values["store"] = re.sub(r"(?<=[?&]password=)[^&]*", "***", store)
    values["kafka"] = {key: "***" if _SECRET_KEY.search(key) else value for key, value in settings.kafka.items()}
    return values
