import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner

from console.cli.app import app
from shared.adapters.coverage_store import CoverageStore
from shared.adapters.opening import open_store
from shared.adapters.role import SystemClock
from shared.config import load
from shared.core.coverage import Count, Row, Table, hour_of
from shared.sealing import Sealer, load_or_create_key
from shared.types import Direction

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
SEEN = {
    Row("bank.example", OUT, "do_not_decrypt"): Count(1, 300),
    Row("files.example", OUT, "inspected"): Count(2, 600),
    Row("files.example", IN, "timeout"): Count(1, 100),
}


def test_what_was_not_inspected_is_listed_and_summed(tmp_path: Path) -> None:
    environment = {"SAFELIGHT_DATA_DIR": str(tmp_path)}
    asyncio.run(fill(environment))
    result = CliRunner().invoke(app, ["--json", "coverage", "--since", "2h"], env=environment)
    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "host": "bank.example",
            "direction": "outbound",
            "outcome": "bypassed",
            "reason": "do_not_decrypt",
            "count": 1,
            "bytes": 300,
        },
        {
            "host": "files.example",
            "direction": "inbound",
            "outcome": "failed",
            "reason": "timeout",
            "count": 1,
            "bytes": 100,
        },
    ]
    assert "1,000 body bytes: inspected 600 (60.0%), streamed 0 (0.0%), bypassed 300 (30.0%), failed" in result.stderr
    every = CliRunner().invoke(app, ["coverage", "--inspected"], env=environment)
    assert "files.example" in every.stdout
    assert "inspected" in every.stdout


async def fill(environment: dict[str, str]) -> None:
    settings = load(environ=environment)
    store = open_store(settings)
    await store.start()
    board = CoverageStore(store, Sealer(load_or_create_key(settings.key_file)))
    await board.register(0)
    await board.write(0, hour_of(SystemClock().wall()), "run", Table(dict(SEEN)))
    await store.stop()


def test_a_duration_that_is_none_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["coverage", "--since", "soon"], env={"SAFELIGHT_DATA_DIR": str(tmp_path)})
    assert "no duration" in str(result.exception)
