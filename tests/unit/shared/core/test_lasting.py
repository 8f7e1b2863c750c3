"""Facts about an image are told again, accidents are not."""

import pytest

from shared.core.lasting import is_lasting
from shared.errors import ErrorCode
from shared.types import VerdictError
from tests.factories import make_verdict


def test_a_verdict_lasts_and_a_degraded_one_does_not() -> None:
    assert is_lasting(make_verdict())
    assert not is_lasting(make_verdict(degraded=True))


@pytest.mark.parametrize(
    ("code", "lasts"),
    [
        (ErrorCode.CORRUPT, True),
        (ErrorCode.NOT_AN_IMAGE, True),
        (ErrorCode.TOO_LATE, False),
        (ErrorCode.DECODE_TIMEOUT, False),
        (ErrorCode.INTERNAL_ERROR, False),
    ],
)
def test_what_is_wrong_with_the_image_lasts(code: ErrorCode, lasts: bool) -> None:
    assert is_lasting(make_verdict(error=VerdictError(code=code, message=""))) is lasts
