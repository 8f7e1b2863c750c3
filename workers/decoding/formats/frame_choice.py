"""Which frames of an animation are judged: those that look different, the most different ones where there are many.

Frames arrive one after the other and are seen once, as thumbnails.  A frame that looks like one that was chosen is not
chosen; once ``limit`` are, a new one takes the place of one of the two that resemble each other most, if it is further
from all of them than these two from each other (farthest-first traversal, Gonzalez 1985, on a stream).  One other
picture among thousands of frames of a film stands out and is kept; what changes little is represented.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_SIDE: Final = 16
SAME_LEVELS: Final = 4.0
"""Root mean square difference of two thumbnails, of 255 levels, below which frames look the same.

One of the 256 cells that changes by a quarter of the range is as much; 256 dithered colours are under 1.
"""

type Thumbnail = NDArray[np.float32]


def thumbnail(picture: Image.Image) -> Thumbnail:
    """Return a picture (L, LA, RGB or RGBA) averaged to 16 x 16 x 3 levels, on white and flat."""
    small = picture.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    if small.mode in {"LA", "RGBA"}:
        # Levels of what is clear do not show: premultiplied and on white.
        values = np.asarray(small.convert("RGBA"), np.float32)
        opaque = values[..., 3:] / 255
        return np.asarray(values[..., :3] * opaque + 255 * (1 - opaque), np.float32).ravel()
    return np.asarray(small.convert("RGB"), np.float32).ravel()


class FrameChoice:
    """Chooses up to ``limit`` frames by the thumbnails that are offered."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chosen: dict[int, Thumbnail] = {}
        self._offered: list[Thumbnail] = []
        self._closest: tuple[float, int] = (np.inf, -1)

    def offer(self, index: int, seen: Thumbnail, *, last: bool = False) -> bool:
        """Tell whether frame ``index`` is chosen, for now; the first is for good, the ``last`` one if it differs."""
        self._offered.append(seen)
        nearest = self._nearest(seen)
        if nearest < SAME_LEVELS:
            return False
        if len(self._chosen) >= self._limit:
            closest, gone = self._closest
            if gone < 0 or (nearest <= closest and not last):
                return False
            del self._chosen[gone]
        self._chosen[index] = seen
        if len(self._chosen) >= self._limit:
            self._closest = self._closest_pair()
        return True

    @property
    def chosen(self) -> tuple[int, ...]:
        """The chosen frames, in order."""
        return tuple(sorted(self._chosen))

    def represented(self) -> int:
        """Return how many of the frames that were offered were chosen or look like one that was."""
        return sum(self._nearest(seen) < SAME_LEVELS for seen in self._offered)

    def _nearest(self, seen: Thumbnail) -> float:
        return min((difference(seen, other) for other in self._chosen.values()), default=np.inf)

    def _closest_pair(self) -> tuple[float, int]:
        """Return the least distance of two chosen frames, and the later of them; the first frame is never it."""
        numbers = self.chosen
        pairs = (
            (difference(self._chosen[one], self._chosen[other]), other)
            for place, other in enumerate(numbers)
            for one in numbers[:place]
        )
        return min(pairs, default=(np.inf, -1))


def difference(one: Thumbnail, other: Thumbnail) -> float:
    """Return the root mean square difference in levels, 0..255."""
    steps = one - other
    return float(np.sqrt(np.dot(steps, steps) / steps.size))
