"""What a label space says of pictures."""

import numpy as np

from shared.types import DecodedFrame
from tests.factories import make_frame
from tests.label_factories import make_card, make_space, pixel_model
from workers.classifying.labelling import Shown
from workers.classifying.vectors import shipped_features
from workers.labels.answering import SpaceAnswers
from workers.labels.choice import Choice
from workers.labels.network import LabelNetwork

SIDE = 8


def frame(colour: tuple[int, int, int]) -> DecodedFrame:
    return make_frame(pixels=bytes(colour) * (SIDE * SIDE))


def shown(*vectors: tuple[float, float], colour: tuple[int, int, int] = (0, 0, 0)) -> Shown:
    frames = [frame(colour)] * len(vectors)
    return Shown(frames, [np.array(vector, np.float32) for vector in vectors], SIDE, shipped_features())


def answers(choice: Choice, *vectors: tuple[float, float]) -> list[tuple[str, str, float]]:
    space = make_space(choice=choice)
    told = SpaceAnswers("scenes", LabelNetwork(space.card, space.model)).answer(shown(*vectors))
    return [(one.classifier, one.label, one.score) for one in told]


def test_labels_come_nearest_first() -> None:
    said = answers(Choice(nearest=256, within=50), (0.6, 0.8))
    assert said == [("scenes", "street", 100.0), ("scenes", "car", 80.0), ("scenes", "cat", 60.0)]
    assert answers(Choice(nearest=1, within=0), (0.6, 0.8)) == [("scenes", "street", 100.0)]


def test_what_no_label_reaches_is_other() -> None:
    assert answers(Choice(nearest=256, within=90), (0.1, 0.2)) == [("scenes", "other", 78.0)]


def test_a_file_of_several_pictures_is_as_near_as_the_nearest() -> None:
    said = answers(Choice(nearest=2, within=90), (1.0, 0.0), (0.0, 1.0))
    assert said == [("scenes", "cat", 100.0), ("scenes", "car", 100.0)]


def test_a_network_of_its_own_is_shown_the_pixels() -> None:
    model = pixel_model()
    network = LabelNetwork(make_card(model, encoder=""), model)
    (said,) = SpaceAnswers("scenes", network).answer(shown((0.0, 0.0), colour=(0, 255, 51)))
    assert (said.label, said.score) == ("car", 100.0)
