"""What every section of an evaluation is given: the options, the encoder, the product's path, a way to report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.errors import UsageError
from workers.encoders.encoder import Encoder
from workers.evaluation.measuring import Progress
from workers.evaluation.pictures import BENCHMARK, has_archives
from workers.evaluation.product import Product
from workers.evaluation.tables import Section

QUICK_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for.

    `data`: a folder of archives or of pictures, None for drawn ones; `drawn`: also the recall of drawn pictures where
    there is data; `references` of the recall benchmark; `share`: everything on this part of its full size; `sections`
    in order, none for all that are possible.
    """

    data: Path | None = None
    encoder: str = ""
    imported: Path | None = None
    references: int = BENCHMARK
    share: float = 1.0
    drawn: bool = False
    sections: tuple[str, ...] = ()

    @property
    def archives(self) -> Path | None:
        """The data, where they are laid out as archives."""
        return self.data if self.data is not None and has_archives(self.data) else None

    def check(self) -> None:
        """Raises UsageError for data that are no folder."""
        if self.data is not None and not self.data.is_dir():
            raise UsageError(f"{self.data} is no folder")

    def scaled(self, count: int, *, least: int = 1) -> int:
        """A count at the size that is asked for."""
        return max(least, round(count * self.share))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One evaluation under way; `encoder` is the one the product would use here, `precisions` all files of it."""

    options: Options
    encoder: Encoder
    precisions: Mapping[str, Encoder]
    product: Product
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionPlan:
    """A section that can be run: what it measures, how long (seconds on a usual core), and how.

    `possible` is empty, or says why this section cannot be run with these options.
    """

    name: str
    title: str
    seconds: Callable[[Options], float]
    run: Callable[[Bench], Section]
    possible: Callable[[Options], str]
