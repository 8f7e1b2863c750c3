"""Labels in a verdict that is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.errors import ErrorCode
from shared.types import ContainerInfo, KnownVerdict, LabelScore, Verdict
from tests.factories import make_error_verdict, make_verdict
from workers.classifying.labelling import Labellers
from workers.serving.known_labels import keeping, shown_alike, told

NOW = Labellers(position=9, revisions={"documents": 3, "rooms": 9, "gone": 0})


def label(name: str) -> LabelScore:
    return LabelScore(classifier=name, label="form", score=97.0)


def known(verdict: Verdict | None = None, **revisions: int) -> KnownVerdict:
    labels = tuple(label(name) for name in revisions)
    return KnownVerdict(verdict=verdict or make_verdict(labels=labels), classifiers=tuple(revisions.items()))


def in_archive(*images: Verdict) -> Verdict:
    info = ContainerInfo(format="zip", images=len(images), images_inspected=len(images))
    return replace(make_verdict(container=info, images=images), image=None)


@pytest.mark.parametrize(
    ("asked", "names", "answered"),
    [
        ({"documents": 3}, ("documents",), True),
        ({"documents": 3, "rooms": 8}, ("documents",), True),
        ({"documents": 2}, ("documents",), False),
        ({"documents": 3}, ("documents", "rooms"), False),
        ({"gone": 0, "never": 0}, ("gone", "never"), True),
        ({}, ("never",), False),
        ({"rooms": 8}, (), True),
    ],
)
def test_labels_count_at_the_revision_in_force(asked: dict[str, int], names: tuple[str, ...], answered: bool) -> None:
    verdict = told(known(None, **asked), names, NOW)
    assert (verdict is not None) == answered
    if verdict is not None:
        assert tuple(one.classifier for one in verdict.labels) == names
        assert verdict.classifier_revision == (9 if names else 0)


def test_what_has_no_picture_has_no_labels_whatever_the_classifiers_are() -> None:
    for verdict in (make_error_verdict(ErrorCode.CORRUPT), in_archive(make_error_verdict(ErrorCode.CORRUPT))):
        answer = told(known(verdict), ("documents",), NOW)
        assert answer is not None
        assert answer.classifier_revision == 9


def test_in_an_archive_each_picture_has_its_own() -> None:
    pictures = [make_verdict(labels=(label("documents"), label("rooms"))) for _ in range(2)]
    answer = told(known(in_archive(*pictures), documents=3, rooms=9), ("rooms",), NOW)
    assert answer is not None
    assert [image.labels for image in answer.images] == [(label("rooms"),)] * 2
    assert told(known(in_archive(*pictures), documents=3), ("rooms",), NOW) is None


def test_labels_that_were_not_asked_for_again_are_kept() -> None:
    kept = keeping(known(documents=4), known(documents=3, rooms=9))
    assert kept.verdict.labels == (label("documents"), label("rooms"))
    assert kept.classifiers == (("documents", 4), ("rooms", 9))
    assert keeping(known(documents=4), None) == known(documents=4)
    archive = known(in_archive(make_verdict()), documents=4)
    assert keeping(archive, known(rooms=9)) == archive


def test_an_archive_was_shown_to_whom_each_picture_was() -> None:
    broken = known(make_error_verdict(ErrorCode.CORRUPT))
    assert shown_alike([known(documents=3, rooms=8), broken, known(documents=3, rooms=9)]) == (("documents", 3),)
    assert shown_alike([broken]) == ()
