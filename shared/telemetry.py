"""Every metric in one table, and the readiness of a role.

``METRICS`` is the only place where a metric is named; the README's table is generated from it.  Names follow the
Prometheus conventions (base units, ``_total`` for counters); labels never hold users, URLs or images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Kind = Literal["counter", "gauge", "histogram"]
_Key = tuple[str, tuple[tuple[str, str], ...]]
LATENCY_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = LATENCY_BUCKETS


METRICS: Final[tuple[Metric, ...]] = (
    # proxy
    Metric("safelight_proxy_messages_total", "counter", "HTTP messages seen", ("direction", "outcome")),
    Metric(
        "safelight_proxy_body_bytes_total", "counter", "Body bytes by what became of them", ("direction", "outcome")
    ),
    Metric("safelight_proxy_received_bytes_total", "counter", "Body bytes that arrived", ("direction",)),
    Metric("safelight_proxy_images_total", "counter", "Images found in messages", ("direction",)),
    Metric("safelight_proxy_decisions_total", "counter", "Decisions", ("action", "mode")),
    Metric("safelight_proxy_uninspected_total", "counter", "Images or messages nobody could judge", ("reason",)),
    Metric("safelight_proxy_limit_hits_total", "counter", "Limits of the proxy reached", ("limit",)),
    Metric("safelight_proxy_verdict_seconds", "histogram", "Time a message waited for its verdicts"),
    Metric("safelight_proxy_extract_seconds", "histogram", "Time to find the images in a message"),
    Metric("safelight_proxy_loop_stall_seconds", "histogram", "Event loop held (time waiting for a core left out)"),
    Metric("safelight_proxy_pending_requests", "gauge", "Inspection requests without an answer yet"),
    Metric("safelight_proxy_pending_bytes", "gauge", "Image bytes held for them"),
    Metric("safelight_proxy_unasked_total", "counter", "Images nobody was asked about, as it was in vain", ("cause",)),
    Metric("safelight_proxy_breaker_state", "gauge", "Questions: 0 asked, 1 one as a probe, 2 none, nobody answers"),
    Metric("safelight_proxy_verdict_cache_total", "counter", "Images asked about, by what was known", ("outcome",)),
    Metric("safelight_proxy_known_verdicts", "gauge", "Verdicts in the proxy's cache"),
    Metric("safelight_proxy_redactions_total", "counter", "Redactions that were tried", ("outcome",)),
    Metric("safelight_proxy_coaching_total", "counter", "Reasons asked for, given and passed with", ("outcome",)),
    Metric("safelight_proxy_orphan_replies_total", "counter", "Replies nobody waits for", ("cause",)),
    Metric("safelight_proxy_policy_version", "gauge", "Version of the policy file in force"),
    Metric("safelight_proxy_authentications_total", "counter", "Proxy passwords asked for and checked", ("outcome",)),
    Metric("safelight_proxy_refused_connections_total", "counter", "Connections closed at once", ("cause",)),
    Metric("safelight_proxy_let_through_total", "counter", "TLS connections that were not decrypted", ("reason",)),
    Metric("safelight_proxy_bypass", "gauge", "1 while inspection is switched off"),
    Metric(
        "safelight_proxy_uploads_total", "counter", "Uploads in several requests, by what became of them", ("outcome",)
    ),
    Metric("safelight_proxy_upload_cancels_total", "counter", "Blocked uploads ended at their origins", ("outcome",)),
    Metric("safelight_proxy_upload_spool_bytes", "gauge", "Bytes of parts kept until their upload is whole"),
    Metric("safelight_proxy_failures_total", "counter", "Stages of a transfer that broke", ("stage",)),
    Metric("safelight_proxy_outbox_alerts", "gauge", "Alerts committed here and not yet in the log"),
    # worker
    Metric("safelight_worker_requests_total", "counter", "Requests taken from the bus", ("outcome",)),
    Metric("safelight_worker_decode_seconds", "histogram", "Decode time in the sandbox", ("format",)),
    Metric("safelight_worker_redact_seconds", "histogram", "Time to obscure an image in the sandbox"),
    Metric("safelight_worker_unpack_seconds", "histogram", "Time to take a container or document apart in the sandbox"),
    Metric(
        "safelight_worker_unpack_limit_hits_total", "counter", "Containers not read to their end, by limit", ("limit",)
    ),
    Metric(
        "safelight_worker_frame_limit_hits_total",
        "counter",
        "Files of which frames were not judged: max_frames differ more, or not all could be decoded",
        ("limit",),
    ),
    Metric("safelight_worker_decode_errors_total", "counter", "Images that could not be decoded", ("code",)),
    Metric("safelight_worker_decoder_restarts_total", "counter", "Decode children killed or crashed", ("cause",)),
    Metric("safelight_worker_batch_size", "histogram", "Images per encoder run", (), (1, 2, 4, 8, 16, 32, 64)),
    Metric("safelight_worker_encode_seconds", "histogram", "Encoder time per batch"),
    Metric("safelight_worker_search_seconds", "histogram", "Index search time per image"),
    Metric("safelight_worker_label_seconds", "histogram", "Time of the classifiers that an image was shown to"),
    Metric("safelight_worker_label_failures_total", "counter", "Label networks that gave nothing for an image"),
    Metric(
        "safelight_worker_closer_looks_total", "counter", "Images whose local features were looked at", ("outcome",)
    ),
    Metric("safelight_worker_images_at_work", "gauge", "Images being judged"),
    Metric("safelight_worker_bytes_at_work", "gauge", "Bytes of their files"),
    Metric("safelight_worker_images_waiting", "gauge", "Images whose turn has not come"),
    Metric("safelight_worker_verdict_cache_total", "counter", "Images asked about, by what was known", ("outcome",)),
    Metric("safelight_worker_known_verdicts", "gauge", "Verdicts in the worker's memory"),
    Metric("safelight_worker_near_verdicts_total", "counter", "Verdicts told of images like one judged before"),
    Metric("safelight_worker_known_look_bytes", "gauge", "Bytes kept of closer looks at images that are remembered"),
    Metric("safelight_worker_shared_verdicts_total", "counter", "Verdicts looked for in the store", ("outcome",)),
    Metric("safelight_worker_shadow_total", "counter", "Images judged by the coming encoder, too", ("outcome",)),
    Metric("safelight_worker_queue_seconds", "histogram", "Age of a request when a worker takes it"),
    Metric("safelight_worker_matches_total", "counter", "Images that matched a set"),
    Metric("safelight_worker_dropped_messages_total", "counter", "Bus messages that do not open", ("cause",)),
    # index
    Metric("safelight_index_references", "gauge", "References in the index"),
    Metric(
        "safelight_index_unsearched_references", "gauge", "References whose local features are compared, not searched"
    ),
    Metric("safelight_index_unsearched_views", "gauge", "Views of references that are compared, not searched"),
    Metric("safelight_index_bytes", "gauge", "Bytes kept of the references, as they are kept", ("kind",)),
    Metric("safelight_index_graph_vectors", "gauge", "Vectors that a graph leads to; 0: none does, codes are compared"),
    Metric(
        "safelight_index_graph_held_share",
        "gauge",
        "Share of the vectors' squared lengths in a graph's directions; of less than .65 none is built",
    ),
    Metric("safelight_index_graph_searches_total", "counter", "Searches that met a graph", ("outcome",)),
    Metric("safelight_index_tombstones", "gauge", "References that are gone and not yet built out of the index"),
    Metric("safelight_index_self_recall", "gauge", "Share of a sample of kept vectors that find themselves, daily"),
    Metric("safelight_index_staleness_seconds", "gauge", "Time since the index was known to be at the log's end"),
    Metric("safelight_index_position", "gauge", "Log position the index has reached"),
    Metric("safelight_index_rejected_entries_total", "counter", "Log entries or snapshots refused", ("cause",)),
    Metric("safelight_classifiers", "gauge", "Classifiers and label spaces that can answer"),
    Metric(
        "safelight_classifiers_refused_total", "counter", "Revisions of them refused: broken, or of another encoder"
    ),
    # alerts
    Metric("safelight_alerts_delivered_total", "counter", "Alerts delivered", ("sink",)),
    Metric("safelight_alerts_failures_total", "counter", "Deliveries that failed and will be tried again", ("sink",)),
    Metric("safelight_alerts_lag", "gauge", "Alerts in the log not yet delivered", ("sink",)),
    # every role
    Metric("safelight_bus_errors_total", "counter", "Bus calls that failed", ("operation",)),
    Metric("safelight_store_errors_total", "counter", "Store calls that failed", ("operation",)),
    Metric("safelight_up", "gauge", "1 while the role runs"),
)


class Metrics:
    """The metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters = {m.name: Counter(m.name, m.help, m.labels, registry=self.registry) for m in _of("counter")}
        self._gauges = {m.name: Gauge(m.name, m.help, m.labels, registry=self.registry) for m in _of("gauge")}
        self._histograms = {
            m.name: Histogram(m.name, m.help, m.labels, registry=self.registry, buckets=m.buckets)
            for m in _of("histogram")
        }
        # By label values, which are bounded: to have the client library look a child up costs more than counting.
        self._counted: dict[_Key, Counter] = {}
        self._set: dict[_Key, Gauge] = {}
        self._observed: dict[_Key, Histogram] = {}

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter."""
        _child(self._counters, self._counted, name, labels).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        _child(self._gauges, self._set, name, labels).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        _child(self._histograms, self._observed, name, labels).observe(value)

    def value(self, name: str, **labels: str) -> float:
        """Return a counter's or gauge's value (a histogram's count); 0 where nothing happened yet."""
        suffix = "_count" if name in self._histograms else ""
        return self.registry.get_sample_value(name + suffix, labels) or 0.0

    def exposition(self) -> bytes:
        """Return the Prometheus text format."""
        return generate_latest(self.registry)


def _child[M: (Counter, Gauge, Histogram)](
    metrics: Mapping[str, M], children: dict[_Key, M], name: str, labels: Mapping[str, str]
) -> M:
    if not labels:
        return metrics[name]
    key = (name, tuple([(label, str(text)) for label, text in labels.items()]))
    child = children.get(key)
    if child is None:
        child = children[key] = metrics[name].labels(**labels)
    return child


def _of(kind: Kind) -> tuple[Metric, ...]:
    return tuple(metric for metric in METRICS if metric.kind == kind)


class Readiness:
    """What a role still waits for before it can serve: named conditions, each a callable that is cheap and pure."""

    def __init__(self, conditions: Mapping[str, Callable[[], bool]] | None = None) -> None:
        self._conditions = dict(conditions or {})
        self._warnings: list[Callable[[], str]] = []

    def add(self, name: str, condition: Callable[[], bool]) -> None:
        """Wait for one more thing."""
        self._conditions[name] = condition

    def warn(self, sentence: Callable[[], str]) -> None:
        """Report one more thing that does not keep the role from serving; an empty sentence: all is well."""
        self._warnings.append(sentence)

    def warnings(self) -> tuple[str, ...]:
        """Return what an operator should know all the same."""
        return tuple(filter(None, (sentence() for sentence in self._warnings)))

    def waiting_for(self) -> tuple[str, ...]:
        """Return the names of the conditions that do not hold."""
        return tuple(name for name, holds in self._conditions.items() if not holds())
