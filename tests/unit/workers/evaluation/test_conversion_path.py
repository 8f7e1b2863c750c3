"""Copies through the whole inspection, with references of a copy of the encoder that ships."""

from pathlib import Path

import numpy as np
import pytest

from tests.converter_factories import write_converter
from tests.encoder_copies import COPY, NEW, OLD, install_copy
from workers.encoders.encoder import Encoder
from workers.encoders.files import IMPORTED
from workers.evaluation.conversion_path import measure_path
from workers.migration.conversion import CONVERTERS, Converter, load_converter
from workers.training.drawing import draw
from workers.training.edits import EDITS

PICTURES = [draw(family, 4, size=(320, 240)) for family in ("poster", "floor_plan")]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Encoder, Encoder]:
    folder = tmp_path_factory.mktemp("encoders")
    install_copy(folder)
    return folder / CONVERTERS, Encoder.load(), Encoder.load(COPY, precision="int8", imported=folder / IMPORTED)


def test_converted_and_native_references_are_found_alike_where_nothing_is_lost(
    encoders: tuple[Path, Encoder, Encoder],
) -> None:
    folder, old, new = encoders
    figures = measure_path(old, new, load_converter(folder, OLD, NEW), PICTURES)
    assert [each.mode for each in figures] == ["no local features", "gated", "thorough"]
    for each in figures:
        assert each.copies == len(PICTURES) * len(EDITS)
        assert each.native == each.converted == each.old
        assert each.others == (0, 0)
    assert figures[0].native > 0.7
    assert figures[-1].native >= 0.9


def test_a_converter_that_is_worth_nothing_is_told_from_one_that_is(
    encoders: tuple[Path, Encoder, Encoder], tmp_path: Path
) -> None:
    _, old, new = encoders
    shuffled = np.roll(np.eye(512, dtype=np.float32), 7, axis=1)
    write_converter(tmp_path, OLD, NEW, weights=shuffled, views=shuffled)
    useless: Converter = load_converter(tmp_path, OLD, NEW)
    blind, *_ = measure_path(old, new, useless, PICTURES[:1])
    assert blind.converted < blind.native


def test_without_pictures_nothing_is_measured(encoders: tuple[Path, Encoder, Encoder]) -> None:
    folder, old, new = encoders
    with pytest.raises(ValueError, match="no pictures"):
        measure_path(old, new, load_converter(folder, OLD, NEW), ())
