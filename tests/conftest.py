"""Servers for the whole run, the corpus of real images, and the rule that an unexpected error log fails its test."""

import importlib.util
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

# Before numpy is imported: OpenBLAS's second thread only spins beside other tests (see console and workers).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

from tests import failure_list
from tests.servers import ROOT, KafkaBroker, RedisServer

CORPUS: Final = Path(os.environ.get("SAFELIGHT_CORPUS") or ROOT.parent / "shared" / "data")
TRAINING_TESTS: Final = Path("train")
SHARED, ALONE = "shared", "alone"
SOAK: Final = "soak"
LONG_S: Final = 240
"""A test whose marker gives it so many seconds or more may take long."""
_left_out = pytest.StashKey[dict[str, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--machine",
        choices=(SHARED, ALONE),
        help="only the tests that may run beside others, or only those that need the machine for themselves",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_left_out] = {}
    failure_list.install(config)
    # How long an example takes says how busy the machine is.
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Training tests import torch, which only the extra `train` brings: `make test-train` runs them.

    A file that names no marker of the half that is run alone is not read for it: importing them all takes 15 s.
    """
    tests = Path(__file__).parent
    if config.getoption("machine") == ALONE and collection_path.suffix == ".py" and not _may_be_alone(collection_path):
        return True
    inside = collection_path.is_relative_to(tests) and collection_path.relative_to(tests) == TRAINING_TESTS
    if not inside or importlib.util.find_spec("torch"):
        return None
    if config.getoption("machine") != ALONE:
        count = sum(1 for _ in collection_path.rglob("test_*.py"))
        config.stash[_left_out]["files of tests that need torch (run `make test-train`)"] = count
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the asked half. Without the folder of real images its tests are skipped, counted and shouted about."""
    _choose(config, items)
    # Long ones first: one that begins last would run on while all other processes have nothing to do.
    items.sort(key=_is_short)
    corpus = [item for item in items if item.get_closest_marker("corpus")]
    if not corpus or (CORPUS / "manifest.jsonl.gz").is_file():
        return
    for item in corpus:
        item.add_marker(pytest.mark.skip(reason="the corpus of real images is not here (SAFELIGHT_CORPUS names it)"))
    config.stash[_left_out]["tests that need the corpus of real images (set SAFELIGHT_CORPUS)"] = len(corpus)


def _is_short(item: pytest.Item) -> bool:
    limit = item.get_closest_marker("timeout")
    return limit is None or limit.args[0] < LONG_S


def _choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    half = config.getoption("machine")
    if SOAK not in config.getoption("markexpr") and (long := [each for each in items if each.get_closest_marker(SOAK)]):
        items[:] = [each for each in items if each not in long]
        config.hook.pytest_deselected(items=long)
        if half != SHARED:
            config.stash[_left_out]["tests of endurance (run `make soak`)"] = len(long)
    if half is None:
        return
    chosen: dict[str, list[pytest.Item]] = {SHARED: [], ALONE: []}
    for item in items:
        chosen[ALONE if item.get_closest_marker(ALONE) else SHARED].append(item)
    items[:] = chosen.pop(half)
    config.hook.pytest_deselected(items=[item for rest in chosen.values() for item in rest])


def _may_be_alone(path: Path) -> bool:
    """Tell whether a test in this file could be run or left out there: it, or its folder's fixtures, name a marker."""
    return any(
        f"mark.{name}" in file.read_text(encoding="utf-8")
        for file in (path, path.with_name("conftest.py"))
        if file.is_file()
        for name in (ALONE, SOAK)
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several (pytest -n) hands its count to the one that prints."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = session.config.stash[_left_out]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Each process collects every test, so what one has left out all have: the counts are one, not to be added."""
    node.config.stash[_left_out].update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for what, count in config.stash[_left_out].items():
        if count:
            terminalreporter.write_sep("!", f"NOT RUN: {count} {what}", yellow=True, bold=True)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real images with its ``manifest.jsonl.gz``; a test that asks for it carries the marker `corpus`."""
    return CORPUS


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One broker for the whole run; tests use topics of their own."""
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka")).start()
    yield broker
    broker.remove()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for the whole run; ``redis_url`` hands it out empty."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.remove()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """URL of an empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def killable_kafka(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker of this test alone, running, to be killed and restarted."""
    broker = KafkaBroker(tmp_path / "kafka").start()
    yield broker
    broker.remove()


@pytest.fixture
def killable_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test alone, running, to be killed and restarted."""
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.remove()


class _Errors(logging.Handler):
    """Keeps the records of level ERROR and above."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def no_unexpected_error_logs(request: pytest.FixtureRequest) -> Iterator[None]:
    """An error that is only logged still fails the test, unless ``@pytest.mark.error_logs(pattern)`` expects it."""
    expected = [re.compile(mark.args[0]) for mark in request.node.iter_markers("error_logs")]
    errors = _Errors()
    root = logging.getLogger()
    root.addHandler(errors)
    yield
    root.removeHandler(errors)
    unexpected = [
        f"{record.name}: {record.getMessage()}"
        for record in errors.records
        if not any(pattern.search(record.getMessage()) for pattern in expected)
    ]
    if unexpected:
        pytest.fail("unexpected error logs:\n" + "\n".join(unexpected), pytrace=False)
