"""Takes the waves out of a photograph of a screen: beats of two pixel grids, narrow peaks of the spectrum.

Each is a carrier whose strength and phase change slowly over the picture: it is shifted to frequency 0, averaged there,
shifted back and subtracted.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

WAVES: Final = 2
"""At most, with both signs of the frequency."""
LEAST_PERIODS: Final = 40
"""Periods across the longer side: what is slower may be the picture's own."""
LEAST_SHARE: Final = 0.1
"""Of the power of all that is as fast, in a peak of 5 x 5 frequencies."""
SLOWNESS: Final = 31
"""Pixels a side over which a wave's strength and phase are averaged, twice."""
DETAIL: Final = 9
"""Pixels a side of the mean that is not part of a wave."""


def without_waves(plane: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return a plane (H x W) without its strongest waves, or None where it has none."""
    picture = plane.astype(np.float32)
    rest = picture - cv2.blur(picture, (DETAIL, DETAIL))
    found = 0
    for _ in range(WAVES):
        frequency = _peak(rest)
        if frequency is None:
            break
        wave = _wave(rest, frequency)
        rest -= wave
        picture -= wave
        found += 1
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8) if found else None


def _peak(picture: NDArray[np.float32]) -> tuple[float, float] | None:
    """Return the frequency (down, across; cycles a pixel) of the strongest wave, or None where none stands out."""
    height, width = picture.shape
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft2(picture * window))).astype(np.float32)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    power[np.hypot(down, across) < LEAST_PERIODS / max(height, width)] = 0
    peaks = cv2.blur(power, (5, 5), borderType=cv2.BORDER_CONSTANT) * 25
    row, column = divmod(int(peaks.argmax()), peaks.shape[1])
    if peaks[row, column] <= LEAST_SHARE * power.sum() or not power.any():
        return None
    top, left = max(0, row - 2), max(0, column - 2)
    near = power[top : row + 3, left : column + 3]
    y, x = divmod(int(near.argmax()), near.shape[1])
    return float(down[top + y, 0]), float(across[0, left + x])


def _wave(picture: NDArray[np.float32], frequency: tuple[float, float]) -> NDArray[np.float32]:
    height, width = picture.shape
    turns = 2 * np.pi * (frequency[0] * np.arange(height)[:, None] + frequency[1] * np.arange(width)[None, :])
    cosine, sine = np.cos(turns).astype(np.float32), np.sin(turns).astype(np.float32)
    even, odd = (_averaged(picture * part) for part in (cosine, sine))
    return np.asarray(2 * (even * cosine + odd * sine), np.float32)


def _averaged(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.blur(cv2.blur(picture, (SLOWNESS, SLOWNESS)), (SLOWNESS, SLOWNESS)), np.float32)
