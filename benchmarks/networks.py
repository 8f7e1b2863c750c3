"""How long a small network is trained until it is as good as a classifier, on the same images.

    python -m benchmarks.networks [--shots 20 50] [--seconds 560] [-o FOLDER]

`safelight classifier evaluate --baseline cnn` on the document classes of the photographs' archives, in the environment
that `make setup-train` makes: the network that made the shipped encoder, fine-tuned from its weights and trained from
chance, on one core, beside the product.  Without torch or the archives nothing is measured, and that is said.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.pictures import CORPUS
from benchmarks.proxies import say
from benchmarks.reporting import options_parser, report_on, target

ROOT: Final = Path(__file__).resolve().parent.parent
TRAINING: Final = ROOT / ".venv-train" / "bin" / "python"
"""The interpreter that has torch."""
AIM: Final = 100.0
NOT_MEASURED: Final = 2
TITLES: Final[Mapping[str, str]] = {
    "network": "network",
    "shots": "images a label",
    "images": "images",
    "named": "named at FPR .5 %",
    "product": "classifier's",
    "reached": "as good",
    "seconds": "processor s",
    "product_seconds": "the classifier's",
    "ratio": "times as long",
    "fit_ratio": "as the fit alone",
}


def missing(corpus: Path = CORPUS, python: Path = TRAINING) -> str:
    """Say what is not here and how to get it; empty where nothing is missing."""
    if not python.exists():
        return f"torch is not here: make setup-train ({python.parent.parent.name} is missing)"
    if not corpus.is_dir():
        return "the archives of photographs are not here: name their folder in SAFELIGHT_CORPUS"
    return ""


def figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of an evaluation's report as JSON; raises LookupError where no network was trained."""
    tables = [(part, table) for part in report["sections"] for table in part["tables"] if table["name"] == "networks"]
    section, table = tables[0]
    plots = [plot for plot in section["plots"] if plot["name"].startswith("networks")]
    return {
        "title": "Networks trained by back-propagation beside a classifier",
        "tables": [
            {"name": "targets", "title": "Targets", "rows": [_target(row) for row in _longest(table["rows"])]},
            {
                "name": "networks",
                "title": "To the classifier's accuracy, on the same images",
                "note": f"{section['text']} {table['note']}",
                "rows": [{title: row[key] for key, title in TITLES.items()} for row in table["rows"]],
            },
        ],
        "plots": [
            {
                "name": plot["name"].replace("_", "-"),
                "title": plot["title"],
                "x_title": "processor seconds of one core",
                "y_title": "named at FPR .5 %",
                "series": plot["series"],
            }
            for plot in plots
        ],
    }


def _longest(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of each number of images the network that was as good first, or else that was trained longest."""
    kept: dict[int, Mapping[str, Any]] = {}
    for row in rows:
        before = kept.get(row["shots"])
        if before is None or _order(row) < _order(before):
            kept[row["shots"]] = row
    return list(kept.values())


def _order(row: Mapping[str, Any]) -> tuple[bool, float]:
    reached = row["reached"] == "yes"
    return (not reached, float(row["seconds"]) if reached else -float(row["seconds"]))


def _target(row: Mapping[str, Any]) -> dict[str, Any]:
    how = "" if row["reached"] == "yes" else ", which it never was: at least"
    what = f"{row['shots']} images a label: processor time of a network until as good / the classifier's{how}"
    return target(what, float(row["ratio"]), AIM, least=True)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Evaluate once."""
    config = folder / "safelight.json"
    config.write_text(json.dumps({"data_dir": str(folder / "data")}))
    shots = [part for count in options.shots for part in ("--shots", str(count))]
    command = [str(TRAINING), "-m", "console.cli", "--config", str(config), "classifier", "evaluate"]
    command += ["--data", str(CORPUS), *shots, "--draws", "1", "--baseline", "cnn"]
    command += ["--baseline-seconds", str(options.seconds), "-o", str(folder / "report")]
    say(" ".join(command[3:]))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    return figures(json.loads((folder / "report" / "report.json").read_text()))


def main() -> int:
    """Measure, print and write, or say loudly why not."""
    parser = options_parser(__doc__)
    parser.add_argument("--shots", type=int, nargs="+", default=[20], help="images a label")
    parser.add_argument("--seconds", type=float, default=560.0, help="processor seconds of the longest training")
    options = parser.parse_args()
    if lacks := missing():
        sys.stderr.write(f"!!!!!! NOT MEASURED: {lacks} !!!!!!\n")
        return NOT_MEASURED
    return report_on(options, "networks", measure)


if __name__ == "__main__":
    sys.exit(main())
