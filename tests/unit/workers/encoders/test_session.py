"""Sessions on the device that was asked for, and runs on bound memory against plain ones."""

import numpy as np
import pytest

from shared.errors import ConfigError, EncoderUnavailableError
from tests.onnx_factories import DIMENSION, SIDE, make_model
from workers.encoders.session import BoundBatch, import_runtime, is_installed, open_session, provider_options

RNG = np.random.default_rng(3)
PICTURES = [RNG.bytes(3 * SIDE * SIDE) for _ in range(4)]


def batch(size: int) -> BoundBatch:
    runtime = import_runtime()
    return BoundBatch(runtime, open_session(runtime, make_model(), 1, "cpu"), size, provider="cpu")


def plain(pixels: list[bytes]) -> np.ndarray:
    """The same model on memory of the caller's."""
    images = [np.frombuffer(each, np.uint8).reshape(SIDE, SIDE, 3).transpose(2, 0, 1) for each in pixels]
    session = open_session(import_runtime(), make_model(), 1, "cpu")
    return np.asarray(session.run(["z"], {"x": np.stack(images).astype(np.float32)})[0])


@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_run_on_bound_memory_gives_what_a_plain_one_gives(count: int) -> None:
    vectors = batch(4).run(PICTURES[:count])
    assert vectors.shape == (count, DIMENSION)
    assert vectors == pytest.approx(plain(PICTURES[:count]), abs=1e-4)


def test_vectors_outlive_the_next_run() -> None:
    runs = batch(2)
    first = runs.run(PICTURES[:2])
    kept = first.copy()
    runs.run(PICTURES[2:])
    assert (first == kept).all()


def test_a_smaller_batch_sees_nothing_of_the_one_before() -> None:
    runs = batch(2)
    fresh = runs.run(PICTURES[:1])
    runs.run(PICTURES[2:])
    assert (runs.run(PICTURES[:1]) == fresh).all()


def test_a_gpu_is_told_how_to_search_and_how_much_memory_it_has() -> None:
    assert provider_options("cuda", gpu_memory_mb=512) == {
        "cudnn_conv_algo_search": "HEURISTIC",
        "gpu_mem_limit": 512 << 20,
        "arena_extend_strategy": "kSameAsRequested",
    }
    assert provider_options("cpu", gpu_memory_mb=512) == {}


def test_two_runtimes_are_an_error() -> None:
    with pytest.raises(ConfigError, match="both installed"):
        import_runtime({"onnxruntime", "onnxruntime-gpu"}.__contains__)
    assert not is_installed("a-distribution-that-is-not-there")


def test_a_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(EncoderUnavailableError, match="cannot be loaded"):
        open_session(import_runtime(), b"not a model", 1, "cpu")


class FallenBack:
    """An onnxruntime that was asked for one device and took another: no driver, no library, no word about it."""

    def __init__(self, **settings: object) -> None:
        self.settings = settings

    def InferenceSession(self, *arguments: object, **settings: object) -> "FallenBack":  # noqa: N802 - onnxruntime's
        return FallenBack(**settings)

    def SessionOptions(self) -> "FallenBack":  # noqa: N802 - onnxruntime's
        return FallenBack()

    def add_session_config_entry(self, key: str, value: str) -> None:
        pass

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


def test_a_session_that_fell_back_is_no_encoder() -> None:
    with pytest.raises(EncoderUnavailableError, match="fell back to CPUExecutionProvider"):
        open_session(FallenBack(), b"", 1, "cuda")
    assert open_session(FallenBack(), b"", 1, "cpu").settings["enable_fallback"] == 0
