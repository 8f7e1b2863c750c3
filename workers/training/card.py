"""The model card: what an encoder is, what it was trained on and under which licences, what it measured."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from workers.decoding.reference_views import VIEWS
from workers.encoders.files import Precision

DOCUMENT_SOURCES: Final = (
    "zxing/zxing (Apache-2.0), janosh/diagrams (MIT), zzzDavid/ICDAR-2019-SROIE (MIT), jmcnamara/XlsxWriter (BSD-2),"
    " applicaai/kleister-nda (public SEC filings), vega/vega-lite (BSD-3-Clause), has2k1/plotnine (MIT),"
    " HTR-United/tapuscorpus (CC-BY 4.0), PHPOffice/PhpSpreadsheet (MIT),"
    " agchung/Actualmed-COVID-chestxray-dataset and agchung/Figure1-COVID-chestxray-dataset (research only)"
)
SCREENSHOT_SOURCES: Final = (
    "JabRef/user-documentation (CC-BY-SA 4.0), glpi-project/doc (CC-BY-SA 3.0 FR),"
    " mautic/mautic-documentation (Apache-2.0), wagtail/wagtail (BSD-3-Clause)"
)
OWN: Final = "images"
"""What the sources of a folder's pictures begin with."""
# Source archive -> (repositories, licence as they state it).
SOURCES: Final[Mapping[str, tuple[str, str]]] = {
    OWN: ("a folder of whoever trained it", "theirs"),
    "drawn": ("this project (workers/training/drawing)", "Apache-2.0"),
    "photos/clothing": ("alexeygrigorev/clothing-dataset", "CC0 1.0"),
    "photos/grocery": ("marcusklasson/GroceryStoreDataset", "MIT"),
    "photos/trashnet": ("garythung/trashnet (by way of congduytran12/Trash-Classification-)", "MIT upstream"),
    "photos/tiny_imagenet64": ("seshuad/IMagenet (Tiny ImageNet 200)", "none stated; ImageNet terms (research)"),
    "photos/imagenet_samples": ("EliSchwartz/imagenet-sample-images", "none stated; ImageNet terms (research)"),
    "photos/bsds500": ("BIDS/BSDS500", "non-commercial research and education"),
    "photos/pets": ("chanakya2734/Image-classification-using-CNN", "none stated; provenance unclear"),
    "photos/aerial_rsscn7": ("palewithout/RSSCN7", "none stated; research data set"),
    "photos/scenes15": ("jaaumeadrover/Landscape-Image-Classification", "none stated; research data set"),
    "photos/intel_scenes": ("muhammadnouman911/intel_image_classification", "none stated"),
    "classes/documents": (DOCUMENT_SOURCES, "per repository"),
    "classes/handwriting": ("HTR-United/CREMMA-MSS-18, HTR-United/lectaurep-repertoires", "CC-BY 4.0"),
    "classes/screenshots": (SCREENSHOT_SOURCES, "per repository"),
    "classes/synthetic": ("synthetic cards, invoices and code screenshots made for this project", "project's own"),
}


def training_data(cache_meta: Path) -> list[dict[str, Any]]:
    """One entry a source with the number of pictures trained on, from the cache's `meta.json`; a folder is one."""
    kept = json.loads(cache_meta.read_text())["source"]
    counts = Counter(OWN if name.startswith(f"{OWN}/") else name for name in kept)
    return [
        {"source": name, "pictures": count, "from": SOURCES[name][0], "licence": SOURCES[name][1]}
        for name, count in sorted(counts.items())
    ]


def run_facts(curve: Path) -> dict[str, Any]:
    """What the run took, from the last line of `loss.jsonl`."""
    last = json.loads(curve.read_text().splitlines()[-1])
    return {
        "steps": last["step"],
        "views": last["views"],
        "minutes": round(last["elapsed_s"] / 60, 1),
        "machine": "one CPU core (AVX-512 BF16), bf16 autocast, shared with other work",
        "final_loss": last["loss"],
    }


LONGEST_TABLE: Final = 40
"""Rows of an evaluation's table that still belongs in a card: the transformations by strength are 81."""


def measured(reports: list[Path]) -> dict[str, Any]:
    """The figures of `safelight encoder evaluate -o` reports: section by section, its facts and its shorter tables."""
    found: dict[str, Any] = {}
    for path in reports:
        report = json.loads(path.read_text(encoding="utf-8"))
        for section in report["sections"]:
            tables = {t["name"]: t["rows"] for t in section["tables"] if len(t["rows"]) <= LONGEST_TABLE}
            found[section["name"]] = {"facts": report["facts"], "text": section["text"], **tables}
    return found


def accuracy_loss(methods: list[dict[str, Any]], precision: Precision) -> dict[str, float] | None:
    """What a precision's vectors lose in recall against fp32's, from the table of methods; None where it has none."""
    rows = {row["method"]: row for row in methods}
    full, other = rows.get("encoder fp32"), rows.get(f"encoder {precision}")
    if full is None or other is None:
        return None
    return {key: round(full[key] - other[key], 4) for key in ("r1", "uap", "r_p99")}


def version_card(
    name: str, side: int, precisions: Mapping[Precision, Mapping[str, Any]], run: Path | None
) -> dict[str, Any]:
    """The whole of `card.json` for a version that was just exported; `run` is its training's folder, if it is known.

    What is measured on it later (recall, rehearsal, each precision's `accuracy_loss`) is None until then.
    """
    return {
        "id": name,
        "file": precisions["fp32"]["file"],
        "sha256": precisions["fp32"]["sha256"],
        "precisions": {precision: dict(facts) for precision, facts in precisions.items()},
        "architecture": "f1: 2.71 M parameters, residual 3x3 convolutions, GeM pooling, whitened linear head",
        "input": {
            "name": "x",
            "type": "float32",
            "shape": ["N", 3, side, side],
            "range": "RGB 0..255",
            "preprocessing": f"EXIF orientation applied, transparency on white, RGB, squashed to {side} x {side}: area "
            "average (Pillow BOX) where both sides shrink, else bilinear; normalisation is in the graph",
        },
        "output": {"name": "z", "type": "float32", "shape": ["N", 512], "norm": "L2 = 1"},
        "dimension": 512,
        "side": side,
        "weights": "stored as float16 (int8 in the int8 file's trunk)",
        "compute": {
            "fp32": "float32",
            "int8": "trunk after the first convolution: uint8 activations, int8 weights per channel within +-64, which"
            " no CPU saturates; the rest float32",
            "fp16": "convolutional trunk float16; standardisation, pooling, head and norm float32",
        },
        "reference_views": list(VIEWS),
        "training": None if run is None else training_facts(run),
        "licence_note": "Some sources are for research only or state no licence: check before redistributing."
        " What the freely licensed sources and the drawings alone would give has not been measured.",
        "measured": None,
        "rehearsal": None,
        "limits": [
            "Look-alike garments on one floor are the usual false match.",
            "Quarter turns are found by PDQ's variants and the enrolled views more surely than by the bare cosine.",
            "One vector mostly misses collages, small pastes and crops under a quarter: local features find them.",
        ],
    }


def training_facts(run: Path) -> dict[str, Any]:
    """What is known of a training from its folder: steps, recipe, pictures by source."""
    return {
        **run_facts(run / "loss.jsonl"),
        "recipe": "InfoNCE (temperature .05, queue of earlier vectors) + KoLeo + decorrelation, AdamW, cosine schedule,"
        " weight average",
        "held_out": "every file whose SHA-256 is 0 modulo 4",
        "data": training_data(run / "cache" / "meta.json"),
    }


def main() -> None:
    """Command line: puts measurements into the card of an exported version."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of an encoder")
    parser.add_argument("--report", type=Path, action="append", help="report.json of `encoder evaluate`; repeatable")
    parser.add_argument("--rehearsal", type=Path, help="JSON of workers.evaluation.rehearsal")
    arguments = parser.parse_args()
    path = arguments.folder / "card.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    if arguments.report:
        facts["measured"] = (facts["measured"] or {}) | measured(arguments.report)
        methods = facts["measured"].get("recall", {}).get("methods", [])
        for precision, entry in facts["precisions"].items():
            entry["accuracy_loss"] = accuracy_loss(methods, precision)
    if arguments.rehearsal:
        facts["rehearsal"] = json.loads(arguments.rehearsal.read_text(encoding="utf-8"))
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
