"""One decode child as the worker sees it: start it, ask it, lose it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.errors import DecodeError, SafelightError, WireError
from shared.types import DecodedImage
from workers.decoding.protocol import (
    LENGTH,
    MAX_OBSCURED_BYTES,
    MAX_REPLY_BYTES,
    READY,
    READY_UNCONFINED,
    REQUEST,
    ObscuredImage,
    Operation,
    Reply,
    Unpacked,
    unpack_reply,
)
from workers.decoding.unpack_protocol import MAX_HEAD, Findings

START_SECONDS: Final = 60.0
"""Interpreter and libraries take 0.2 s on an idle core; a machine under load may take a while."""
ENVIRONMENT: Final[Mapping[str, str]] = {
    # Nothing of this process's environment (keys, passwords) is handed on.
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "LC_ALL": "C.UTF-8",
    # Threads are refused in the sandbox.
    "OPENBLAS_NUM_THREADS": "1",
    # glibc gives each picture's memory back to the system and faults it in again for the next one: keeping it takes
    # 12 MB a child and saves 5 of 12 ms of CPU for a photograph of 1280 x 853.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    # HEIF is decoded in a thread, whose own arena would be taken for 64 MB of the address space.
    "MALLOC_ARENA_MAX": "1",
}

_log = logging.getLogger(__name__)


class ChildLostError(SafelightError):
    """The child died or talks nonsense; it is of no more use."""


class DecodeProcess:
    """A running, confined child.  One question at a time."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None  # noqa: S101 - both were asked for as pipes
        assert process.stdout is not None  # noqa: S101
        self._process = process
        self._requests = process.stdin
        self._replies = process.stdout

    @classmethod
    async def start(cls, *, side: int, max_pixels: int, max_frames: int) -> DecodeProcess:
        """Return a child that has loaded its decoders and entered its sandbox; raises ChildLostError."""
        arguments = [str(number) for number in (side, max_pixels, max_frames, os.getpid())]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workers.decoding.child", *arguments,
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=ENVIRONMENT, start_new_session=True,
        )  # fmt: skip
        child = cls(process)
        try:
            async with asyncio.timeout(START_SECONDS):
                greeting = await child._read()
            if greeting not in {READY, READY_UNCONFINED}:
                raise ChildLostError(f"a decode child did not start: {greeting.decode(errors='replace')}")
        except TimeoutError:
            await child.end()
            raise ChildLostError(f"a decode child did not start within {START_SECONDS} s") from None
        except BaseException:
            await child.end()
            raise
        if greeting == READY_UNCONFINED:
            _log.warning("no seccomp here: decode children are held by resource limits alone")
        return child

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether it has not been seen to die."""
        return self._process.returncode is None

    async def ask(self, data: bytes, operation: Operation = Operation.DECODE, order: bytes = b"") -> Reply:
        """Have ``data`` decoded, or obscured by a packed ``order``; raises ChildLostError."""
        obscures = operation is Operation.OBSCURE
        try:
            await self._send(operation, order, data)
            reply = unpack_reply(await self._read(MAX_REPLY_BYTES + (MAX_OBSCURED_BYTES if obscures else 0)))
            if not isinstance(reply.outcome, DecodeError | (ObscuredImage if obscures else DecodedImage)):
                raise ChildLostError("a decode child answered another question")
            return reply
        except (OSError, WireError) as error:
            raise ChildLostError(str(error) or "the decoder died") from error

    async def unpack(self, data: bytes, order: bytes, findings: Findings, most: int) -> Reply:
        """Have a container taken apart, ``most`` bytes a picture; what is found is in ``findings`` as it is found.

        Raises ChildLostError.
        """
        try:
            await self._send(Operation.UNPACK, order, data)
            while findings.take(payload := await self._read(MAX_HEAD + most)):
                pass
            reply = unpack_reply(payload)
            if not isinstance(reply.outcome, DecodeError | Unpacked):
                raise ChildLostError("a decode child answered another question")
            return reply
        except (OSError, WireError) as error:
            raise ChildLostError(str(error) or "the decoder died") from error

    async def gone(self) -> int:
        """Wait until it has died; return its exit status (negative: the signal)."""
        return await self._process.wait()

    async def end(self) -> None:
        """Kill it and leave no zombie; idempotent."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._requests.close()
        await self._process.wait()

    async def _send(self, operation: Operation, order: bytes, data: bytes) -> None:
        # In one: a head by itself would wake the child, which would take the core and find nothing to decode yet.
        self._requests.writelines((REQUEST.pack(len(order) + len(data), operation), order, data))
        await self._requests.drain()

    async def _read(self, limit: int = MAX_REPLY_BYTES) -> bytes:
        try:
            (length,) = LENGTH.unpack(await self._replies.readexactly(LENGTH.size))
            if length > limit:
                raise ChildLostError(f"a decode child answered with {length} bytes")
            return await self._replies.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise ChildLostError("the decoder died") from error
