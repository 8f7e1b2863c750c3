"""The image fingerprinter: an ONNX file, checked, loaded on the device that was asked for, and warmed up.

The file's contract: input ``x`` float32 N x 3 x side x side, RGB 0..255 (normalisation is in the graph); one output,
float32 N x dimension.  Which file of a version runs depends on the device (workers/encoders/files.py): int8 on a CPU,
fp16 on a GPU, or what ``worker.precision`` says.  A run pads to one of a few fixed batch sizes, each run once at start:
a size that was never seen costs a GPU 0.3 to 8 s (onnxruntime#19838, triton#7776).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from shared.config import Settings
from shared.core.matching import Calibration
from shared.errors import EncoderUnavailableError
from workers.encoders.files import (
    IMPORTED,
    MODELS,
    EncoderCard,
    Precision,
    choose_encoder,
    list_encoders,
)
from workers.encoders.names import EncoderName, card_of
from workers.encoders.session import (
    DEFAULT_GPU_MEMORY_MB,
    EXECUTION_PROVIDERS,
    BoundBatch,
    Provider,
    import_runtime,
    open_session,
)

DEFAULT_BATCH_LIMIT: Final = 8


class Encoder:
    """A loaded encoder.  ``id`` names its index version; ``embed`` may be called from any thread."""

    def __init__(
        self,
        index_id: str,
        runtime: Any,
        session: Any,
        calibration: Calibration,
        *,
        precision: Precision = "fp32",
        provider: Provider = "cpu",
        batch_limit: int = DEFAULT_BATCH_LIMIT,
    ) -> None:
        self.id: Final = index_id
        self.precision: Final = precision
        self.calibration: Final = calibration
        self._session = session
        self._provider = EXECUTION_PROVIDERS[provider]
        (entry,) = session.get_inputs()
        (result,) = session.get_outputs()
        self.side: Final = int(entry.shape[2])
        self.dimension: Final = int(result.shape[1])
        self._running = Lock()
        sizes = _bucket_sizes(batch_limit)
        try:
            self._batches = [BoundBatch(runtime, session, size, provider=provider) for size in sizes]
            for batch in self._batches:
                batch.run([bytes(3 * self.side**2)] * batch.size)
        except Exception as error:  # such as a GPU whose memory, or worker.gpu_memory_mb of it, does not suffice
            raise EncoderUnavailableError(f"the encoder does not run: {error}") from error

    @classmethod
    def load(
        cls,
        name: str = "",
        *,
        threads: int = 1,
        provider: Provider = "cpu",
        precision: Precision | Literal["auto"] = "auto",
        batch_limit: int = DEFAULT_BATCH_LIMIT,
        gpu_memory_mb: int = DEFAULT_GPU_MEMORY_MB,
        models: Path = MODELS,
        imported: Path | None = None,
    ) -> Encoder:
        """Load encoder ``name`` (default: the newest that ships) with ``threads`` on ``provider``.

        ``imported`` is the folder of imported versions.  Raises ConfigError for an unknown name or two onnxruntimes,
        EncoderUnavailableError where there is none, the file is not the one its card describes, its calibration was
        made for another, or the provider or the precision is not to be had.
        """
        runtime = import_runtime()
        card = choose_encoder(name, models, imported)
        chosen = card.choose(precision, provider)
        model = card.read_model(chosen)
        calibration = card.read_calibration(chosen)
        return cls(
            card.files[chosen].index_id,
            runtime,
            open_session(runtime, model, threads, provider, gpu_memory_mb=gpu_memory_mb),
            calibration,
            precision=chosen,
            provider=provider,
            batch_limit=batch_limit,
        )

    @classmethod
    def configured(cls, settings: Settings, name: EncoderName | None = None) -> Encoder:
        """Load an encoder, shipped or imported, as the configuration's ``worker`` section says; raises as ``load``.

        Without a name, the one of that section; a store may say another (``workers/encoders/in_force.py``).
        """
        worker = settings.worker
        if name is not None:
            card_of(settings, name)
        return cls.load(
            worker.encoder if name is None else name.version,
            threads=worker.threads,
            provider=worker.provider,
            precision=worker.precision if name is None else name.precision,
            batch_limit=worker.batch_limit,
            gpu_memory_mb=worker.gpu_memory_mb,
            imported=settings.data_dir / IMPORTED,
        )

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The sizes that cost no padding; on a GPU, which runs a batch in little more than the time of one, any."""
        sizes = tuple(batch.size for batch in self._batches)
        return sizes if self._provider == EXECUTION_PROVIDERS["cpu"] else tuple(range(1, sizes[-1] + 1))

    def on_device(self) -> bool:
        """Whether it still runs where it was asked to: onnxruntime may move a session whose device fails to the CPU."""
        return bool(self._session.get_providers()[0] == self._provider)

    def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        """Return n x dimension vectors, L2 = 1, for n pictures of side x side x 3 bytes RGB.

        Blocks while it computes.  Raises EncoderUnavailableError for a result that is none.
        """
        vectors = np.empty((len(pixels), self.dimension), dtype=np.float32)
        largest = self._batches[-1].size
        with self._running:  # runs of one size share their memory, and all of them the device
            for start in range(0, len(pixels), largest):
                chunk = pixels[start : start + largest]
                batch = next(each for each in self._batches if each.size >= len(chunk))
                vectors[start : start + len(chunk)] = batch.run(chunk)
        if not np.isfinite(vectors).all():
            raise EncoderUnavailableError("the encoder gave vectors that are not numbers")
        lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
        return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def _bucket_sizes(limit: int) -> tuple[int, ...]:
    """Return 1, 2, 4, … up to ``limit``, which is one of them."""
    return (*(1 << power for power in range(limit.bit_length()) if 1 << power < limit), limit)


__all__ = ["DEFAULT_BATCH_LIMIT", "MODELS", "Encoder", "EncoderCard", "Precision", "Provider", "list_encoders"]
