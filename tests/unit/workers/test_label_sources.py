"""What is taught behind one encoder answers there, and nowhere else."""

from dataclasses import dataclass, replace

import pytest

from shared.errors import IntegrityError
from tests.classifier_factories import make_classifier
from tests.label_factories import make_card, make_space, pixel_model
from workers.classifying.labelling import ClassifierAnswers
from workers.classifying.model import pack as pack_classifier
from workers.classifying.vectors import space_of
from workers.label_sources import loaders
from workers.labels.answering import SpaceAnswers
from workers.labels.published import PublishedSpace, pack


@dataclass(frozen=True)
class KnownEncoder:
    id: str = "encoder-1"
    side: int = 8
    dimension: int = 2


def load(space: PublishedSpace, encoder: KnownEncoder | None = None) -> SpaceAnswers:
    found = loaders(encoder or KnownEncoder())["label space"]("scenes", pack(space))
    assert isinstance(found, SpaceAnswers)
    return found


def test_a_label_space_of_this_encoder_answers() -> None:
    space = make_space()
    loaded = load(space)
    assert (loaded.name, loaded.network.card) == ("scenes", space.card)


def test_one_of_another_encoder_does_not() -> None:
    with pytest.raises(IntegrityError, match="behind encoder-2, this worker has encoder-1: train it again"):
        load(make_space(encoder="encoder-2"))
    with pytest.raises(IntegrityError, match=r"takes inputs of \(2,\), this worker has \(3,\)"):
        load(make_space(), KnownEncoder(dimension=3))


def test_a_network_with_an_encoder_of_its_own_needs_pictures_of_its_side() -> None:
    model = pixel_model(side=8)
    space = PublishedSpace(card=make_card(model, encoder="", side=8), model=model)
    assert load(space, KnownEncoder(id="encoder-9")).network.inputs == (3, 8, 8)
    with pytest.raises(IntegrityError, match="this worker has"):
        load(space, KnownEncoder(side=16))


def test_a_broken_file_does_not_answer() -> None:
    space = make_space()
    with pytest.raises(IntegrityError, match="is not the file"):
        load(replace(space, model=space.model + b"\0"))
    with pytest.raises(IntegrityError, match="cannot be read"):
        loaders(KnownEncoder())["label space"]("scenes", b"nonsense")


def test_classifiers_are_loaded_by_the_encoder_too() -> None:
    encoder = KnownEncoder()
    classifier = replace(make_classifier("receipt"), space=space_of(encoder.id))
    assert isinstance(loaders(encoder)["classifier"]("documents", pack_classifier(classifier)), ClassifierAnswers)
    with pytest.raises(IntegrityError, match="train it again"):
        loaders(encoder)["classifier"]("documents", pack_classifier(make_classifier("receipt")))
