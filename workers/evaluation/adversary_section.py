"""The section on an adversary, which only an installation with torch can measure."""

from __future__ import annotations

import importlib.util
import json
from typing import Final

from shared.errors import UsageError
from workers.encoders.files import MODELS, choose_encoder
from workers.evaluation.adversary_rows import section_of
from workers.evaluation.bench import Bench, Options, SectionPlan
from workers.evaluation.tables import Section

PICTURES: Final = 40
FEWEST: Final = 8
SECONDS_A_PICTURE: Final = 11.0
"""For 90 rows, extrapolated from 2.9 processor seconds a picture for the first 21 of them."""


def possible(options: Options) -> str:
    """Empty, or what is missing."""
    if options.archives is None:
        return "needs --data with the archives of held-out pictures"
    if choose_encoder(options.encoder, MODELS, options.imported).imported:
        return "an imported encoder's gradient is not known"
    return "" if importlib.util.find_spec("torch") else "needs the extra `train` (torch)"


def run(bench: Bench) -> Section:
    """Attack the encoder; raises UsageError where there is nothing to attack."""
    from workers.evaluation import adversary  # noqa: PLC0415 - it imports torch

    options = bench.options
    if options.archives is None:
        raise UsageError(possible(options))
    plan = adversary.Plan(pictures=_pictures(options))
    try:
        results = adversary.run(options.encoder, options.archives, plan, say=lambda _: None)
    except ValueError as error:
        raise UsageError(f"nothing to attack: {error}") from error
    return section_of(json.dumps(results))


def seconds(options: Options) -> float:
    """How long it takes on a usual core."""
    return SECONDS_A_PICTURE * _pictures(options)


def _pictures(options: Options) -> int:
    return options.scaled(PICTURES, least=FEWEST)


PLAN: Final = SectionPlan(name="adversary", title="Adversary", seconds=seconds, run=run, possible=possible)
