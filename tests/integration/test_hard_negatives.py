"""A worker suggests what a classifier may learn as no label, and a command teaches it."""

import asyncio
import hashlib
from pathlib import Path

from shared.adapters.local.hub import Hub, hub_socket_path
from shared.config import load
from tests.integration.command_line import CommandLine
from tests.integration.test_worker import ready_worker
from workers.classifying.hard_negatives import HARD_NEGATIVES_LOG
from workers.training.drawing import draw
from workers.training.edits import encode

CLASSIFIER = "builtin-screens"
SCREEN = encode(draw("dashboard", 5, size=(640, 480)))
DIGEST = hashlib.sha256(SCREEN).hexdigest()


async def ask_a_worker(safelight: CommandLine) -> None:
    """Show a worker a screen, until it has written down that it came near a label."""
    settings = load(None, {"SAFELIGHT_DATA_DIR": str(safelight.data_dir), "SAFELIGHT_WORKER__HARD_NEGATIVES": "true"})
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    hub = Hub(hub_socket_path(settings.data_dir))
    await hub.start()
    try:
        async with ready_worker(settings) as asker:
            verdict = await asker.ask(SCREEN, classifiers=(CLASSIFIER,))
            assert [one.label for one in verdict.labels] != ["other"], verdict.labels
            await asker.store.wait(HARD_NEGATIVES_LOG, 0, 20.0)
    finally:
        await hub.stop()


def test_what_a_worker_suggests_is_taught_by_its_digest(tmp_path: Path) -> None:
    safelight = CommandLine(tmp_path)
    asyncio.run(ask_a_worker(safelight))
    (suggested,) = safelight("classifier", "negatives", CLASSIFIER, "--json").rows
    assert (suggested["sha256"], suggested["threshold"]) == (DIGEST, 85)
    refused = safelight("classifier", "negatives", CLASSIFIER, "--add", "00ff", status=2)
    assert "0 candidates have a SHA-256 that begins with '00ff'" in refused.err
    (before,) = safelight("classifier", "show", CLASSIFIER, "--json").rows
    (taught,) = safelight("classifier", "negatives", CLASSIFIER, "--add", DIGEST[:12], "--json").rows
    assert (taught["added"], taught["negatives"]) == (1, before["negatives"] + 1)
    assert safelight("classifier", "negatives", CLASSIFIER, "--json").rows == []
    safelight("classifier", "negatives", CLASSIFIER, "--forget")


def test_where_none_are_kept_the_command_says_how_to_have_them(tmp_path: Path) -> None:
    listed = CommandLine(tmp_path)("classifier", "negatives", CLASSIFIER)
    assert "worker.hard_negatives" in listed.err
