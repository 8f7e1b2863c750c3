"""onnxruntime: the session on the device that was asked for, and runs on memory that is bound to it once.

The names of the CUDA provider's options: https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html,
of the binding: https://onnxruntime.ai/docs/api/python/api_summary.html#iobinding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConfigError, EncoderUnavailableError

DEFAULT_GPU_MEMORY_MB: Final = 2048

Provider = Literal["cpu", "cuda"]
EXECUTION_PROVIDERS: Final[dict[Provider, str]] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def is_installed(distribution: str) -> bool:
    """Whether this environment has a distribution of that name."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def import_runtime(installed: Callable[[str], bool] = is_installed) -> Any:
    """Return onnxruntime; raises EncoderUnavailableError where there is none, ConfigError where there are two."""
    if all(map(installed, ("onnxruntime", "onnxruntime-gpu"))):
        raise ConfigError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files:"
            " uninstall both, then pip install '.[cpu]' or '.[gpu]' in the checkout"
        )
    try:
        import onnxruntime  # noqa: PLC0415 - the base installation has none
    except ImportError as error:
        raise EncoderUnavailableError(
            "no onnxruntime is installed: make setup, or pip install '.[cpu]' in the checkout"
        ) from error
    return onnxruntime


def provider_options(provider: Provider, gpu_memory_mb: int = DEFAULT_GPU_MEMORY_MB) -> dict[str, object]:
    """Return what a session's provider is told; ``gpu_memory_mb`` MiB bound the arena of a GPU."""
    if provider == "cpu":
        return {}
    return {
        # The default, EXHAUSTIVE, tries every algorithm for every new shape.
        "cudnn_conv_algo_search": "HEURISTIC",
        # Both keep the arena from doubling itself (onnxruntime#14477).
        "gpu_mem_limit": gpu_memory_mb << 20,
        "arena_extend_strategy": "kSameAsRequested",
    }


def open_session(
    runtime: Any, model: bytes, threads: int, provider: Provider, *, gpu_memory_mb: int = DEFAULT_GPU_MEMORY_MB
) -> Any:
    """Return a session of ``model`` on ``provider`` and nowhere else; raises EncoderUnavailableError."""
    name = EXECUTION_PROVIDERS[provider]
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning saves microseconds between runs and burns a core that decoders need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if name not in runtime.get_available_providers():
        raise EncoderUnavailableError(f"worker.provider {provider} needs {name}, which this onnxruntime does not have")
    try:
        providers = [(name, provider_options(provider, gpu_memory_mb))]
        session = runtime.InferenceSession(model, options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime raises a dozen unrelated classes
        raise EncoderUnavailableError(f"the encoder cannot be loaded: {error}") from error
    if session.get_providers()[0] != name:
        raise EncoderUnavailableError(f"asked for {name}, onnxruntime fell back to {session.get_providers()[0]}")
    return session


class BoundBatch:
    """Runs of one batch size, on input and output memory of the session's device that is allocated and bound once.

    ``session`` takes one float32 N x 3 x side x side and gives one float32 N x dimension.  Not for two threads at once:
    they would share that memory.
    """

    def __init__(self, runtime: Any, session: Any, size: int, *, provider: Provider) -> None:
        (entry,) = session.get_inputs()
        (result,) = session.get_outputs()
        self.size: Final = size
        self._session = session
        self._pictures = np.zeros((size, 3, *entry.shape[2:]), dtype=np.float32)
        make = runtime.OrtValue.ortvalue_from_shape_and_type
        self._input = make(self._pictures.shape, np.float32, provider, 0)
        self._output = make((size, result.shape[1]), np.float32, provider, 0)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(entry.name, self._input)
        self._binding.bind_ortvalue_output(result.name, self._output)

    def run(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        """Return a vector each for at most ``size`` pictures of side x side x 3 bytes RGB; the rest is padding."""
        side = self._pictures.shape[2]
        for row, picture in enumerate(pixels):
            rgb = np.frombuffer(picture, dtype=np.uint8).reshape(side, side, 3)
            self._pictures[row] = rgb.transpose(2, 0, 1)
        # A model whose scales depend on the batch must not see the pictures of an earlier one.
        self._pictures[len(pixels) :] = 0
        self._input.update_inplace(self._pictures)
        self._session.run_with_iobinding(self._binding)
        return np.array(self._output.numpy()[: len(pixels)], dtype=np.float32)


__all__ = ["BoundBatch", "Provider", "import_runtime", "is_installed", "open_session", "provider_options"]
