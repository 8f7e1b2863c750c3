"""Files as a hostile hand leaves them: a strategy of damage for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

MOST_CHANGES = 6


@st.composite
def damaged(draw: st.DrawFn, *files: bytes) -> bytes:
    """Return one of the files with bytes changed, taken out, put in twice, or cut off behind one."""
    data = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, MOST_CHANGES))):
        place = draw(st.integers(0, len(data) - 1) | st.integers(0, min(len(data), 600) - 1))
        length = draw(st.integers(1, 40))
        match draw(st.sampled_from(("change", "change", "change", "take out", "repeat", "cut off"))):
            case "change":
                data[place] = draw(st.integers(0, 255))
            case "take out":
                del data[place : place + length]
            case "repeat":
                data[place:place] = data[place : place + length]
            case _:
                del data[max(place, 8) :]
        if len(data) < 2:
            break
    return bytes(data)
