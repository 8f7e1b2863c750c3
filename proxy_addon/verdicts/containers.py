"""From the verdict on an archive or a document to judgements of the images inside: each counts as one of the transfer.

What could not be read in it counts as uninspected, each part by its own reason, and the container itself is no image.
"""

from __future__ import annotations

from dataclasses import replace

from shared.types import ImageJudgement, UnreadPart, Verdict


def images_of(judgement: ImageJudgement) -> tuple[ImageJudgement, ...]:
    """Return the judgements of what a part holds; of a plain image its own."""
    verdict = judgement.verdict
    if verdict is None or verdict.container is None:
        return (judgement,)
    inside = tuple(_image(judgement, image) for image in verdict.images)
    unread = tuple(_unread(judgement, verdict, part) for part in verdict.container.unread)
    return (*_own(judgement, verdict), *inside, *unread)


def _own(judgement: ImageJudgement, verdict: Verdict) -> tuple[ImageJudgement, ...]:
    """Return the judgement of a file that is a picture as well, or was meant to be one."""
    own_error = verdict.error is not None and not _is_of_container(verdict)
    read_as_image = verdict.image is not None or own_error
    alone = replace(verdict, container=None, images=())
    return (replace(judgement, verdict=alone),) if read_as_image else ()


def _is_of_container(verdict: Verdict) -> bool:
    codes = {part.error.code for part in verdict.container.unread} if verdict.container is not None else set()
    return verdict.error is not None and verdict.error.code in codes


def _image(outer: ImageJudgement, image: Verdict) -> ImageJudgement:
    return ImageJudgement(
        locator=f"{outer.locator}/{image.path}",
        sha256=image.sha256,
        size=0,
        name="/".join(filter(None, (outer.name, image.path))),
        verdict=image,
        container=outer.sha256,
    )


def _unread(outer: ImageJudgement, verdict: Verdict, part: UnreadPart) -> ImageJudgement:
    return ImageJudgement(
        locator="/".join(filter(None, (outer.locator, part.path))),
        sha256=outer.sha256,
        size=outer.size,
        name="/".join(filter(None, (outer.name, part.path))),
        verdict=Verdict(
            sha256=outer.sha256,
            encoder=verdict.encoder,
            index_revision=verdict.index_revision,
            error=part.error,
        ),
        container=outer.sha256,
    )
