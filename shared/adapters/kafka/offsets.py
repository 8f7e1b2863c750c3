"""Which offsets a worker may commit.  Pure.

Kafka commits a position, not a message: everything before it counts as done.  Workers finish out of order, so the
position of a partition is its oldest request that is not done.
"""

from __future__ import annotations

from collections.abc import Hashable


class OffsetTracker[P: Hashable]:
    """Requests handed out, by partition, until the position has passed them."""

    def __init__(self) -> None:
        self._open: dict[P, dict[int, bool]] = {}  # offsets in order of arrival -> done
        self._positions: dict[P, int] = {}  # reached and not committed yet

    def delivered(self, partition: P, offset: int) -> None:
        """Note a request that was handed out."""
        self._open.setdefault(partition, {})[offset] = False

    def done(self, partition: P, offset: int) -> None:
        """Note a request as done; one of a partition that was lost since is another worker's."""
        offsets = self._open.get(partition, {})
        if offset not in offsets:
            return
        offsets[offset] = True
        while offsets and offsets[first := next(iter(offsets))]:
            del offsets[first]
            self._positions[partition] = first + 1

    def positions(self) -> dict[P, int]:
        """Return the positions to commit: the offset of the next request of each partition."""
        return dict(self._positions)

    def committed(self, positions: dict[P, int]) -> None:
        """Note that ``positions`` are committed."""
        for partition, position in positions.items():
            if self._positions.get(partition) == position:
                del self._positions[partition]

    def forget(self) -> None:
        """Forget everything: the partitions are given out anew."""
        self._open.clear()
        self._positions.clear()
