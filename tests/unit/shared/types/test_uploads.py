import pytest

from shared.types import StepKind, UploadStep


@pytest.mark.parametrize("wrong", [{"offset": -1}, {"total": -5}])
def test_bytes_are_not_counted_below_zero(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        UploadStep(kind=StepKind.PART, **wrong)  # type: ignore[arg-type]
