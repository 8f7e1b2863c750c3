"""``make bench``: all benchmarks of the project, one after the other, side by side with their baselines.

``make bench ARGS="latency --seconds 60"`` runs one of them with arguments of its own, ``ARGS=list`` says which there
are, ``ARGS="-o benchmarks/reports/mine"`` puts the report of a whole run elsewhere than under benchmarks/results, and
``ARGS="report -o FOLDER"`` writes it from the figures that are there already.  One that fails is reported, and the
others run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.reporting import write_run
from benchmarks.sections import SECTIONS, Section, listing, named

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = Path(__file__).parent / "results"
UNWIND_SECONDS: Final = 45.0


def run_section(section: Section, folder: Path, arguments: Sequence[str], limit: float | None = None) -> int:
    """Run one to its end and return its exit status; after ``limit`` seconds it is told to take itself down."""
    # A session of its own: Ctrl-C in the terminal reaches it once, from here.
    with subprocess.Popen(section.command(folder, arguments), cwd=ROOT, start_new_session=True) as process:
        try:
            return process.wait(limit)
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
            process.send_signal(signal.SIGINT)  # not SIGTERM: it ends the servers and proxies that it started
            try:
                status = process.wait(UNWIND_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                status = process.wait()
            if isinstance(error, KeyboardInterrupt):
                raise
            return status or 1


def run_all(sections: Sequence[Section], report: Path, results_folder: Path = RESULTS) -> int:
    """Run these and write the report; 1 where one failed."""
    results_folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for number, section in enumerate(sections, start=1):
        sys.stdout.write(f"\n[{number}/{len(sections)}] {section.name}: {section.measures} (~{section.seconds} s)\n")
        sys.stdout.flush()
        file = results_folder / f"{section.name}.json"
        file.unlink(missing_ok=True)
        begun = time.monotonic()
        status = run_section(section, results_folder, section.quick, section.limit)
        if file.exists():
            results[section.name] = json.loads(file.read_text()) | {"seconds": round(time.monotonic() - begun)}
        if status:
            needs = f"; it needs {section.needs}" if section.needs else ""
            failed[section.name] = f"ended with status {status} after {time.monotonic() - begun:.0f} s{needs}"
    for name, why in failed.items():
        sys.stdout.write(f"{name}: {why}\n")
    sys.stdout.write(f"\n{write_run(report, results, left_out(results) | failed)}\n")
    return 1 if failed else 0


def write_anew(report: Path, results_folder: Path = RESULTS) -> int:
    """Write the report of the figures that are there, whenever each was measured."""
    files = {section.name: results_folder / f"{section.name}.json" for section in SECTIONS}
    results = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    sys.stdout.write(f"{write_run(report, results, left_out(results))}\n")
    return 0


def left_out(results: Mapping[str, Any]) -> dict[str, str]:
    """Say which sections a report has no figures of."""
    return {section.name: f"left out: {section.measures}" for section in SECTIONS if section.name not in results}


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for."""
    if arguments[:1] == ["list"]:
        sys.stdout.write(listing())
        return 0
    rewrite = arguments[:1] == ["report"]
    if arguments and not rewrite and not arguments[0].startswith("-"):
        section = named(arguments[0])
        if section is None:
            known = ", ".join(section.name for section in SECTIONS)
            sys.stderr.write(f"there is no benchmark {arguments[0]!r}; known: {known}\n")
            return 2
        return run_section(section, RESULTS, arguments[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-o", "--output", type=Path, default=RESULTS, help="folder for report.md, plots and report.json"
    )
    parser.add_argument("--only", nargs="+", help="these sections, with the arguments of a whole run")
    options = parser.parse_args(arguments[1:] if rewrite else arguments)
    if rewrite:
        return write_anew(options.output)
    wanted = [each for each in SECTIONS if (each.name in options.only if options.only else not each.alone)]
    return run_all(wanted, options.output)


if __name__ == "__main__":
    # As Ctrl-C does: the section that runs is told, and takes along what it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
