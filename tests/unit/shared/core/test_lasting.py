"""Facts about an image are told again, accidents are not."""

import pytest

from shared.core.lasting import MAX_IMAGES, is_lasting
from shared.errors import ErrorCode
from shared.types import ContainerInfo, NearVerdict, UnreadPart, Verdict, VerdictError
from tests.factories import make_verdict


def test_a_verdict_lasts_and_a_degraded_one_does_not() -> None:
    assert is_lasting(make_verdict())
    assert not is_lasting(make_verdict(degraded=True))
    assert not is_lasting(make_verdict(near=NearVerdict(sha256="b" * 64, distance=2)))


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


def container(*images: Verdict, code: ErrorCode | None = None) -> Verdict:
    error = None if code is None else VerdictError(code=code, message="")
    unread = () if error is None else (UnreadPart(path="", error=error),)
    info = ContainerInfo(format="zip", images=len(images), images_inspected=len(images), unread=unread)
    return Verdict(sha256="a" * 64, container=info, images=images, error=error)


def test_a_container_lasts_where_all_in_it_does() -> None:
    late = make_verdict(error=VerdictError(code=ErrorCode.TOO_LATE, message=""))
    assert is_lasting(container(make_verdict()))
    assert not is_lasting(container(make_verdict(), late))
    assert is_lasting(container(make_verdict(), code=ErrorCode.ENCRYPTED))
    assert is_lasting(container(make_verdict(), code=ErrorCode.OPAQUE))
    assert not is_lasting(container(make_verdict(), code=ErrorCode.OVER_BUDGET))
    assert not is_lasting(container(*[make_verdict()] * (MAX_IMAGES + 1)))
