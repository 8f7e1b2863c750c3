"""Objects that applications keep, and what is remembered of them."""

from __future__ import annotations

from dataclasses import dataclass

from shared.types.decisions import ImageJudgement


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectName:
    """What an application calls an object.

    ``scope`` is empty where the application's ids are unique, else the host or the user that an id belongs to.
    """

    app: str
    id: str
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedObject:
    """The images that an object held when its bytes went by, or the name under which they are known.

    ``learnt`` is wall time in seconds since 1970.  No images: it was looked into and held none.
    """

    learnt: float
    images: tuple[ImageJudgement, ...] = ()
    alias: ObjectName | None = None
