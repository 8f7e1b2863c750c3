"""``safelight encoder evaluate``: recall, false positives and cost, as tables, JSON and a page."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.session import Session, session_of

if TYPE_CHECKING:
    from workers.evaluation.tables import Report, Table

PROGRESS_SECONDS = 0.5


class ProgressLine:
    """One line that is written over, on a terminal only: a log file needs none of it."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._last = 0.0

    def __call__(self, what: str, done: int, count: int) -> None:
        """Show how far something is."""
        now = time.monotonic()
        if self._shown and (now - self._last >= PROGRESS_SECONDS or done == count):
            self._last = now
            end = "\n" if done == count else ""
            print(f"\r\033[K{what} {done:,} of {count:,}", end=end, file=sys.stderr, flush=True)


def register(app: typer.Typer) -> None:
    """Add the command to those on encoders."""
    app.command()(evaluate)


def evaluate(  # noqa: PLR0913, PLR0917 - the options of a command
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Archives of pictures, or any folder of them (default: drawn ones only)."
        ),
    ] = None,
    encoder: Annotated[str, typer.Option(help="Encoder version (default: the configured one).")] = "",
    references: Annotated[int, typer.Option(min=4, max=5000, help="References of the recall benchmark.")] = 300,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", file_okay=False, help="Folder for report.html and report.json.")
    ] = None,
    section: Annotated[
        list[str] | None, typer.Option(help="Only this section; may be given several times, 'all' for every one.")
    ] = None,
    share: Annotated[float, typer.Option(min=0.001, max=1.0, help="Everything on this part of its full size.")] = 1.0,
    quick: Annotated[bool, typer.Option("--quick", help="As --share 0.2.")] = False,
    drawn: Annotated[bool, typer.Option("--drawn", help="With --data: the recall of drawn pictures, too.")] = False,
) -> None:
    """Measure an encoder and the whole path: recall, false positives, milliseconds.

    Nothing is kept but the report; the pictures are read and forgotten.
    """
    from workers.encoders.files import IMPORTED
    from workers.evaluation.bench import QUICK_SHARE, Options
    from workers.evaluation.run import evaluate as run
    from workers.evaluation.run import expected_seconds
    from workers.evaluation.tables import as_text

    session = session_of(context)
    settings = session.settings()
    options = Options(
        data=data,
        encoder=encoder or settings.worker.encoder,
        imported=settings.data_dir / IMPORTED,
        references=references,
        share=QUICK_SHARE if quick else share,
        drawn=drawn,
        sections=tuple(name for name in section or () if name != "all"),
    )
    session.note(f"this takes about {max(1, round(expected_seconds(options) / 60))} minutes on one core")
    report = run(options, ProgressLine())
    hand_over(session, report, output, lambda table, width: f"{table.title}\n{as_text(table, width)}")


def hand_over(session: Session, report: Report, output: Path | None, words: Callable[[Table, int | None], str]) -> None:
    """Write a report as page and JSON to ``output``, and print it: JSON, or ``words`` of each table at a width."""
    from workers.evaluation.tables import as_json

    if output is not None:
        write_report(report, output)
    if session.json:
        print(json.dumps(as_json(report)))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for part in report.sections:
            print(f"\n{part.title}\n{part.text}")
            for table in part.tables:
                print(f"\n{words(table, width)}")
    if output is not None:
        session.note(f"wrote {output / 'report.html'} and report.json")


def write_report(report: Report, output: Path) -> None:
    """Write a report's page and its JSON to a folder."""
    from workers.evaluation.page import render
    from workers.evaluation.tables import as_json

    output.mkdir(parents=True, exist_ok=True)
    (output / "report.html").write_text(render(report), encoding="utf-8")
    (output / "report.json").write_text(json.dumps(as_json(report), indent=1) + "\n", encoding="utf-8")
