"""One status endpoint for several processes: metrics merged under a ``role`` label, readiness under a prefix."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

FETCH_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleStatus:
    """Where a role's own status endpoint is; None while the role does not run."""

    role: str
    address: str | None


def merge_expositions(roles: Sequence[RoleStatus]) -> bytes:
    """Return the metrics of all roles in one exposition, each sample with the label ``role``."""
    registry = CollectorRegistry()
    registry.register(_Merged(_fetch_all(roles, "/metrics")))
    return generate_latest(registry)


def merged_waiting_for(roles: Sequence[RoleStatus]) -> tuple[str, ...]:
    """Return what is missing as ``role`` (it does not run) or ``role:condition``."""
    missing = []
    for role, answer in _fetch_all(roles, "/readyz"):
        if answer is None:
            missing.append(role)
        else:
            missing += [f"{role}:{condition}" for condition in json.loads(answer)["waiting_for"]]
    return tuple(missing)


def merged_warnings(roles: Sequence[RoleStatus]) -> tuple[str, ...]:
    """Return what the roles warn of as ``role: sentence``."""
    return tuple(
        f"{role}: {sentence}"
        for role, answer in _fetch_all(roles, "/readyz")
        if answer is not None
        for sentence in json.loads(answer).get("warnings", [])
    )


class _Merged(Collector):
    """Families of the same name become one: the text format allows a name once."""

    def __init__(self, expositions: Iterable[tuple[str, str | None]]) -> None:
        self._expositions = [(role, text) for role, text in expositions if text is not None]

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for role, text in self._expositions:
            for family in text_string_to_metric_families(text):
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    merged.add_sample(sample.name, {"role": role, **sample.labels}, sample.value)
        yield from families.values()


def _fetch_all(roles: Sequence[RoleStatus], path: str) -> list[tuple[str, str | None]]:
    with ThreadPoolExecutor(len(roles)) as pool:
        answers = pool.map(lambda status: _fetch(status.address, path), roles)
        return [(status.role, answer) for status, answer in zip(roles, answers, strict=True)]


def _fetch(address: str | None, path: str) -> str | None:
    if address is None:
        return None
    connection = http.client.HTTPConnection(address, timeout=FETCH_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
