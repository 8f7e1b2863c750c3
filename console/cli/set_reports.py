"""``safelight set calibrate`` and ``safelight set robustness``: what a set's threshold costs, and what it finds."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import Progress

from console.cli.files import read_image
from console.cli.inspection import Inspection, open_inspection, verdict_on
from console.cli.session import Session, one_line, session_of, with_store
from shared.config import Settings
from shared.errors import DecodeError, UsageError
from shared.ports import Store
from shared.sealing import Sealer
from workers.encoders.encoder import Encoder
from workers.evaluation.robustness import Row, Subject, copies_of, open_picture, tabulate, try_copy
from workers.evaluation.robustness_page import render
from workers.image_sets.calibration import PER, Finding, Rate, Trial, assess, calibrated_threshold
from workers.image_sets.enrolment import ImageSets, SetContents, SetSummary
from workers.image_sets.trials import Tried, bank_trial, images_trial, tried, view_of
from workers.search.view import IndexView
from workers.serving.inspector import Inspector

NEAREST: Final = 5
NEAR_SCORE: Final = 50.0
"""Ordinary images that come this near are named, at most so many: a copy among them is no false match."""
ROWS_SHOWN: Final = 15
NameArgument = Annotated[str, typer.Argument(help="The set's name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(calibrate)
    app.command()(robustness)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """One trial and what it says; ``part`` of the inspection that it tried, ``left_out`` images by why."""

    source: str
    part: str
    trial: Trial
    finding: Finding
    left_out: Counter[str]
    nearest: tuple[Tried, ...] = ()


def calibrate(
    context: typer.Context,
    name: NameArgument,
    target_fpr: Annotated[float, typer.Option(help="Share of ordinary images that may match.")] = 1e-4,
    background: Annotated[
        Path | None, typer.Option(help="A folder of ordinary images; its sub-folders are strata.", show_default=False)
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Move the set's threshold to what was found.")] = False,
) -> None:
    """Find the threshold for a rate of false matches; without --apply nothing changes."""
    session = session_of(context)
    if not 0.0 < target_fpr < 1.0:
        raise UsageError(f"--target-fpr is a share of all images, over 0 and under 1, not {target_fpr}")
    files = _files_below(background) if background is not None else []

    async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
        sets = ImageSets(store, sealer)
        contents = await sets.show(name)
        if not contents.references:
            raise UsageError(f"{name} has no references: add some first")

        def narrow(encoder: Encoder) -> IndexView:
            return view_of(contents, encoder.id, encoder.calibration)

        async with open_inspection(settings, store, sealer, narrow=narrow) as inspection:
            assessed = [_try_bank(inspection.encoder, contents, target_fpr)]
            if background is not None:
                images = await _try_images(
                    session, inspection.inspector, contents.summary, background, files, settings.proxy.max_object
                )
                assessed.append(_assess_images(images, str(background), contents.summary, target_fpr))
        suggested = _suggest(assessed, target_fpr)
        if apply:
            await sets.move_threshold(name, suggested)
        _report(session, contents.summary, target_fpr, assessed, suggested, applied=apply)

    with_store(session, run)


def _suggest(assessed: Sequence[Assessed], target: float) -> float:
    """Return the threshold: a user's own images decide where there are any.

    The bank tries the encoder alone, so it may raise the threshold over the calibration's own, never lower it.
    """
    threshold = assessed[-1].finding.target.threshold
    return threshold if len(assessed) > 1 else max(threshold, calibrated_threshold(target))


def _files_below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise UsageError(f"{folder} holds no files")
    return files


def _try_bank(encoder: Encoder, contents: SetContents, target: float) -> Assessed:
    background = encoder.calibration.background
    try:
        pool, strata = bank_trial(
            contents, encoder.id, encoder.calibration, background.strata if background is not None else ()
        )
    except ValueError as error:
        raise UsageError(f"{encoder.id}: {error}; give your own images with --background") from error
    finding = assess(pool, strata, threshold=contents.summary.threshold, target=target)
    return Assessed(source="background bank", part="the encoder alone", trial=pool, finding=finding, left_out=Counter())


async def _try_images(
    session: Session, inspector: Inspector, summary: SetSummary, folder: Path, files: Sequence[Path], limit: int
) -> list[Tried | str]:
    """Return what the inspection says of each file, or why it does not count."""
    outcomes = []
    with Progress(transient=True, disable=not session.bars) as progress:
        for file in progress.track(files, description=f"trying {len(files)} images"):
            inner = file.relative_to(folder)
            stratum = inner.parts[0] if len(inner.parts) > 1 else "top folder"
            outcomes.append(tried(str(inner), stratum, await verdict_on(inspector, file, limit), summary))
    return outcomes


def _assess_images(outcomes: Sequence[Tried | str], source: str, summary: SetSummary, target: float) -> Assessed:
    left_out = Counter(outcome for outcome in outcomes if isinstance(outcome, str))
    images = [outcome for outcome in outcomes if isinstance(outcome, Tried)]
    if not images:
        left = _counted(left_out)
        raise UsageError(f"{source} holds no picture to try the set against ({left}): it takes some that are not in it")
    pool, strata = images_trial(images)
    near = [image for image in images if image.score >= NEAR_SCORE]
    return Assessed(
        source=source,
        part="the whole inspection",
        trial=pool,
        finding=assess(pool, strata, threshold=summary.threshold, target=target),
        left_out=left_out,
        nearest=tuple(sorted(near, key=lambda image: -image.score)[:NEAREST]),
    )


def _counted(left_out: Counter[str]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(left_out.items())) or "nothing"


def _report(
    session: Session,
    summary: SetSummary,
    target: float,
    assessed: Sequence[Assessed],
    suggested: float,
    *,
    applied: bool,
) -> None:
    found = assessed[-1].finding.target
    values: dict[str, object] = {
        "set": summary.name,
        "references": summary.size,
        "threshold": summary.threshold,
        "target_fpr": target,
        "suggested_threshold": suggested,
        "extrapolated": found.extrapolated,
        "applied": applied,
        "trials": [_trial_row(one) for one in assessed],
    }
    lines = [f"{summary.name}: {summary.size} references, threshold {summary.threshold:g}"]
    for one in assessed:
        lines += _trial_lines(one, target)
    done = "set" if applied else "not set; --apply sets it"
    if suggested > found.threshold:
        lines.append("  the bank tries the encoder alone: it does not lower a threshold under the calibration's own")
    lines.append(f"threshold for {_percent(target)}: {suggested:g}{_extrapolated(found)} ({done})")
    session.row(values, "\n".join(map(one_line, lines)))


def _trial_row(one: Assessed) -> dict[str, object]:
    finding = one.finding
    return {
        "source": one.source,
        "part": one.part,
        "images": one.trial.tried,
        "left_out": dict(one.left_out),
        "present": _rate_row(finding.present),
        "for_target": _rate_row(finding.target),
        "strata": {name: _rate_row(rate) for name, rate in finding.strata.items()},
        "worst_stratum": finding.worst if finding.strata else None,
        "nearest": [
            {"file": image.file, "reference": image.match.reference, "score": round(image.score, 2)}
            for image in one.nearest
            if image.match is not None
        ],
    }


def _rate_row(rate: Rate) -> dict[str, object]:
    low, high = rate.interval.low, rate.interval.high
    return {
        "threshold": rate.threshold,
        "false_matches": rate.count,
        "images": rate.tried,
        "fpr": rate.estimate,
        "fpr_interval": [low, high],
        "extrapolated": rate.extrapolated,
        "method": rate.method.value,
        "alerts_per_100000": round(rate.estimate * PER, 2),
        "alerts_interval": [round(low * PER, 2), round(high * PER, 2)],
    }


def _trial_lines(one: Assessed, target: float) -> list[str]:
    finding = one.finding
    left_out = f"; left out: {_counted(one.left_out)}" if one.left_out else ""
    lines = [f"  {one.source}: {one.trial.tried} images through {one.part}{left_out}"]
    lines.append(f"    at {finding.present.threshold:g}: {_rate_words(finding.present)}")
    if finding.strata:
        lines.append(f"    worst stratum, {finding.worst}: {_rate_words(finding.strata[finding.worst])}")
    else:
        lines.append("    worst stratum: not known, its images are of one pool")
    lines.append(f"    for {_percent(target)}: {finding.target.threshold:g}{_extrapolated(finding.target)}")
    lines += [
        f"    near: {image.file} like {image.match.name} ({image.score:.1f}); a copy, or unrelated?"
        for image in one.nearest
        if image.match is not None
    ]
    return lines


def _rate_words(rate: Rate) -> str:
    low, high = rate.interval.low, rate.interval.high
    return (
        f"{rate.count} of {rate.tried} match, {_percent(rate.estimate)}{_extrapolated(rate)},"
        f" 95 % interval {_percent(low)} to {_percent(high)};"
        f" {rate.estimate * PER:.3g} alerts per 100,000 images ({low * PER:.3g} to {high * PER:.3g})"
    )


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _extrapolated(rate: Rate) -> str:
    if not rate.extrapolated:
        return ""
    how = "" if rate.method.value == "tail" else " by the encoder's calibration"
    return f" (extrapolated from {rate.tried} images{how})"


def robustness(
    context: typer.Context,
    name: NameArgument,
    paths: Annotated[list[Path], typer.Argument(help="Images of the set: they are not kept, so give them again.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the report.", show_default=False)
    ] = None,
) -> None:
    """Tell which edits of your own images are found, the worst first; exit 1 if one of them is not in the set."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> bool:
        known = {r.sha256: r.reference for r in (await ImageSets(store, sealer).show(name)).references}
        async with open_inspection(settings, store, sealer) as inspection:
            subjects: list[Subject] = []
            for path in paths:
                subject = await _subject(session, inspection, name, path, known, settings.proxy.max_object)
                if subject is not None:
                    subjects.append(subject)
            if not subjects:
                raise UsageError(f"none of these images is in {name}")
            rows = await _rows(session, inspection, name, subjects)
            threshold = inspection.replica.current().sets[name].threshold
        _show(session, name, threshold, subjects, rows, output)
        return len(subjects) < len(paths)

    if with_store(session, run):
        raise typer.Exit(1)


async def _subject(
    session: Session, inspection: Inspection, name: str, path: Path, known: dict[str, str], limit: int
) -> Subject | None:
    """Return an image that is known to the set, by its bytes or as a match; None, and a note, for any other."""
    try:
        data = read_image(path, limit)
    except (OSError, DecodeError) as error:
        session.note(f"{path}: {error}")
        return None
    verdict = await inspection.inspector.inspect(data, hashlib.sha256(data).hexdigest())
    if verdict.error is not None:
        session.note(f"{path}: {verdict.error.code} ({verdict.error.message})")
        return None
    matched = [match.reference for match in verdict.matches if match.set == name and match.matched]
    reference = known.get(verdict.sha256, matched[0] if matched else None)
    if reference is None:
        session.note(f"{path}: {name} has no such image")
        return None
    # The sandbox has just decoded these bytes within its limits.
    return Subject(name=path.name, reference=reference, image=open_picture(data))


async def _rows(session: Session, inspection: Inspection, name: str, subjects: Sequence[Subject]) -> tuple[Row, ...]:
    copies, count = copies_of(subjects)
    with Progress(transient=True, disable=not session.bars) as progress:
        tracked = progress.track(copies, total=count, description=f"{count} edited copies")
        return tabulate([await try_copy(inspection.inspector, name, copy) for copy in tracked])


def _show(
    session: Session,
    name: str,
    threshold: float,
    subjects: Sequence[Subject],
    rows: Sequence[Row],
    output: Path | None,
) -> None:
    values: dict[str, object] = {
        "set": name,
        "threshold": threshold,
        "images": [{"name": subject.name, "reference": subject.reference} for subject in subjects],
        "copies": sum(row.tried for row in rows),
        "found": sum(row.found for row in rows),
        "matched": sum(row.matched for row in rows),
        "rows": [asdict(row) for row in rows],
    }
    if output is not None:
        try:
            output.mkdir(parents=True, exist_ok=True)
            (output / "robustness.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
            page = render(name, threshold, [subject.name for subject in subjects], rows)
            (output / "robustness.html").write_text(page, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write to {output}: {error.strerror}") from error
        values["report"] = str(output)
    if session.json:
        session.row(values, "")
        return
    columns = ("transformation", "strength", "matched", "found", "lowest_score", "worst_image")
    shown: list[dict[str, object]] = [
        asdict(row) | {"matched": f"{row.matched}/{row.tried}", "found": f"{row.found}/{row.tried}"}
        for row in rows[: ROWS_SHOWN if output is not None else None]
    ]
    session.table(columns, shown)
    print(f"{name}: {values['matched']} of {values['copies']} edited copies match at {threshold:g}")
    print("matched: at the threshold, as a copy where the set protects copies; found: its own reference, at any score")
    if output is not None:
        print(f"all {len(rows)} rows: {output / 'robustness.html'}")
