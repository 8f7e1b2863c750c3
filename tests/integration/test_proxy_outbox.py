"""What the outbox has committed outlives the process, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from proxy_addon.reporting.outbox import Outbox
from shared.sealing import Sealer
from shared.telemetry import Metrics
from shared.types import Alert

DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from proxy_addon.reporting.outbox import Outbox
from shared.sealing import Sealer
from shared.telemetry import Metrics
from tests.factories import make_alert

async def main():
    outbox = Outbox(Path(sys.argv[1]), Sealer(bytes(32)), Metrics())
    await outbox.start()
    for number in range(20):
        await outbox.commit([make_alert(incident=str(number))])
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


class ListLog:
    def __init__(self) -> None:
        self.incidents: list[str] = []

    async def append(self, alerts: Sequence[Alert]) -> int:
        self.incidents += [alert.incident for alert in alerts]
        return len(self.incidents)


async def test_alerts_survive_kill_9(tmp_path: Path) -> None:
    path, root = tmp_path / "outbox.db", Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", DIES, str(path)], check=False, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert ended.returncode == -9
    outbox, log = Outbox(path, Sealer(bytes(32)), Metrics()), ListLog()
    await outbox.start()
    await outbox.forward_once(log)
    await outbox.stop()
    assert log.incidents == [str(number) for number in range(20)]
