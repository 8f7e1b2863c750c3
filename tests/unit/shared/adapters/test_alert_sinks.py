"""Alerts in a file of JSON lines; which sinks a configuration asks for."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from shared import config
from shared.adapters.alert_sinks import JsonlSink, KafkaSink, open_sinks
from shared.core.alert_format import to_ocsf
from shared.errors import ConfigError
from tests.factories import make_alert


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "alerts.jsonl"


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def incidents(path: Path) -> list[str]:
    return [event["finding_info"]["uid"] for event in events(path)]


async def test_each_alert_is_one_line(path: Path) -> None:
    sink = JsonlSink(path)
    alerts = [make_alert(incident="a", url="https://h.example/\n\u2028x"), make_alert(incident="b")]
    await sink.deliver(alerts)
    assert path.read_text().count("\n") == 2
    assert events(path) == [to_ocsf(alert) for alert in alerts]


async def test_deliveries_follow_one_another(path: Path) -> None:
    sink = JsonlSink(path)
    for incident in "abc":
        await sink.deliver([make_alert(incident=incident)])
    await JsonlSink(path).deliver([make_alert(incident="d")])
    await sink.stop()
    assert incidents(path) == ["a", "b", "c", "d"]


async def test_half_a_line_left_by_a_crash_is_closed(path: Path) -> None:
    sink = JsonlSink(path)
    await sink.deliver([make_alert(incident="a")])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"class_uid":2006,"finding_info":{"ui')
    await sink.deliver([make_alert(incident="b")])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(lines[number])["finding_info"]["uid"] for number in (0, 2)] == ["a", "b"]
    assert len(lines) == 3


async def test_a_file_rotated_by_renaming_is_made_anew(path: Path) -> None:
    sink = JsonlSink(path)
    await sink.deliver([make_alert(incident="a")])
    path.rename(path.with_suffix(".1"))
    await sink.deliver([make_alert(incident="b")])
    assert incidents(path) == ["b"]
    assert incidents(path.with_suffix(".1")) == ["a"]


async def test_deliveries_at_the_same_time_do_not_mix_their_lines(path: Path) -> None:
    sink = JsonlSink(path)
    batches = [[make_alert(incident=f"{batch}-{number}") for number in range(50)] for batch in range(8)]
    await asyncio.gather(*(sink.deliver(batch) for batch in batches))
    found = incidents(path)
    assert len(found) == 400
    for batch in range(8):
        start = found.index(f"{batch}-0")
        assert found[start : start + 50] == [f"{batch}-{number}" for number in range(50)]


async def test_a_file_that_cannot_be_written_is_an_error(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        await JsonlSink(path).deliver([make_alert()])


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, ["jsonl"]),
        ({"SAFELIGHT_BUS": "kafka://127.0.0.1:9"}, ["jsonl", "kafka"]),
        ({"SAFELIGHT_BUS": "kafka://127.0.0.1:9", "SAFELIGHT_ALERTS__SINKS": "kafka,kafka"}, ["kafka"]),
    ],
)
def test_the_configuration_says_where_alerts_go(environment: dict[str, str], names: list[str], tmp_path: Path) -> None:
    settings = config.load(None, {"SAFELIGHT_DATA_DIR": str(tmp_path), **environment})
    assert [sink.name for sink in open_sinks(settings)] == names


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SAFELIGHT_ALERTS__SINKS": "kafka"}, "needs a bus kafka://"),
        ({"SAFELIGHT_BUS": "kafka://h:9", "SAFELIGHT_KAFKA__ACK": "all"}, "kafka.acks"),
    ],
)
def test_a_kafka_sink_that_cannot_work_is_a_wrong_configuration(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        open_sinks(config.load(None, environment))


async def test_a_sink_that_never_connected_stops_at_once() -> None:
    await KafkaSink(config.load(None, {"SAFELIGHT_BUS": "kafka://127.0.0.1:9"})).stop()
