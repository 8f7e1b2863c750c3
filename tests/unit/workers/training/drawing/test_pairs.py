"""Drawn pairs: a seed names one on every machine, and its two pictures relate as its label says."""

import random

import numpy as np
import pytest
from PIL import Image, ImageChops

from workers.training.drawing.forms import KINDS, Role, Text, render, sheet
from workers.training.drawing.pairs import DPI, EDITS, NEAR_EMPTY, Bond, changed, near_empty, pair, retouched


def differing_share(first: Image.Image, second: Image.Image) -> float:
    return float((np.asarray(ImageChops.difference(first, second)).max(axis=2) > 0).mean())


@pytest.mark.parametrize("bond", Bond)
def test_a_pair_is_named_by_its_seed(bond: Bond) -> None:
    one, again = pair(bond, 5), pair(bond, 5)
    assert one.bond == bond
    assert one.first == again.first
    assert one.second == again.second
    assert one.first != pair(bond, 12).first


@pytest.mark.parametrize("kind", KINDS)
def test_a_sheet_has_its_resolution_and_something_filled_in(kind: str) -> None:
    document = sheet(kind, template=1, content=0, dpi=DPI[0])
    millimetres = KINDS[kind][1]
    assert document.size == tuple(round(side * DPI[0] / 25.4) for side in millimetres)
    assert document.filled()
    assert not document.blank().filled()
    assert differing_share(render(document), render(document.blank())) > 0.001


@pytest.mark.parametrize("kind", KINDS)
def test_other_content_keeps_what_is_printed(kind: str) -> None:
    one, other = (sheet(kind, template=7, content=content, dpi=DPI[0]) for content in (0, 1))
    printed = [
        {item for item in each.items if isinstance(item, Text) and item.role == Role.PRINTED} for each in (one, other)
    ]
    filled = [
        {item for item in each.items if isinstance(item, Text) and item.role != Role.PRINTED} for each in (one, other)
    ]
    assert printed[0] == printed[1] or kind == "letter"
    assert filled[0] != filled[1]


@pytest.mark.parametrize("bond", EDITS[:3])
def test_one_text_is_changed_and_nothing_else(bond: Bond) -> None:
    document = sheet("invoice", template=3, content=0, dpi=DPI[0])
    edited = changed(document, bond, random.Random(1))
    differing = [(a, b) for a, b in zip(document.items, edited.items, strict=True) if a != b]
    assert len(differing) == 1
    assert 0 < differing_share(render(document), render(edited)) < 0.002


def test_a_retouch_covers_one_per_cent_at_most() -> None:
    document = sheet("receipt", template=3, content=0, dpi=DPI[0])
    image = render(document)
    shares = [differing_share(image, retouched(image, document, random.Random(seed))) for seed in range(8)]
    assert 0 < max(shares) <= 0.011


@pytest.mark.parametrize("seed", range(len(NEAR_EMPTY)))
def test_a_near_empty_page_is_nearly_empty(seed: int) -> None:
    page = near_empty(seed, height=600)
    grey = np.asarray(page.convert("L"), np.int16)
    assert page == near_empty(seed, height=600)
    assert float((np.abs(grey - np.median(grey)) > 40).mean()) < 0.12
