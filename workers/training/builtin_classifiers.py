"""The classifiers that ship: which pictures teach them, what they were measured to do, and the files.

Pictures of free licences alone teach, and the project's own drawings where these are few.  What is kept of one is its
row: no pixels, and neither a digest nor a perceptual hash of it.  The rates are of pictures that were kept out of it
all, by content, and for screens of programs that none of the teaching screens show.

    python -m workers.training.builtin_classifiers workers/models/ID --data ../shared/data
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import tarfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from PIL import Image

from shared.core.policy_conditions import OTHER
from workers.classifying.bank import Bank, bank_path, load_bank
from workers.classifying.builtin import PREFIX, builtin_path
from workers.classifying.calibration import NAMED_RATE
from workers.classifying.clusters import COSINE
from workers.classifying.dense_features import Floats, Pixels
from workers.classifying.fitting import Recipe, fit
from workers.classifying.model import Classifier, Example, pack
from workers.classifying.rates import Rate, Scored, measure
from workers.classifying.vectors import row_of, shipped_features, space_of, unit
from workers.encoders.files import EncoderCard, Precision, read_card
from workers.training.calibration import embed, input_side
from workers.training.classifier_bank import LEFT_OUT, see
from workers.training.dataset import Item, held_out
from workers.training.drawing import draw

LICENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "vega/vega-lite": "BSD-3-Clause",
        "has2k1/plotnine": "MIT",
        "jmcnamara/XlsxWriter": "BSD-2-Clause",
        "PHPOffice/PhpSpreadsheet": "MIT",
        "janosh/diagrams": "MIT",
        "zzzDavid/ICDAR-2019-SROIE": "MIT",
        "zxing/zxing": "Apache-2.0",
        "HTR-United/tapuscorpus": "CC-BY-4.0",
        "HTR-United/CREMMA-MSS-18": "CC-BY-4.0",
        "HTR-United/lectaurep-repertoires": "CC-BY-4.0",
        "mautic/mautic-documentation": "Apache-2.0",
        "wagtail/wagtail": "BSD-3-Clause",
        "generated for this project": "made for this project; source code: Python's library, PSF-2.0",
    }
)
"""Repositories whose pictures may teach; of others, pictures are only asked for."""
DRAWN: Final = MappingProxyType({"user_interface": 24, "dashboard": 16})
"""Drawings of each family that teach `application`."""
DRAWN_SEEDS: Final = 800_000_000
"""Of drawings that nothing else is trained, calibrated or measured with."""
NEGATIVES: Final = 60
"""Of another classifier's pictures, all labels together."""
ONE_IN: Final = 2
"""Of the unseen photographs so many, by content, are what false positives are measured on."""

DOCUMENTS: Final = MappingProxyType(
    {
        "barcode_1d_photo": "barcode",
        "chart": "chart",
        "diagram": "diagram",
        "handwritten_page": "handwriting",
        "handwritten_register_table": "handwriting",
        "synthetic_id_card": "identity_card",
        "synthetic_invoice": "invoice",
        "synthetic_credit_card": "payment_card",
        "qr_code_photo": "qr_code",
        "receipt": "receipt",
        "spreadsheet_screenshot": "spreadsheet",
        "typewritten_scan": "typewritten_page",
    }
)
SCREENS: Final = MappingProxyType({"app_screenshot": "application", "source_code_screenshot": "source_code"})
BUILTINS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {f"{PREFIX}documents": DOCUMENTS, f"{PREFIX}screens": SCREENS}
)
"""Labels by folder of pictures, for each classifier; the folders of one are the others' negatives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A picture: ``folder`` of the archive, ``source``, whether it teaches; what the encoder sees, hand-made kinds."""

    folder: str
    source: str
    teaches: bool
    pixels: Pixels
    handmade: Floats


def pictures(data: Path, side: int) -> Iterator[Known]:
    """The classes' pictures, those kept out too, drawings, and photographs that were kept out of every training."""
    repositories = _repositories(data)
    for source, folder, payload in _files(data):
        unseen = held_out(payload)
        digest = hashlib.sha256(payload).hexdigest()
        photograph = source.startswith("photos/")
        if source in LEFT_OUT or (photograph and not (unseen and int(digest[:8], 16) % ONE_IN == 0)):
            continue
        repository = repositories[digest]
        item = Item(source=source, group=folder, image=Image.open(io.BytesIO(payload)).convert("RGB"))
        teaches = not unseen and repository in LICENCES
        if photograph or unseen or teaches or folder in SCREENS:
            name = OTHER if photograph else folder
            yield _known(item, name, repository, side, teaches=teaches)
    for family, count in DRAWN.items():
        for number in range(count):
            item = Item(source="drawn", group=family, image=draw(family, DRAWN_SEEDS + number))
            yield _known(item, "app_screenshot", "drawn", side, teaches=True)


def _known(item: Item, folder: str, source: str, side: int, *, teaches: bool) -> Known:
    seen = see(item, side)
    handmade = seen.described(shipped_features())
    return Known(folder=folder, source=source, teaches=teaches, pixels=seen.pixels, handmade=handmade)


def _files(data: Path) -> Iterator[tuple[str, str, bytes]]:
    """Archive, folder in it and bytes of every file of the classes and the photographs, in a fixed order."""
    for archive in sorted((*data.glob("classes/*.tar"), *data.glob("photos/*.tar"))):
        with tarfile.open(archive) as tar:
            for member in tar:
                if (stream := tar.extractfile(member) if member.isfile() else None) is not None:
                    yield f"{archive.parent.name}/{archive.stem}", member.name.split("/")[0], stream.read()


def _repositories(data: Path) -> dict[str, str]:
    with gzip.open(data / "manifest.jsonl.gz", "rt", encoding="utf-8") as lines:
        return {entry["sha"]: entry["repo"] for entry in map(json.loads, lines) if "sha" in entry}


def make(
    name: str, known: Sequence[Known], rows: Floats, bank: Bank, card: EncoderCard, precision: Precision
) -> Classifier:
    """Fit one and measure it; ``rows`` are those of ``known``, for the precision."""
    labels = BUILTINS[name]
    examples = tuple(_examples(name, known, rows))
    space = space_of(card.files[precision].index_id)
    classifier = fit(Recipe(name=name, thresholds={}, mode="best"), examples, bank, space, time.time())
    asked = [number for number, one in enumerate(known) if not one.teaches and one.folder in labels]
    ordinary = [number for number, one in enumerate(known) if one.folder == OTHER]
    near = (unit(rows[ordinary]) @ unit(bank.rows).T).max(axis=1) >= COSINE
    ordinary = [number for number, twin in zip(ordinary, near, strict=True) if not twin]
    strange = [number for number, one in enumerate(known) if not one.teaches and one.folder in _elsewhere(labels)]
    scored = Scored(
        labels=classifier.labels,
        examples=classifier.scores(rows[asked]),
        numbers=np.array([classifier.labels.index(labels[known[number].folder]) for number in asked], np.intp),
        names=[known[number].source for number in asked],
        clusters=asked,
        others=classifier.scores(rows[ordinary]),
        strangers=classifier.scores(rows[strange]),
    )
    return replace(classifier, rates=measure(scored, classifier.thresholds, NAMED_RATE))


def _elsewhere(labels: Mapping[str, str]) -> set[str]:
    return {folder for own in BUILTINS.values() for folder in own} - set(labels)


def _examples(name: str, known: Sequence[Known], rows: Floats) -> Iterator[Example]:
    labels = BUILTINS[name]
    teaching = [number for number, one in enumerate(known) if one.teaches]
    own = [(number, labels[known[number].folder]) for number in teaching if known[number].folder in labels]
    others = [(number, OTHER) for number in teaching if known[number].folder in _elsewhere(labels)]
    spread = np.linspace(0, len(others) - 1, min(NEGATIVES, len(others))).astype(int)
    for count, (number, label) in enumerate([*own, *(others[place] for place in spread)]):
        # A name of its own for each, and no digest or hash of the picture.
        digest = hashlib.sha256(f"{name}/{count}".encode()).hexdigest()
        row = rows[number].astype(np.float16).tobytes()
        yield Example(sha256=digest, name=known[number].source, label=label, pdq=digest, row=row)


def facts(classifier: Classifier) -> dict[str, object]:
    """What the card says of one."""
    rates = classifier.rates
    return {
        "labels": {
            label.label: {
                "examples": sum(example.label == label.label for example in classifier.examples),
                "found": _rate(label.true_positives),
                "given wrongly": _rate(label.false_positives),
            }
            for label in rates.labels
        },
        "unseen photographs given any label": _rate(rates.false_positives),
        "pictures of the other classifiers given any label": _rate(rates.strangers),
        "taught with": dict(Counter(example.name for example in classifier.examples)),
    }


def _rate(rate: Rate) -> str:
    return f"{rate.count} of {rate.tried} ({100 * rate.interval.low:.1f} to {100 * rate.interval.high:.1f} %)"


def write(card: EncoderCard, known: Sequence[Known]) -> None:
    """Write the files of every precision, and the card."""
    model = shipped_features()
    pixels = np.stack([one.pixels for one in known])
    told: dict[str, object] = {}
    for precision in card.calibrated:
        bank = load_bank(bank_path(card, precision), model)
        encoded = embed(card.files[precision].path, pixels)
        rows = np.stack([row_of(vector, one.handmade, model) for vector, one in zip(encoded, known, strict=True)])
        for name in BUILTINS:
            classifier = make(name, known, rows, bank, card, precision)
            path = builtin_path(card, precision, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(pack(classifier))
            told[f"{name}, {precision}"] = facts(classifier)
    sources = sorted({one.source for one in known if one.teaches and one.source != "drawn"})
    text = {
        "measured": "held out by content; threshold 85; the rows of the pictures are kept, no pixels, no digests",
        "licences of what teaches": {source: LICENCES[source] for source in sources},
        "classifiers": told,
    }
    builtin_path(card, "fp32", "").with_name("card.json").write_text(
        json.dumps(text, indent=1) + "\n", encoding="utf-8"
    )


def main(arguments: Iterable[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of an encoder: card, models, calibrations, bank")
    parser.add_argument("--data", type=Path, required=True)
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    card = read_card(chosen.folder)
    write(card, list(pictures(chosen.data, input_side(card.files["fp32"].path))))


if __name__ == "__main__":
    main()
