"""What is told about an image that is about to be protected."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shared.core.matching import Background
from shared.types import Reference
from tests.image_factories import make_picture
from tests.index_factories import CALIBRATION, make_pdq, make_reference, make_set, make_sha256, make_vector
from tests.index_views import make_view
from workers.closer_look.evidence import Sight
from workers.image_sets.collisions import FEW_FEATURES, GENERIC_MATCHES, Candidate, look_around
from workers.search.view import IndexView

UNRELATED = 999
SETS = [make_set(), *(make_set(f"set-{number}") for number in range(GENERIC_MATCHES))]


def make_candidate(seed: int, **overrides: Any) -> Candidate:
    values: dict[str, Any] = {
        "set": "designs",
        "sha256": make_sha256(UNRELATED),
        "vector": make_vector(seed),
        "pdq": (make_pdq(seed),) * 8,
        "pdq_quality": 100,
    }
    return Candidate(**{**values, **overrides})


def view_of(*references: Reference) -> IndexView:
    return make_view(references, sets=SETS)


def crowded(view: IndexView, vector: np.ndarray[Any, np.dtype[np.float32]], cosine: float) -> IndexView:
    """Return the view with a background bank that is this near to the vector."""
    other = make_vector(UNRELATED)
    other -= vector * (other @ vector)
    near = cosine * vector + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
    bank = np.tile(near.astype(np.float32), (3, 1))
    background = Background(bank=bank, nearest=3, usual=0.45)
    return replace(view, calibration=replace(CALIBRATION, background=background))


def test_an_image_like_no_other_has_nothing_around_it() -> None:
    around = look_around(view_of(make_reference(1), make_reference(2, set="set-0")), make_candidate(3))
    assert (around.duplicates, around.collisions, around.generic, around.warnings()) == ((), (), "", ())


def test_a_near_duplicate_and_a_collision_are_told_apart() -> None:
    view = view_of(make_reference(1, reference="mine"), make_reference(1, reference="theirs", set="set-0"))
    around = look_around(view, make_candidate(1))
    assert [match.reference for match in around.duplicates] == ["mine"]
    assert [(match.set, match.reference) for match in around.collisions] == [("set-0", "theirs")]
    duplicate, collision = around.warnings()
    assert duplicate.startswith("near_duplicate: mine (1.png, score ")
    assert collision.startswith("collision: set-0/theirs (1.png, score ")


def test_the_same_reference_in_other_sets_is_one_picture() -> None:
    view = view_of(*(make_reference(1, set=f"set-{number}") for number in range(GENERIC_MATCHES)))
    around = look_around(view, make_candidate(1))
    assert len(around.collisions) == GENERIC_MATCHES
    assert around.generic == ""
    assert around.warnings()[-1] == f"collision: {GENERIC_MATCHES - 3} further references match it"


def test_what_many_pictures_of_other_sets_match_is_generic() -> None:
    view = view_of(
        *(make_reference(1, set=f"set-{number}", reference=f"r{number}") for number in range(GENERIC_MATCHES))
    )
    assert f"{GENERIC_MATCHES} different pictures" in look_around(view, make_candidate(1)).generic


PLAIN = np.full((200, 300), 255, dtype=np.uint8)
RICH = np.asarray(make_picture(300, 200).convert("L").resize((300, 200)))


@pytest.mark.parametrize(
    ("cosine", "plane", "generic", "warned"),
    [(0.79, None, False, False), (0.81, None, True, False), (0.81, PLAIN, True, False), (0.81, RICH, False, True)],
    ids=["usual", "unseen", "plain", "rich"],
)
def test_what_lies_near_everything_is_generic_unless_features_tell_it_apart(
    cosine: float, plane: np.ndarray[Any, np.dtype[np.uint8]] | None, generic: bool, warned: bool
) -> None:
    candidate = make_candidate(1, sight=None if plane is None else see(plane))
    around = look_around(crowded(view_of(), candidate.vector, cosine), candidate)
    assert (bool(around.generic), bool(around.ordinary)) == (generic, warned)
    assert [warning.partition(":")[0] for warning in around.warnings()] == (["ordinary"] if warned else [])


def see(plane: np.ndarray[Any, np.dtype[np.uint8]]) -> Sight:
    return Sight(plane, (plane.shape[1], plane.shape[0]), lambda: 0.0)


def test_the_rich_picture_is_rich() -> None:
    assert len(see(PLAIN).features) == 0
    assert len(see(RICH).features) > FEW_FEATURES
