"""``safelight set``: the images to protect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import Progress

from console.cli.inspection import open_inspector, read_image
from console.cli.session import Session, session_of, with_store
from shared.config import Settings
from shared.errors import DecodeError, UsageError
from shared.ports import Store
from shared.sealing import Sealer
from workers.enrolment import AddResult, ImageSets
from workers.inspector import Inspector

UNREADABLE: Final = "unreadable"
app = typer.Typer(help="Image sets: the images to protect.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="The set's name.")]


@app.command()
def create(
    context: typer.Context,
    name: NameArgument,
    threshold: Annotated[float, typer.Option(min=0, max=100, help="Score at which an image matches.")] = 85.0,
) -> None:
    """Create an image set."""
    session = session_of(context)

    async def run(_: Settings, store: Store, sealer: Sealer) -> None:
        await ImageSets(store, sealer).create(name, threshold)
        session.row({"set": name, "threshold": threshold}, f"created {name} (threshold {threshold:g})")

    with_store(session, run)


@app.command()
def add(
    context: typer.Context,
    name: NameArgument,
    paths: Annotated[list[Path], typer.Argument(help="Image files, or folders with --recursive.")],
    recursive: Annotated[bool, typer.Option("--recursive", help="Take every file below folders.")] = False,
) -> None:
    """Add images; searchable in every worker within a second."""
    session = session_of(context)
    files = list(_files(paths, recursive))

    async def run(settings: Settings, store: Store, sealer: Sealer) -> int:
        sets = ImageSets(store, sealer)
        await sets.show(name)  # an unknown set is said before the encoder is loaded
        rejected = 0
        async with open_inspector(settings, store, sealer) as inspector:
            with Progress(transient=True, disable=session.json or len(files) < 2) as progress:
                for path in progress.track(files, description=f"adding to {name}"):
                    result = await _add(sets, name, path, inspector, settings.proxy.max_object)
                    rejected += result.status == "rejected"
                    _report(session, path, result)
        return rejected

    if with_store(session, run):
        raise typer.Exit(1)


async def _add(sets: ImageSets, name: str, path: Path, inspector: Inspector, limit: int) -> AddResult:
    """Add a file; one that cannot be read, or is larger than ``limit`` bytes, is rejected like a broken one."""
    try:
        data = read_image(path, limit)
    except OSError as error:
        return _rejected(name, path, UNREADABLE, str(error.strerror))
    except DecodeError as error:
        return _rejected(name, path, error.code, str(error))
    return await sets.add(name, path.name, data, inspector)


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
    }
    session.row(
        values,
        f"{result.status:9} {path}"
        + (f": {result.error} ({result.message})" if result.error else f" ({result.reference})"),
    )


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
def show(context: typer.Context, name: NameArgument) -> None:
    """Show a set and its references."""
    session = session_of(context)

    async def run(_: Settings, store: Store, sealer: Sealer) -> None:
        contents = await ImageSets(store, sealer).show(name)
        references = [
            {"reference": reference.reference, "name": reference.name, "sha256": reference.sha256}
            for reference in contents.references
        ]
        values: dict[str, object] = {
            "set": name,
            "threshold": contents.summary.threshold,
            "relation": contents.summary.relation,
            "references": references,
        }
        lines = [f"{name}: threshold {contents.summary.threshold:g}, {len(references)} references"]
        lines += [f"  {reference['reference']}  {reference['name']}" for reference in references]
        session.row(values, "\n".join(lines))

    with_store(session, run)


@app.command()
def remove(
    context: typer.Context,
    name: NameArgument,
    references: Annotated[list[str], typer.Argument(help="Reference ids, as `set show` lists them.")],
) -> None:
    """Remove references from a set; exit 1 if the set has not all of them."""
    session = session_of(context)

    async def run(_: Settings, store: Store, sealer: Sealer) -> bool:
        result = await ImageSets(store, sealer).remove(name, references)
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
        rows: list[dict[str, object]] = [
            {
                "set": summary.name,
                "threshold": summary.threshold,
                "relation": summary.relation,
                "references": summary.size,
            }
            for summary in await ImageSets(store, sealer).list()
        ]
        session.table(("set", "threshold", "relation", "references"), rows)

    with_store(session, run)


@app.command()
def delete(context: typer.Context, name: NameArgument) -> None:
    """Delete a set and all its references."""
    session = session_of(context)

    async def run(_: Settings, store: Store, sealer: Sealer) -> None:
        await ImageSets(store, sealer).delete(name)
        session.row({"deleted": name}, f"deleted {name}")

    with_store(session, run)
