"""What the encoder's public weights allow: evading a match, framing a picture, poisoning a set; and what stops it.

Held-out pictures and drawings are attacked (`workers.training.attacks`, which needs torch), rounded to 8 bits, passed
through a defence and then through the product (`adversary_path`). Rows with ``eps`` 0 are the same pictures unharmed:
what a defence costs, and what matches anyway.

- evasion: a copy, plain or edited, is pushed away from every view of its reference;
- collision: an innocent picture is pulled to another's reference, to frame whoever sends it or to have it deleted;
- poisoning: a picture is pulled to the crowd of ordinary pictures and enrolled, so that many would match it.

``surface``: `picture` changes the picture at its own size, `input` one that was squashed to the encoder's square.
Defences: a random crop of up to 5 % a side, enlarged or reduced by up to 5 % (after Xie et al., ICLR 2018), and JPEG at
quality 75 (Dziugaite et al., 2016). An adaptive attack knows of the crop.

    python -m workers.evaluation.adversary --encoder f1-128-v2 --data ../shared/data --out adversary.json
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, Self

import numpy as np
from PIL import Image

from shared.types import Matcher
from workers.decoding import pixels
from workers.encoders.encoder import Encoder
from workers.encoders.files import MODELS, choose_encoder
from workers.evaluation.adversary_path import UPRIGHT, Outcome, Sent, Shelf, view_vectors
from workers.evaluation.product import Product
from workers.image_sets.enrolment import DEFAULT_THRESHOLD
from workers.training.attacks import Attacker, Budget, Pixels, Vectors, psnr, shaken
from workers.training.dataset import HELD_OUT_MODULUS, read_archives
from workers.training.drawing import FAMILIES, draw
from workers.training.edits import EDITS, encode

SAMPLE_MODULUS: Final = 16 * HELD_OUT_MODULUS
"""A held-out picture in 16 is looked at."""
LEFT_OUT: Final = ("photos/tiny_imagenet64",)
ADVERSARY_SEEDS: Final = 730_000_000
DRAWN_SHARE: Final = 0.25
POISONED: Final = 12
CANVAS: Final = 384
"""Long side in pixels of what is attacked as a picture."""
EPSILONS: Final = (2, 4, 8)
NEAREST: Final = 0.05
CROWD: Final = 0.1
"""Temperature of the soft maximum over ordinary pictures: lower goes to one of them, higher comes near none."""

SURFACES: Final[tuple[Surface, ...]] = ("picture", "input")
ALONE: Final = (Matcher.ENCODER, Matcher.PDQ, Matcher.LOCAL)

type Name = Literal["evasion", "collision", "poisoning"]
type Surface = Literal["picture", "input"]
type Defence = Callable[[Image.Image, random.Random], Image.Image]


def _crop(picture: Image.Image, rng: random.Random) -> Image.Image:
    (left, right), (top, bottom) = shaken(picture.width, rng), shaken(picture.height, rng)
    scale = rng.uniform(0.95, 1.05)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    return picture.crop((left, top, right, bottom)).resize(size, Image.Resampling.BILINEAR)


def _jpeg(picture: Image.Image, _rng: random.Random) -> Image.Image:
    with Image.open(io.BytesIO(encode(picture, quality=75))) as decoded:
        return decoded.convert("RGB")


DEFENCES: Final[Mapping[str, Defence]] = MappingProxyType(
    {"none": lambda picture, _rng: picture, "random crop": _crop, "JPEG 75": _jpeg}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is tried: N pictures an aim, so many gradient steps, and which pictures carry the perturbation."""

    pictures: int = 40
    steps: int = 20
    epsilons: tuple[int, ...] = EPSILONS
    surfaces: tuple[Surface, ...] = SURFACES
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One aim: the pictures that carry the perturbation, where it goes, and what comes of it.

    ``targets``, ``pull`` and ``temperature`` as `Attacker.perturb` takes them.  ``judge`` of the perturbed pictures:
    an outcome a pair that is looked at, and the cosine with what is aimed at.
    """

    name: Name
    carriers: list[Pixels]
    targets: Vectors
    pull: bool
    temperature: float
    judge: Callable[[list[Image.Image]], tuple[list[Outcome], list[float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The product with an encoder, N protected pictures in its index, and N others.

    ``views`` N x V x D are the vectors of the references' views.
    """

    encoder: Encoder
    product: Product
    attacker: Attacker
    references: list[Image.Image]
    innocents: list[Image.Image]
    shelf: Shelf
    views: Vectors

    @classmethod
    def build(
        cls,
        encoder: Encoder,
        product: Product,
        attacker: Attacker,
        references: list[Image.Image],
        innocents: list[Image.Image],
    ) -> Self:
        """Enrol the references."""
        return cls(
            encoder=encoder,
            product=product,
            attacker=attacker,
            references=references,
            innocents=innocents,
            shelf=Shelf(encoder, product, references),
            views=np.stack([view_vectors(encoder, picture) for picture in references]),
        )


def held_out_sample(data: Path, count: int, rng: random.Random) -> list[Image.Image]:
    """Held-out photographs and documents of all sources in turn, a quarter drawings; fewer where there are few.

    Raises ValueError where there are none.
    """

    def wanted(payload: bytes) -> bool:
        return int(hashlib.sha256(payload).hexdigest(), 16) % SAMPLE_MODULUS == 0

    by_source: defaultdict[str, list[Image.Image]] = defaultdict(list)
    for item in read_archives(data, wanted=wanted):
        if item.source not in LEFT_OUT:
            by_source[item.source].append(item.image)
    queues = [rng.sample(pictures, len(pictures)) for _, pictures in sorted(by_source.items())]
    in_turn = [queue[at] for at in range(max(map(len, queues), default=0)) for queue in queues if at < len(queue)]
    if not in_turn:
        raise ValueError(f"{data} holds no held-out pictures")
    drawn = round(count * DRAWN_SHARE)
    drawings = [draw(FAMILIES[at % len(FAMILIES)], ADVERSARY_SEEDS + at) for at in range(drawn)]
    chosen = in_turn[: count - drawn] + drawings
    return rng.sample(chosen, len(chosen))


def run(
    encoder: str,
    data: Path,
    plan: Plan | None = None,
    *,
    models: Path = MODELS,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Attack one version and return what `workers.evaluation.adversary_rows` reads.

    The gradient is that of the fp32 weights; who judges is the precision that the product runs here.  Raises
    ConfigError for an unknown version, ValueError where its network is another or there are no pictures.
    """
    plan = plan or Plan()
    started = time.monotonic()
    card = choose_encoder(encoder, models, None)
    loaded = Encoder.load(card.id, models=models)
    sample = [_canvas(picture) for picture in held_out_sample(data, 2 * plan.pictures, random.Random(plan.seed))]
    half = len(sample) // 2
    squares = [_square(picture, loaded.side) for picture in sample]
    attacker = Attacker(card.files["fp32"].path, squares)
    rows: list[dict[str, Any]] = []
    with Product(loaded) as product:
        stage = Stage.build(loaded, product, attacker, sample[:half], sample[half : 2 * half])
        for surface in plan.surfaces:
            for case in _cases(stage, surface, plan):
                say(f"{surface} size, {case.name}")
                rows += _rows(stage, surface, case, plan)
    return {
        "encoder": loaded.id,
        "threshold": DEFAULT_THRESHOLD,
        "pictures": half,
        "poisoned": min(half, POISONED),
        "steps": plan.steps,
        "canvas": CANVAS,
        "side": loaded.side,
        "least_parity": round(_parity(attacker, loaded, squares), 6),
        "seconds": round(time.monotonic() - started, 1),
        "rows": rows,
    }


def _canvas(picture: Image.Image) -> Image.Image:
    smaller = picture.convert("RGB")
    smaller.thumbnail((CANVAS, CANVAS), Image.Resampling.BOX)
    return smaller


def _square(picture: Image.Image, side: int) -> Pixels:
    return np.asarray(pixels.squash(picture, side, UPRIGHT))


def _parity(attacker: Attacker, encoder: Encoder, squares: Sequence[Pixels]) -> float:
    """Least cosine between what torch and what the product computes of the same pictures."""
    product = encoder.embed([square.tobytes() for square in squares])
    return float((attacker.embed(squares) * product).sum(axis=1).min())


def _cases(stage: Stage, surface: Surface, plan: Plan) -> Iterator[Case]:
    encoder, rng = stage.encoder, random.Random(plan.seed)

    def carriers(pictures: Sequence[Image.Image]) -> list[Pixels]:
        return [_square(each, encoder.side) if surface == "input" else np.asarray(each) for each in pictures]

    def one_by_one(pictures: list[Image.Image]) -> tuple[list[Outcome], list[float]]:
        sent = [Sent(encoder, picture) for picture in pictures]
        cosines = [float((mine @ each.vector).max()) for mine, each in zip(stage.views, sent, strict=True)]
        return [stage.shelf.judge(each, number) for number, each in enumerate(sent)], cosines

    ways = ("plain", *EDITS)
    copies = [_edited(picture, ways[number % len(ways)], rng) for number, picture in enumerate(stage.references)]
    aims: tuple[tuple[Name, list[Image.Image], bool], ...] = (
        ("evasion", copies, False),
        ("collision", stage.innocents, True),
    )
    for name, pictures, pull in aims:
        yield Case(
            name=name,
            carriers=carriers(pictures),
            targets=stage.views,
            pull=pull,
            temperature=NEAREST,
            judge=one_by_one,
        )
    yield _poisoning(stage, carriers(stage.references[:POISONED]))


def _edited(picture: Image.Image, way: str, rng: random.Random) -> Image.Image:
    return picture if way == "plain" else EDITS[way](picture, rng)


def _poisoning(stage: Stage, carriers: list[Pixels]) -> Case:
    """Pictures on their way into a set, pulled to the ordinary pictures that ship with the encoder."""
    background = stage.encoder.calibration.background
    if background is None:
        raise ValueError(f"encoder {stage.encoder.id} has no background bank to aim at")
    ordinary = [Sent(stage.encoder, picture) for picture in stage.innocents]

    def every_innocent(pictures: list[Image.Image]) -> tuple[list[Outcome], list[float]]:
        shelf = Shelf(stage.encoder, stage.product, pictures)
        whole = stage.encoder.embed([_square(each, stage.encoder.side).tobytes() for each in pictures])
        return [shelf.judge(each) for each in ordinary], [float((whole @ each.vector).max()) for each in ordinary]

    bank = background.bank
    return Case(
        name="poisoning",
        carriers=carriers,
        targets=np.broadcast_to(bank, (len(carriers), *bank.shape)).copy(),
        pull=True,
        temperature=CROWD,
        judge=every_innocent,
    )


def _rows(stage: Stage, surface: Surface, case: Case, plan: Plan) -> Iterator[dict[str, Any]]:
    """One row a strength of the attack and a defence."""
    _, before = case.judge([Image.fromarray(each) for each in case.carriers])
    budgets = [Budget(eps=eps, steps=plan.steps) for eps in (0, *plan.epsilons)]
    if surface == "picture" and case.name != "poisoning":
        budgets += [Budget(eps=eps, steps=plan.steps, adaptive=True) for eps in plan.epsilons]
    for budget in budgets:
        harmed = case.carriers
        if budget.eps:
            harmed = stage.attacker.perturb(
                harmed, case.targets, budget, pull=case.pull, temperature=case.temperature, seed=plan.seed
            )
        ratios = [psnr(*pair) for pair in zip(harmed, case.carriers, strict=True)]
        for name, defence in DEFENCES.items():
            rng = random.Random(plan.seed)
            outcomes, cosines = case.judge([defence(Image.fromarray(each), rng) for each in harmed])
            yield {
                "surface": surface,
                "aim": case.name,
                "eps": budget.eps,
                "adaptive": budget.adaptive,
                "defence": name,
                "psnr": round(float(np.mean(ratios)), 1) if budget.eps else None,
                "cosine_before": round(float(np.mean(before)), 3),
                "cosine": round(float(np.mean(cosines)), 3),
                **_counts(outcomes),
            }


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many of the pairs match: by each matcher alone, by all considered, and well enough to be deleted."""

    return {
        "pairs": len(outcomes),
        **{str(matcher): sum(matcher in each.matched_by for each in outcomes) for matcher in ALONE},
        "usual": sum(each.usual for each in outcomes),
        "thorough": sum(each.copy for each in outcomes),
        "proven": sum(each.proven for each in outcomes),
    }


def main() -> None:
    """Command line: the rows as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", default="", help="a version; the newest that ships where none is named")
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=Plan().pictures)
    parser.add_argument("--steps", type=int, default=Plan().steps)
    arguments = parser.parse_args()
    plan = Plan(pictures=arguments.pictures, steps=arguments.steps)
    result = run(arguments.encoder, arguments.data, plan, models=arguments.models)
    arguments.out.write_text(json.dumps(result) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(result['rows'])} rows in {result['seconds']:.0f} s: {arguments.out}\n")


if __name__ == "__main__":
    main()
