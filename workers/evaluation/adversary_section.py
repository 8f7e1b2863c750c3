"""The section on an adversary: runs `workers.training.adversary`, which needs torch, as a process of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from shared.errors import UsageError
from workers.encoder_files import MODELS, choose_encoder
from workers.evaluation.adversary_rows import section_of
from workers.evaluation.bench import Bench, Options, SectionPlan
from workers.evaluation.tables import Section

PICTURES: Final = 60
FEWEST: Final = 8
SECONDS_A_PICTURE: Final = 8.0
"""Measured on one core: both sizes, three aims, three strengths, three defences."""


def possible(options: Options) -> str:
    """Empty, or what is missing."""
    if options.archives is None:
        return "needs --data with the archives of held-out pictures"
    if choose_encoder(options.encoder, MODELS, options.imported).imported:
        return "an imported encoder's gradient is not known"
    return "" if importlib.util.find_spec("torch") else "needs the extra `train` (torch)"


def run(bench: Bench) -> Section:
    """Attack the encoder; raises UsageError where the attack ends with an error, which it has printed."""
    options = bench.options
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "adversary.json"
        command = [sys.executable, "-m", "workers.training.adversary", "--data", str(options.archives)]
        command += ["--encoder", options.encoder, "--out", str(out), "--pictures", str(_pictures(options))]
        finished = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        if finished.returncode:
            raise UsageError(f"the adversary ended with exit code {finished.returncode}")
        return section_of(out.read_text(encoding="utf-8"))


def seconds(options: Options) -> float:
    """How long it takes on a usual core."""
    return SECONDS_A_PICTURE * _pictures(options)


def _pictures(options: Options) -> int:
    return options.scaled(PICTURES, least=FEWEST)


PLAN: Final = SectionPlan(name="adversary", title="Adversary", seconds=seconds, run=run, possible=possible)
