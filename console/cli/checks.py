"""``safelight check``: verdicts for files, offline, through the worker's own code path."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.inspection import open_inspection, verdict_on
from console.cli.session import one_line, session_of, with_store
from shared.codec import verdict_to_builtins
from shared.config import Settings
from shared.errors import UsageError
from shared.ports import Store
from shared.sealing import Sealer
from shared.types import Verdict


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    context: typer.Context, files: Annotated[list[Path], typer.Argument(help="Images, archives and documents.")]
) -> None:
    """Tell what a worker would say about files; exit 0 none matched, 1 some matched."""
    session = session_of(context)
    for file in files:
        if not file.is_file():
            raise UsageError(f"{file} is not a file")

    async def run(settings: Settings, store: Store, sealer: Sealer) -> bool:
        matched = False
        async with open_inspection(settings, store, sealer) as inspection:
            classifiers = tuple(inspection.classifiers.current().by_name)
            for file in files:
                verdict = await verdict_on(inspection.containers, file, settings.proxy.max_object, classifiers)
                matched |= any(match.matched for each in (verdict, *verdict.images) for match in each.matches)
                session.row(
                    {"file": str(file)} | verdict_to_builtins(verdict),
                    "\n".join(map(one_line, _lines(str(file), verdict))),
                )
        return matched

    if with_store(session, run):
        raise typer.Exit(1)


def _lines(file: str, verdict: Verdict) -> list[str]:
    if verdict.container is None:
        return [f"{file}: {_sentence(verdict)}"]
    info = verdict.container
    own = f"; {_sentence(verdict)}" if verdict.image is not None or verdict.error is not None else ""
    counted = f"{info.format}, {info.images_inspected} of {info.images} images inside inspected"
    lines = [f"{file}: {counted}{own}"]
    return lines + [f"  {image.path}: {_sentence(image)}" for image in verdict.images]


def _sentence(verdict: Verdict) -> str:
    if verdict.error is not None:
        return f"not inspected: {verdict.error.code} ({verdict.error.message})"
    matches = [
        f"{'match' if match.matched else 'near'} {match.set}/{match.name} score {match.score:.1f} ({match.relation})"
        for match in verdict.matches
    ]
    labels = [f"{label.classifier}: {label.label}, score {label.score:.1f}" for label in verdict.labels]
    return "; ".join([*(matches or ["no match"]), *labels])
