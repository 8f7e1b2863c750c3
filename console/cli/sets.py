"""``safelight set``: the images to protect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.progress import Progress

from console.cli import set_history, set_reports
from console.cli.files import read_image
from console.cli.inspection import Inspection, open_inspection
from console.cli.session import Session, one_line, session_of, with_store
from shared.config import Settings
from shared.errors import DecodeError, ErrorCode, UsageError
from shared.ports import Store
from shared.sealing import Sealer
from shared.types import Reference
from workers.encoders.in_force import settle
from workers.image_sets.enrolling import Submitted, add_all
from workers.image_sets.enrolment import AddResult, ImageSets, SetSummary
from workers.references.kept_bytes import bytes_kept

UNREADABLE: Final = "unreadable"
app = typer.Typer(help="Image sets: the images to protect.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="The set's name.")]
PurgeOption = Annotated[
    bool, typer.Option("--purge", help="Forget at once what is removed, and what was before: no rollback past this.")
]
set_reports.register(app)
set_history.register(app)


@app.command()
def create(
    context: typer.Context,
    name: NameArgument,
    threshold: Annotated[float, typer.Option(min=0, max=100, help="Score at which an image matches.")] = 85.0,
    relation: Annotated[
        Literal["copy", "any"], typer.Option(help="copy: the same picture, edited; any: the same layout too.")
    ] = "copy",
    thorough: Annotated[
        bool | None,
        typer.Option(
            "--thorough/--quick",
            help="Search local features for every image, or only where one comes near; "
            "by default for every image while the set is small and the worker keeps up.",
        ),
    ] = None,
    prior: Annotated[
        float, typer.Option(help="Share of inspected images that show one of the set's, over 0 and under 1.")
    ] = 0.01,
    keep_thumbnail: Annotated[
        bool, typer.Option("--keep-thumbnail", help="Keep a small encrypted picture of each reference.")
    ] = False,
) -> None:
    """Create an image set."""
    session = session_of(context)

    async def run(_: Settings, store: Store, sealer: Sealer) -> None:
        created = await ImageSets(store, sealer).create(
            name, threshold, relation, thorough=thorough, prior=prior, keep_thumbnail=keep_thumbnail
        )
        session.row(_options(created), f"created {name} ({_in_words(created)})")

    with_store(session, run)


def _options(summary: SetSummary) -> dict[str, object]:
    return {
        "set": summary.name,
        "threshold": summary.threshold,
        "relation": summary.relation,
        "thorough": summary.thorough,
        "prior": summary.prior,
        "keep_thumbnail": summary.keep_thumbnail,
    }


def _in_words(summary: SetSummary) -> str:
    words = [f"threshold {summary.threshold:g}", f"prior {summary.prior:g}"]
    words += ["any relation"] if summary.relation == "any" else []
    words += [] if summary.thorough is None else ["thorough" if summary.thorough else "quick"]
    words += ["keeps thumbnails"] if summary.keep_thumbnail else []
    return ", ".join(words)


@app.command()
def threshold(
    context: typer.Context,
    name: NameArgument,
    value: Annotated[float, typer.Argument(min=0, max=100, help="Score at which an image matches.")],
) -> None:
    """Move a set's threshold; in force in every worker within a second."""
    session = session_of(context)

    async def run(_: Settings, store: Store, sealer: Sealer) -> None:
        moved = await ImageSets(store, sealer).move_threshold(name, value)
        session.row({"set": name, "threshold": moved.threshold}, f"{name}: threshold {moved.threshold:g}")

    with_store(session, run)


@app.command()
def add(
    context: typer.Context,
    name: NameArgument,
    paths: Annotated[list[Path], typer.Argument(help="Images, archives, documents, or folders with --recursive.")],
    recursive: Annotated[bool, typer.Option("--recursive", help="Take every file below folders.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Add images that are blank, tiny or like many others too.")
    ] = False,
) -> None:
    """Add images, also each one in an archive or a document; searchable in every worker within a second."""
    session = session_of(context)
    files = list(_files(paths, recursive))
    if not files:
        session.note(f"there are no files below {', '.join(map(str, paths))}")

    async def run(settings: Settings, store: Store, sealer: Sealer) -> int:
        sets = ImageSets(store, sealer)
        await sets.show(name)  # an unknown set is said before the encoder is loaded
        rejected = 0
        async with open_inspection(settings, store, sealer) as inspection:
            await settle(store, inspection.name)
            with Progress(transient=True, disable=not session.bars or len(files) < 2) as progress:
                task = progress.add_task(f"adding to {name}", total=len(files))
                images = _submitted(name, files, inspection, settings.proxy.max_object)
                adding = add_all(sets, name, images, inspection.inspector, inspection.replica, force=force)
                async with aclosing(adding) as results:
                    async for place, result in results:
                        progress.update(task, completed=place.number)
                        rejected += result.status == "rejected"
                        _report(session, place.path, result)
        return rejected

    if with_store(session, run):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where an image is: in the file of that number, the first is 1, and by what path."""

    number: int
    path: Path


async def _submitted(
    name: str, files: Sequence[Path], inspection: Inspection, limit: int
) -> AsyncGenerator[Submitted[_Place]]:
    """Yield each file, or each image in it; one that cannot be read, or is larger than ``limit`` bytes, is refused."""
    for number, path in enumerate(files, 1):
        place = _Place(number=number, path=path)
        try:
            data = await asyncio.to_thread(read_image, path, limit)
        except OSError as error:
            yield _refused(place, _rejected(name, path, UNREADABLE, str(error.strerror)))
            continue
        except DecodeError as error:
            yield _refused(place, _rejected(name, path, error.code, str(error)))
            continue
        contents = await inspection.containers.contents(data)
        if contents is None:
            yield Submitted(place=place, name=path.name, data=data)
            continue
        for image in contents.found:
            inner = replace(place, path=path / image.path)
            yield Submitted(place=inner, name=f"{path.name}/{image.path}", data=image.data)
        for part in contents.unread:
            inner = replace(place, path=path / part.path)
            yield _refused(inner, _rejected(name, inner.path, part.error.code, part.error.message))
        if not contents.found and not contents.unread:
            yield _refused(place, _rejected(name, path, ErrorCode.NOT_AN_IMAGE, "no image inside"))


def _refused(place: _Place, result: AddResult) -> Submitted[_Place]:
    return Submitted(place=place, name=result.name, refused=result)


def _rejected(name: str, path: Path, error: str, message: str) -> AddResult:
    return AddResult(set=name, name=path.name, reference="", sha256="", status="rejected", error=error, message=message)


def _report(session: Session, path: Path, result: AddResult) -> None:
    values: dict[str, object] = {
        "set": result.set,
        "path": str(path),
        "reference": result.reference,
        "sha256": result.sha256,
        "status": result.status,
        "error": result.error or None,
        "message": result.message or None,
        "warnings": list(result.warnings),
    }
    outcome = f": {result.error} ({result.message})" if result.error else f" ({result.reference})"
    lines = [f"{result.status:9} {path}{outcome}", *(f"          {warning}" for warning in result.warnings)]
    session.row(values, "\n".join(map(one_line, lines)))


def _files(paths: list[Path], recursive: bool) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            if not recursive:
                raise UsageError(f"{path} is a folder; add --recursive to take the files below it")
            yield from sorted(inner for inner in path.rglob("*") if inner.is_file())
        elif path.is_file():
            yield path
        else:
            raise UsageError(f"{path} does not exist")


@app.command()
def show(
    context: typer.Context,
    name: NameArgument,
    thumbnails: Annotated[
        Path | None, typer.Option(help="Write the kept pictures into this folder, decrypted.", show_default=False)
    ] = None,
) -> None:
    """Show a set and its references, and the bytes that are kept of each."""
    session = session_of(context)

    async def run(_: Settings, store: Store, sealer: Sealer) -> None:
        sets = ImageSets(store, sealer)
        contents = await sets.show(name)
        rows = [_reference_row(reference) for reference in contents.references]
        values = _options(contents.summary) | {"references": rows}
        lines = [f"{name}: {_in_words(contents.summary)}, {len(rows)} references"]
        lines += [f"  {r.reference}  {r.name}  {sum(bytes_kept(r).values())} bytes" for r in contents.references]
        if thumbnails is not None:
            written = _write(await _thumbnails(sets, contents.references), thumbnails)
            values |= {"thumbnails": written}
            lines.append(f"{len(written)} thumbnails in {thumbnails}")
        session.row(values, "\n".join(map(one_line, lines)))

    with_store(session, run)


def _reference_row(reference: Reference) -> dict[str, object]:
    kept = bytes_kept(reference)
    return {
        "reference": reference.reference,
        "name": reference.name,
        "sha256": reference.sha256,
        "bytes": {**kept, "total": sum(kept.values())},
    }


async def _thumbnails(sets: ImageSets, references: tuple[Reference, ...]) -> dict[str, bytes]:
    kept = {one.reference: await sets.thumbnail(one.set, one.reference) for one in references}
    return {f"{reference}.jpg": picture for reference, picture in kept.items() if picture}


def _write(pictures: dict[str, bytes], folder: Path) -> list[str]:
    """Write files and return their paths; raises UsageError where the folder cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            (folder / name).write_bytes(picture)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
    return [str(folder / name) for name in pictures]


@app.command()
def remove(
    context: typer.Context,
    name: NameArgument,
    references: Annotated[list[str], typer.Argument(help="Reference ids, as `set show` lists them.")],
    purge: PurgeOption = False,
) -> None:
    """Remove references from a set; exit 1 if the set has not all of them."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> bool:
        sets = ImageSets(store, sealer, keep_days=settings.index.keep_days)
        result = await sets.remove(name, references, purge=purge)
        for reference in result.removed:
            session.row({"set": name, "reference": reference, "status": "removed"}, f"removed {reference}")
        for reference in result.unknown:
            session.row({"set": name, "reference": reference, "status": "unknown"}, f"{name} has no {reference}")
        return bool(result.unknown)

    if with_store(session, run):
        raise typer.Exit(1)


@app.command("list")
def list_(context: typer.Context) -> None:
    """List the sets."""
    session = session_of(context)

    async def run(_: Settings, store: Store, sealer: Sealer) -> None:
        summaries = await ImageSets(store, sealer).list()
        rows = [_options(summary) | {"references": summary.size} for summary in summaries]
        session.table(("set", "threshold", "relation", "thorough", "prior", "keep_thumbnail", "references"), rows)

    with_store(session, run)


@app.command()
def delete(context: typer.Context, name: NameArgument, purge: PurgeOption = False) -> None:
    """Delete a set and all its references."""
    session = session_of(context)

    async def run(settings: Settings, store: Store, sealer: Sealer) -> None:
        await ImageSets(store, sealer, keep_days=settings.index.keep_days).delete(name, purge=purge)
        session.row({"deleted": name}, f"deleted {name}")

    with_store(session, run)
