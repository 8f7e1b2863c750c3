"""A small network learns to tell drawings apart, from the encoder's weights and from chance."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from workers.encoders.files import list_encoders
from workers.training.drawing import draw
from workers.training.fine_tuning import BATCH, LOOKS, Plan, plans, train
from workers.training.lesson import Floats, Lesson, Pixels

pytestmark = pytest.mark.train
FAMILIES = ("dashboard", "identity_card", "street_map")


def drawings(family: str, first: int, count: int) -> list[Pixels]:
    return [np.asarray(draw(family, first + seed, size=(300, 300)).resize((48, 48))) for seed in range(count)]


@pytest.mark.parametrize("plan", plans(list_encoders()[-1], 20.0), ids=lambda plan: plan.name)
def test_a_course_ends_with_what_it_was_taught_known(plan: Plan) -> None:
    pixels = np.stack([drawing for family in FAMILIES for drawing in drawings(family, 0, 12)])
    classes = np.repeat(np.arange(len(FAMILIES)), 12)
    asked: list[Floats] = []

    def judged(margins: Callable[[Pixels], Floats]) -> float:
        asked.append(margins(pixels))
        logits = np.concatenate([np.zeros((len(pixels), 1), np.float32), asked[-1]], axis=1)
        return float((logits.argmax(axis=1) == classes).mean())

    moments = train(replace(plan, seconds=4.0), Lesson(pixels=pixels, classes=classes, count=3), judged)
    assert len(moments) == len(asked) == LOOKS
    assert moments[-1].named > 0.9
    assert [moment.views for moment in moments] == sorted(moment.views for moment in moments)
    assert moments[-1].processor > 0
    assert asked[-1].shape == (36, 2)


def test_a_training_without_time_has_few_steps_and_one_with_time_has_more() -> None:
    pixels = np.stack([drawing for family in FAMILIES for drawing in drawings(family, 0, 12)])
    lesson = Lesson(pixels=pixels, classes=np.repeat(np.arange(3), 12), count=3)
    views = []
    for seconds in (0.1, 4.0):
        plan = Plan(name="short", start=None, seconds=seconds)
        moments = train(plan, lesson, lambda margins: float(len(margins(pixels[:1]))))
        assert len(moments) <= LOOKS
        views.append(moments[-1].views)
    assert LOOKS * BATCH == views[0] < views[1]
