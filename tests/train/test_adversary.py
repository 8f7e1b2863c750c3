"""An attack from the archives to the report: pictures are found, perturbed, judged by the product and told of."""

import hashlib
import io
import json
import random
import tarfile
from pathlib import Path

import pytest

from workers.evaluation.adversary import SAMPLE_MODULUS, Plan, held_out_sample, run
from workers.evaluation.adversary_rows import section_of
from workers.training.dataset import held_out
from workers.training.drawing import FAMILIES, draw
from workers.training.edits import encode

pytestmark = pytest.mark.train


def sampled(payload: bytes) -> bool:
    return int(hashlib.sha256(payload).hexdigest(), 16) % SAMPLE_MODULUS == 0


def archive(folder: Path, name: str, seeds: range) -> None:
    """Write drawings as JPEGs, with bytes behind the picture's end that make them part of the sample."""
    path = folder / f"{name}.tar"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for seed in seeds:
            picture = encode(draw(FAMILIES[seed % len(FAMILIES)], seed, size=(160, 120)))
            payload = next(p for tail in range(10_000) if sampled(p := picture + tail.to_bytes(2, "big")))
            member = tarfile.TarInfo(f"kind/{seed}.jpg")
            member.size = len(payload)
            tar.addfile(member, io.BytesIO(payload))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    archive(folder, "photos/one", range(4))
    archive(folder, "photos/two", range(4, 6))
    archive(folder, "photos/tiny_imagenet64", range(6, 8))
    return folder


def test_the_sample_is_held_out_mixed_and_always_the_same(data: Path) -> None:
    payloads = [picture + tail.to_bytes(2, "big") for picture in (b"a", b"b") for tail in range(2000)]
    assert all(held_out(payload) for payload in payloads if sampled(payload))
    one, same = (held_out_sample(data, 8, random.Random(3)) for _ in range(2))
    assert [picture.tobytes() for picture in one] == [picture.tobytes() for picture in same]
    # Six photographs, since one archive is left out; a quarter of what was asked for is drawn.
    assert (len(one), sum(picture.size == (160, 120) for picture in one)) == (8, 6)


def test_a_run_reports_every_aim_strength_and_defence(data: Path) -> None:
    said: list[str] = []
    results = run("", data, Plan(pictures=2, steps=2, epsilons=(8,), surfaces=("picture",)), say=said.append)
    rows = results["rows"]
    assert (results["pictures"], results["poisoned"], len(said)) == (2, 2, 3)
    assert results["least_parity"] > 0.98
    kinds = {(row["surface"], row["aim"], row["eps"], row["adaptive"], row["defence"]) for row in rows}
    assert len(kinds) == len(rows) == 24  # 3 aims x 2 strengths x 3 defences, and 2 attacks that know of one
    assert all(row["pairs"] == 2 for row in rows)
    for row in rows:
        if row["eps"] and row["aim"] == "evasion":
            assert row["cosine"] < row["cosine_before"]
            assert row["psnr"] > 28
        if row["eps"] and row["aim"] == "collision" and row["defence"] == "none":
            assert row["cosine"] > row["cosine_before"]
    section = section_of(json.dumps(results))
    assert [table.name for table in section.tables] == ["evasion", "collision", "poisoning"]


def test_data_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no held-out pictures"):
        run("", tmp_path, Plan(pictures=1))
