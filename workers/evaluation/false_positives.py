"""False positives: `matched` on pictures that are nobody's copy, by kind of content; and pages with next to nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.types import Reference, SetCreated
from workers.evaluation.bench import Bench, Options, SectionPlan
from workers.evaluation.figures import upper_bound
from workers.evaluation.methods import Sample
from workers.evaluation.pictures import (
    Picture,
    drawn_pictures,
    read_archives,
    read_folder,
    without_near_duplicates,
)
from workers.evaluation.product import SET, Enrolment, build_view
from workers.evaluation.tables import Cell, Section, Table, columns, flow
from workers.image_sets.enrolment import DEFAULT_THRESHOLD
from workers.search.view import IndexView
from workers.training.drawing.pairs import near_empty
from workers.transformations import TRANSFORMS, canonical

REFERENCES: Final = 300
"""Half of them photographs, products and documents as they come, half drawn; all drawn where there are no others."""
DRAWN: Final = 10_000
EDITS: Final = ("jpeg30", "crop50", "rot10", "screenshot", "combo")
FIRST_REFERENCE: Final = 300_000
FIRST_DRAWN: Final = 400_000
"""Drawings of this section: its references and its strangers."""
NEAR_EMPTY: Final = 1_000
NEAR_EMPTY_SET: Final = 10
"""Pages a set: the smaller a set, the more lenient its scores."""
MODES: Final = ("gated", "thorough")
PICTURE_SECONDS: Final = 0.08
DRAWING_SECONDS: Final = 0.11
PAGE_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """One image that no reference is the origin of."""

    stratum: str
    source: str
    sample: Sample


@dataclass(slots=True)
class Tally:
    """Strangers that were shown, and that matched, by stratum; and where matches came from, by source."""

    shown: Counter[str]
    matched: Counter[str]
    sources: Counter[str]

    @classmethod
    def empty(cls) -> Tally:
        """Nothing shown yet."""
        return cls(Counter(), Counter(), Counter())


def run(bench: Bench) -> Section:
    """Measure both."""
    protected, strangers = roles(bench.options)
    drawn = bench.options.scaled(DRAWN)
    views = enrolled(bench, protected)
    count = len(strangers) * len(EDITS) + drawn
    tallies = {mode: Tally.empty() for mode in MODES}
    for done, stranger in enumerate(all_strangers(strangers, drawn)):
        bench.progress("showing strangers", done, count)
        for mode, tally in tallies.items():
            bench.product.search_in(views[mode])
            matched = any(match.matched for match in bench.product.inspect(stranger.sample.data).matches)
            tally.shown[stranger.stratum] += 1
            tally.matched[stranger.stratum] += matched
            tally.sources[stranger.source] += matched
    bench.progress("showing strangers", count, count)
    text = flow(
        f"""{len(protected)} pictures are protected. {len(strangers):,} others under {len(EDITS)} transformations each
        ({", ".join(EDITS)}) and {drawn:,} drawings are inspected by the whole path; none is a copy of anything.
        Near-duplicates of what is protected are removed, pictures of the same object or place are not. A match is
        `matched` at the default threshold of 85."""
    )
    tables = (matched_table(tallies), source_table(tallies), near_empty_table(bench))
    return Section(name="false-positives", title="False positives", text=text, tables=tables)


def roles(options: Options) -> tuple[list[Picture], list[Picture]]:
    """(protected, strangers but for the drawn ones), near-duplicates removed from both."""
    count = options.scaled(REFERENCES, least=4)
    drawn = list(drawn_pictures(count, first=FIRST_REFERENCE))
    if options.data is None:
        return drawn, []
    archives = options.archives
    pictures = list(read_archives(archives) if archives is not None else read_folder(options.data))
    random.Random(17).shuffle(pictures)
    fresh = without_near_duplicates(pictures)
    half = min(count // 2, len(fresh) // 4)
    return [*fresh[:half], *drawn[: count - half]], fresh[half : half + options.scaled(len(fresh) - half)]


def enrolled(bench: Bench, pictures: Sequence[Picture]) -> dict[str, IndexView]:
    """The index over them, gated and thorough."""
    enrolment = Enrolment(bench.product)
    for number, picture in enumerate(pictures):
        bench.progress("enrolling", number, len(pictures))
        enrolment.add(Sample(canonical(picture.open())))
    bench.progress("enrolling", len(pictures), len(pictures))
    return {
        mode: build_view(
            bench.encoder,
            enrolment.references,
            [SetCreated(name=SET, threshold=DEFAULT_THRESHOLD, thorough=mode == "thorough")],
        )
        for mode in MODES
    }


def all_strangers(pictures: Sequence[Picture], drawn: int) -> Iterator[Stranger]:
    """Every picture under every one of `EDITS`, then the drawings as they are."""
    rng = random.Random(19)
    for picture in pictures:
        image = canonical(picture.open())
        for name in EDITS:
            sample = Sample(TRANSFORMS[name](image, rng, image))
            yield Stranger(stratum=picture.stratum, source=picture.group, sample=sample)
    for picture in drawn_pictures(drawn, first=FIRST_DRAWN):
        yield Stranger(stratum=picture.stratum, source=picture.group, sample=Sample(canonical(picture.open())))


def matched_table(tallies: dict[str, Tally]) -> Table:
    """Matches by stratum and mode, the whole last."""
    rows: list[dict[str, Cell]] = []
    for mode, tally in tallies.items():
        for stratum in [*sorted(tally.shown), "all"]:
            shown = tally.shown.total() if stratum == "all" else tally.shown[stratum]
            matched = tally.matched.total() if stratum == "all" else tally.matched[stratum]
            rows.append(
                {
                    "mode": mode,
                    "stratum": stratum,
                    "shown": shown,
                    "matched": matched,
                    "rate": matched / shown if shown else None,
                    "high": upper_bound(matched, shown),
                }
            )
    return Table(
        name="matched",
        title="Strangers that matched",
        columns=columns(
            ("mode", "mode", "text"),
            ("stratum", "content", "text"),
            ("shown", "images", "count"),
            ("matched", "matched", "count"),
            ("rate", "rate", "rate"),
            ("high", "at most", "rate"),
        ),
        rows=tuple(rows),
        note=flow(
            """'At most': 95 % upper bound of the rate (Clopper-Pearson; 3 / images where nothing matched). The five
            transformations of one picture are not independent, so the true bound lies somewhat higher."""
        ),
    )


def source_table(tallies: dict[str, Tally]) -> Table:
    """Where the matches came from."""
    rows: list[Mapping[str, Cell]] = [
        {"mode": mode, "source": source, "matched": count}
        for mode, tally in tallies.items()
        for source, count in tally.sources.most_common(12)
        if count
    ]
    return Table(
        name="matched_sources",
        title="Where they came from",
        columns=columns(("mode", "mode", "text"), ("source", "pictures", "text"), ("matched", "matched", "count")),
        rows=tuple(rows),
        note="" if rows else "Nothing matched.",
    )


def near_empty_table(bench: Bench) -> Table:
    """Pages with next to nothing on them: what the product refuses to protect, and what matches among the others."""
    count = bench.options.scaled(NEAR_EMPTY, least=4)
    references: list[Reference] = []
    files: list[bytes] = []
    refused = 0
    for number in range(count):
        bench.progress("drawing near-empty pages", number, count)
        files.append(Sample(canonical(near_empty(number))).data)
        fingerprint = bench.product.fingerprint(files[-1])
        refused += fingerprint.info.low_information
        references.append(fingerprint.as_reference(str(number), set_name=set_of(number)))
    rows: list[dict[str, Cell]] = []
    for mode in MODES:
        sets = [
            SetCreated(name=name, threshold=DEFAULT_THRESHOLD, thorough=mode == "thorough")
            for name in dict.fromkeys(map(set_of, range(count)))
        ]
        bench.product.search_in(build_view(bench.encoder, references, sets))
        crossed = pages = 0
        for number, data in enumerate(files):
            bench.progress(f"comparing near-empty pages, {mode}", number, count)
            matches = bench.product.inspect(data).matches
            others = sum(match.matched and match.reference != str(number) for match in matches)
            crossed += others
            pages += others > 0
        rows.append(
            {"mode": mode, "pages": count, "refused": refused, "crossed": crossed, "with": pages, "met": crossed == 0}
        )
    bench.progress("comparing near-empty pages", count, count)
    return Table(
        name="near_empty",
        title="Near-empty pages among themselves",
        columns=columns(
            ("mode", "mode", "text"),
            ("pages", "pages", "count"),
            ("refused", "too empty to be protected", "count"),
            ("crossed", "cross-matches", "count"),
            ("with", "pages with one", "count"),
            ("met", "none", "met"),
        ),
        rows=tuple(rows),
        note=flow(
            f"""Scan noise, letterhead, ruled lines, one signature. All are protected as if by force, {NEAR_EMPTY_SET} a
            set, and every page is compared with all others: {count * (count - 1):,} pairs."""
        ),
    )


def set_of(number: int) -> str:
    """The set that a near-empty page is in."""
    return f"pages-{number // NEAR_EMPTY_SET}"


def seconds(options: Options) -> float:
    """How long it takes on a usual core."""
    held_out = 0 if options.data is None else options.scaled(4_000) * len(EDITS)
    pages = PAGE_SECONDS * options.scaled(NEAR_EMPTY)
    enrolling = 0.15 * options.scaled(REFERENCES)
    return PICTURE_SECONDS * held_out + DRAWING_SECONDS * options.scaled(DRAWN) + pages + enrolling


PLAN: Final = SectionPlan(
    name="false-positives", title="False positives", seconds=seconds, run=run, possible=lambda _options: ""
)
