"""What is waited for in a change of the encoder, decided from what the workers say.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shared.errors import SafelightError
from workers.migration.comparing import Tally, summed
from workers.migration.roll_call import WorkerWord

SETTLE_SECONDS: Final = 3.0
"""A worker looks at the store twice a second and answers at once: by then all have that live."""


class NotReadyError(SafelightError):
    """Workers cannot run the other encoder, or not in time."""


class DisagreementError(SafelightError):
    """The two encoders do not say the same of enough live images."""


def all_ready(words: Sequence[WorkerWord], encoder: str, waited: float, limit: float) -> bool:
    """Tell whether every worker has the encoder loaded; raises NotReadyError once that will not come about."""
    if waited < SETTLE_SECONDS:
        return False
    missing = [word for word in words if encoder not in (word.beside, word.serving)]
    if not missing:
        return True
    broken = sorted({word.error for word in missing if word.error})
    if broken and all(word.error for word in missing):
        raise NotReadyError(f"{len(missing)} of {len(words)} workers cannot run {encoder}: {'; '.join(broken)}")
    if waited >= limit:
        raise NotReadyError(f"{len(missing)} of {len(words)} workers have not loaded {encoder} in {limit:g} s")
    return False


def all_serving(words: Sequence[WorkerWord], encoder: str) -> bool:
    """Tell whether every worker answers with the encoder."""
    return all(word.serving == encoder for word in words)


def tally_of(words: Sequence[WorkerWord]) -> Tally:
    """Return what was compared by all workers."""
    return summed(word.tally for word in words)


def check_agreement(tally: Tally, least: float) -> None:
    """Raise DisagreementError where less than ``least`` (0..1) of the images that were compared are agreed on."""
    if tally.agreement < least:
        raise DisagreementError(
            f"the two encoders agree on {tally.agreeing} of {tally.images} live images, {tally.agreement:.1%};"
            f" --least-agreement is {least:.1%}"
        )
