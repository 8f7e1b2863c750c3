"""Reading archives, the held-out quarter, the cache, and what a batch is made of."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.image_factories import make_picture
from workers.training.dataset import (
    LARGE,
    Corpus,
    Item,
    Sampler,
    build_cache,
    held_out,
    open_cache,
    read_archives,
    read_drawings,
    squash,
)


def jpeg(seed: int) -> bytes:
    stream = io.BytesIO()
    make_picture(seed=seed).save(stream, "JPEG")
    return stream.getvalue()


def archive(path: Path, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, name in enumerate(names):
            data = jpeg(number)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def corpus_of(folder: Path, groups: dict[str, int]) -> Corpus:
    items = (
        Item(source=group.rsplit("/", 1)[0], group=group, image=make_picture(40, 30, seed=number))
        for group, count in groups.items()
        for number in range(count)
    )
    return build_cache(items, folder)


def test_a_quarter_is_held_out_by_content() -> None:
    payloads = [str(number).encode() for number in range(2000)]
    share = sum(map(held_out, payloads)) / len(payloads)
    assert share == pytest.approx(0.25, abs=0.04)
    assert held_out(payloads[3]) == (int(hashlib.sha256(payloads[3]).hexdigest(), 16) % 4 == 0)


def test_archives_give_their_folders_as_groups(tmp_path: Path) -> None:
    archive(tmp_path / "photos" / "pets.tar", ["cats/a.jpg", "dogs/b.jpg", "notes.txt"])
    items = list(read_archives(tmp_path, wanted=lambda _: True))
    assert [item.group for item in items] == ["photos/pets/cats", "photos/pets/dogs"]
    assert {item.source for item in items} == {"photos/pets"}


def test_unwanted_pictures_are_left_out(tmp_path: Path) -> None:
    archive(tmp_path / "classes" / "forms.tar", ["a/a.jpg"])
    assert list(read_archives(tmp_path, wanted=lambda _: False)) == []


def test_the_cache_keeps_pixels_and_the_true_aspect(tmp_path: Path) -> None:
    built = corpus_of(tmp_path, {"photos/a/x": 2, "drawn/poster": 1})
    opened = open_cache(tmp_path)
    assert len(built) == len(opened) == 3
    assert opened.large.shape == (3, LARGE, LARGE, 3)
    assert opened.aspect.tolist() == pytest.approx([40 / 30] * 3)
    assert opened.groups == ("drawn/poster", "photos/a/x")


def test_training_draws_from_its_own_seeds() -> None:
    items = read_drawings(1)
    assert next(items).group == "drawn/whiteboard"


def test_squashing_ignores_the_ratio() -> None:
    assert squash(Image.new("RGB", (300, 90)), 96).size == (96, 96)


def test_a_batch_mixes_drawings_look_alikes_and_the_rest(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, {"photos/a/x": 30, "photos/b/y": 30, "drawn/poster": 20, "drawn/circuit": 20})
    rows = Sampler(corpus, np.random.default_rng(0)).batch(20)
    assert len(set(rows.tolist())) == len(rows)
    drawn = [corpus.groups[corpus.group[row]].startswith("drawn/") for row in rows]
    assert 0 < sum(drawn) < len(drawn)


def test_drawings_alone_make_a_batch(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, {"drawn/poster": 20, "drawn/circuit": 20})
    assert len(Sampler(corpus, np.random.default_rng(0)).batch(16)) == 16
