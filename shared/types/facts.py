"""What is known about one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from shared.errors import ErrorCode
from shared.types.vocabulary import Matcher, Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """What the decoder saw; ``width`` and ``height`` in pixels after EXIF orientation, of the first frame.

    Of ``frames`` pictures in the file (frames of an animation, pages, sizes of an icon) ``frames_inspected`` were
    judged, or look like one that was.  ``low_information``: none of them shows anything.
    """

    format: str
    width: int
    height: int
    frames: int
    frames_inspected: int
    low_information: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedFrame:
    """One picture of an image file: frame or page ``index``, counted from 0, ``size`` = (width, height) upright.

    ``pdq`` holds the eight dihedral variants (64 hexadecimal digits each, the upright one first), ``pdq_quality``
    is 0..100, ``pixels`` is the encoder's input: ``side`` x ``side`` x 3 bytes, RGB, row by row.  ``views`` are further
    inputs of that kind, made only where a reference is enrolled under several.  ``plane`` is the grey picture that
    local features come from: ``plane_size`` = (width, height) in pixels, row by row, the long side at most 512; empty
    where the picture shows too little (``low_information``).
    """

    index: int
    size: tuple[int, int]
    pdq: tuple[str, ...]
    pdq_quality: int
    pixels: bytes
    low_information: bool = False
    views: tuple[bytes, ...] = ()
    plane: bytes = b""
    plane_size: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if len(self.plane) != self.plane_size[0] * self.plane_size[1]:
            raise ValueError("the plane must be width x height bytes")
        if len(self.pdq) != 8:
            raise ValueError("pdq must hold the eight dihedral variants")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """What leaves the sandbox: facts and small fixed-size pixels, never the picture itself.

    ``frames`` are the pictures to judge, in the file's order: one of most files, several of an animation, and one twice
    where it looks different on another background.  ``side`` is that of the encoder's input.
    """

    info: ImageInfo
    side: int
    frames: tuple[DecodedFrame, ...]

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError("an image has at least one frame")
        sizes = {len(picture) for frame in self.frames for picture in (frame.pixels, *frame.views)}
        if sizes != {self.side * self.side * 3}:
            raise ValueError("pixels must be side x side x 3 bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an analyst is shown: geometric agreement with the reference.

    ``inliers`` local features lie where one transform puts them.  ``region`` is where the reference is seen in the
    image, ``reference_region`` what part of the reference that is: (left, top, right, bottom), the first in pixels of
    the image, the second in per cent of the reference.  ``agreement``: the share of the comparable blocks inside that
    look alike, 0..1, None where none can be compared.  ``transform`` is the transform in words.
    """

    inliers: int
    region: tuple[int, int, int, int]
    transform: str
    reference_region: tuple[int, int, int, int] = (0, 0, 100, 100)
    agreement: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceMatch:
    """How an image relates to one reference of a set.

    ``score`` (0..100) is fused and calibrated for the set at its present size; ``raw_score`` is on the encoder's
    cosine alone; ``exact_score`` and ``similar_score`` are 0..1.  ``matched_by`` names the matchers that alone would
    reach the set's threshold.  ``frame`` is the frame or page, counted from 0, that the match is the best of; the
    evidence is in its pixels.
    """

    set: str
    reference: str
    name: str
    matched: bool
    relation: Relation
    score: float
    raw_score: float
    exact_score: float
    similar_score: float
    evidence: Evidence | None = None
    matched_by: tuple[Matcher, ...] = ()
    frame: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """A classifier's answer: a label that is reached, or ``other`` where none is; ``score`` 0..100."""

    classifier: str
    label: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HashHit:
    """An entry of a third-party hash list; ``distance`` in bits, 0 for exact kinds."""

    list: str
    kind: Literal["pdq", "sha256", "md5"]
    distance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictError:
    """Why there are no facts."""

    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadPart:
    """What of a container could not be looked into; ``path`` inside it, empty for the container as a whole."""

    path: str
    error: VerdictError


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerInfo:
    """What came out of an archive or a document: ``images`` found, of which ``images_inspected`` have facts."""

    format: str
    images: int
    images_inspected: int
    unread: tuple[UnreadPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NearVerdict:
    """The picture whose verdict was told of another one: ``distance`` is that of their PDQ hashes, in bits of 256."""

    sha256: str
    distance: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Facts about one image, free of user data and cacheable by (sha256, index_revision, classifier_revision).

    ``labels`` holds an answer of each classifier that was asked and could answer; where there is none it is unknown,
    not ``other``.  ``classifier_revision`` is the position of the classifiers' log that they rest on.
    ``degraded``: bytes and hash only were looked up, the encoder was not asked.  ``hurried``: there was no time for a
    closer look that was due, so the next look may find more: not to be cached.  ``near``: nobody looked at this image,
    one like it got this verdict before; not to be cached either.

    For an archive or a document ``container`` says what came out and ``images`` holds a verdict for each picture
    inside, in which ``path`` is where it lies; ``error`` then says what could not be read.  A file that is a picture
    and a container has both.
    """

    sha256: str
    image: ImageInfo | None = None
    pdq: str | None = None
    pdq_quality: int | None = None
    matches: tuple[ReferenceMatch, ...] = ()
    labels: tuple[LabelScore, ...] = ()
    hash_hits: tuple[HashHit, ...] = ()
    encoder: str = ""
    index_revision: str = ""
    classifier_revision: int = 0
    degraded: bool = False
    hurried: bool = False
    near: NearVerdict | None = None
    error: VerdictError | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    container: ContainerInfo | None = None
    images: tuple[Verdict, ...] = ()
    path: str = ""
