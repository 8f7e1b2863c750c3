"""What a decode child cannot do, and that losing one costs one item: with real processes, limits and signals."""

import asyncio
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.errors import DecodeError, ErrorCode
from shared.telemetry import Metrics
from shared.types import Obscuring, RedactionOrder
from tests.image_factories import make_animation, make_file, make_heif, make_icon, make_picture
from workers.decoding import sandbox
from workers.decoding.child import ITEMS_PER_CHILD
from workers.decoding.obscuring import WRITTEN
from workers.decoding.pool import QUEUE_PER_CHILD, SPARES, DecodePool
from workers.decoding.process import ChildLostError, DecodeProcess

# Runs as a process of its own: enters the sandbox, tries everything, and prints what the system said.
PROBE = """
import ctypes, errno, json, mmap, os, platform, socket, subprocess, sys, threading
from workers.decoding import sandbox

library = ctypes.CDLL(None, use_errno=True)
spare = os.dup(0)
os.close(spare)

CLONE = {"x86_64": 56, "aarch64": 220}[platform.machine()]

def call(name, *arguments):
    if getattr(library, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)

ATTEMPTS = {
    "socket": lambda: socket.socket(),
    "unix socket": lambda: socket.socket(socket.AF_UNIX),
    "read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "write a file": lambda: os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT),
    "unlink": lambda: os.unlink(sys.argv[1]),
    "list": lambda: os.listdir("/"),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "fork": lambda: os.fork(),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "vfork": lambda: call("syscall", CLONE, 0x4111, 0, 0, 0, 0),
    "signal": lambda: os.kill(os.getppid(), 0),
    "ptrace": lambda: call("ptrace", 16, os.getppid(), 0, 0),
    "prctl": lambda: call("prctl", 38, 1, 0, 0, 0),
    "raise a limit": lambda: call("prlimit", 0, 9, ctypes.create_string_buffer(16), None),
    "io_uring": lambda: call("syscall", 425, 8, ctypes.create_string_buffer(120)),
    "memory": lambda: mmap.mmap(-1, sandbox.ADDRESS_SPACE_BYTES),
}

def outcome(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno, "OSError")
    return "done"

confinement = sandbox.enter(os.getppid())
said = {name: outcome(each) for name, each in ATTEMPTS.items()}
done = threading.Event()
threading.Thread(target=done.set).start()
said["thread"] = done.wait(10)
print(json.dumps(said | {"seccomp": confinement.seccomp}), flush=True)
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def pool(metrics: Metrics) -> AsyncIterator[DecodePool]:
    async with a_pool(metrics, timeout=30.0) as pool:
        yield pool


@asynccontextmanager
async def a_pool(metrics: Metrics, *, timeout: float, spares: int = SPARES) -> AsyncIterator[DecodePool]:
    pool = DecodePool(size=1, side=96, timeout=timeout, max_pixels=500_000_000, metrics=metrics, spares=spares)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - processes are watched from outside
            await asyncio.sleep(0.01)


async def code_of(pool: DecodePool, data: bytes, *, deadline: float | None = None) -> ErrorCode:
    with pytest.raises(DecodeError) as caught:
        await pool.decode(data, deadline=deadline)
    return caught.value.code


def restarts(metrics: Metrics, cause: str) -> float:
    return metrics.value("safelight_worker_decoder_restarts_total", cause=cause)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_inside_the_sandbox_everything_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("here")
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(target)], cwd=ROOT, capture_output=True, check=True, timeout=30
    )
    said = json.loads(done.stdout)
    assert said.pop("seccomp") is True
    assert said.pop("memory") == "ENOMEM"
    assert said.pop("thread") is True, "HEIF is decoded in one"
    assert set(said.values()) == {"EPERM"}, said
    assert target.read_text() == "here"


@pytest.mark.skipif(sys.platform != "linux", reason="another process's limits can be read on Linux only")
async def test_every_child_has_its_limits(pool: DecodePool) -> None:
    await until(lambda: len(pool.pids()) == 1 + SPARES)
    limits = {
        resource.RLIMIT_AS: sandbox.ADDRESS_SPACE_BYTES,
        resource.RLIMIT_CPU: sandbox.CPU_SECONDS,
        resource.RLIMIT_NOFILE: sandbox.OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for pid in pool.pids():
        assert {kind: resource.prlimit(pid, kind) for kind in limits} == {kind: (n, n) for kind, n in limits.items()}


async def test_a_picture_comes_through(pool: DecodePool) -> None:
    image = await pool.decode(make_file(make_picture(1280, 853), "JPEG"))
    assert (image.info.format, image.info.width, image.info.height) == ("JPEG", 1280, 853)
    assert pool.ready()


async def test_large_files_and_many_at_once(pool: DecodePool) -> None:
    large = make_file(make_picture(3000, 2000), "BMP")  # 18 MB, far over what a pipe holds
    images = await asyncio.gather(
        *(pool.decode(large) for _ in range(3)), *(pool.decode(make_file()) for _ in range(20))
    )
    assert [image.info.width for image in images] == [3000] * 3 + [320] * 20


@pytest.mark.parametrize("lethal", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_crash_costs_one_item(pool: DecodePool, metrics: Metrics, lethal: signal.Signals) -> None:
    await until(lambda: len(pool.pids()) == 1 + SPARES)
    for pid in pool.pids():
        os.kill(pid, signal.SIGSTOP)
    before = pool.pids()
    under_way = asyncio.get_running_loop().create_task(code_of(pool, make_file()))
    await asyncio.sleep(0.05)
    for pid in before:
        os.kill(pid, lethal)
        os.kill(pid, signal.SIGCONT)
    assert await under_way == ErrorCode.DECODER_CRASHED
    await until(lambda: not set(before) & set(pool.pids()))
    assert (await pool.decode(make_file())).info.width == 320
    assert restarts(metrics, "crash") == 1


async def test_a_hang_is_killed_and_replaced(metrics: Metrics) -> None:
    async with a_pool(metrics, timeout=2.0) as pool:
        (stopped, *_) = pool.pids()
        os.kill(stopped, signal.SIGSTOP)
        await until(lambda: len(pool.pids()) == 1 + SPARES)
        assert await code_of(pool, make_file()) == ErrorCode.DECODE_TIMEOUT
        assert not exists(stopped)
        assert (await pool.decode(make_file())).info.width == 320
        assert restarts(metrics, "timeout") == 1


async def test_a_deadline_ends_the_waiting_but_not_the_child(pool: DecodePool, metrics: Metrics) -> None:
    await until(lambda: len(pool.pids()) == 1 + SPARES)
    for pid in pool.pids():
        os.kill(pid, signal.SIGSTOP)
    now = asyncio.get_running_loop().time()
    begun, queued = await asyncio.gather(*(code_of(pool, make_file(), deadline=now + 0.1) for _ in range(2)))
    assert (begun, queued) == (ErrorCode.TOO_LATE, ErrorCode.TOO_LATE)
    for pid in pool.pids():
        os.kill(pid, signal.SIGCONT)
    assert (await pool.decode(make_file())).info.width == 320
    assert restarts(metrics, "timeout") == restarts(metrics, "cancelled") == 0


async def test_without_a_spare_there_is_one_child_and_another_when_it_dies(metrics: Metrics) -> None:
    async with a_pool(metrics, timeout=30.0, spares=0) as pool:
        (only,) = pool.pids()
        os.kill(only, signal.SIGKILL)
        await until(lambda: only not in pool.pids())
        assert (await pool.decode(make_file())).info.width == 320
        assert len(pool.pids()) == 1


async def test_memory_is_bounded(pool: DecodePool) -> None:
    side = 20_000  # one bit a pixel in the file, 1.6 GB as RGB; in one strip, which is decoded as a whole
    rows = zlib.compress(bytes(side // 8 * side), 1)
    width, height, compression, photometric, place, rows_a_strip, length = 256, 257, 259, 262, 273, 278, 279
    deflate, black_is_zero = 8, 1
    tags = {width: side, height: side, compression: deflate, photometric: black_is_zero}
    tags |= {place: 8, rows_a_strip: side, length: len(rows)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    bomb = struct.pack("<2sHI", b"II", 42, 8 + len(rows)) + rows + directory
    assert await code_of(pool, bomb) == ErrorCode.OVER_BUDGET
    assert (await pool.decode(make_file())).info.width == 320


async def test_a_child_that_died_in_its_sleep_costs_nothing(pool: DecodePool, metrics: Metrics) -> None:
    await until(lambda: len(pool.pids()) == 1 + SPARES)
    before = pool.pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not set(before) & set(pool.pids()))
    assert (await pool.decode(make_file())).info.width == 320
    assert restarts(metrics, "idle") == len(before)


async def test_children_are_renewed(pool: DecodePool, metrics: Metrics) -> None:
    asked = 0
    while not restarts(metrics, "retired") and asked < 2 * ITEMS_PER_CHILD + 100:  # the spare has its turns too
        codes = await asyncio.gather(*(code_of(pool, b"not an image") for _ in range(50)))
        assert set(codes) == {ErrorCode.NOT_AN_IMAGE}
        asked += len(codes)
    assert restarts(metrics, "retired") >= 1
    assert asked >= ITEMS_PER_CHILD
    assert (await pool.decode(make_file())).info.width == 320


async def test_the_queue_is_bounded(pool: DecodePool) -> None:
    now = asyncio.get_running_loop().time()
    crowd = [code_of(pool, make_file(), deadline=now - 1) for _ in range(2 * QUEUE_PER_CHILD + 10)]
    codes = await asyncio.gather(*crowd)
    assert {ErrorCode.TOO_LATE, ErrorCode.OVER_BUDGET} == set(codes)


async def test_a_child_that_cannot_start_says_so() -> None:
    with pytest.raises(ChildLostError):
        await DecodeProcess.start(side=0, max_pixels=1_000_000, max_frames=16)


async def test_stop_leaves_no_process_and_can_be_repeated(metrics: Metrics) -> None:
    pool = DecodePool(size=2, side=96, timeout=5.0, max_pixels=1_000_000, metrics=metrics)
    await pool.start()
    await until(lambda: len(pool.pids()) == 2 + SPARES)
    pids = pool.pids()
    unfinished = asyncio.get_running_loop().create_task(code_of(pool, make_file(make_picture(900, 900))))
    await asyncio.sleep(0)
    await pool.stop()
    await pool.stop()
    assert not any(map(exists, pids))
    assert await unfinished == ErrorCode.TOO_LATE
    assert not pool.ready()


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is signalled on Linux only")
async def test_children_die_with_their_parent() -> None:
    script = """
import asyncio
from shared.telemetry import Metrics
from shared.types import Obscuring, RedactionOrder
from workers.decoding.process import ChildLostError, DecodeProcess
from workers.decoding.pool import DecodePool

async def main():
    pool = DecodePool(size=1, side=96, timeout=5, max_pixels=1000000, metrics=Metrics())
    await pool.start()
    print(*pool.pids(), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:  # noqa: ASYNC220
        assert parent.stdout is not None
        pids = [int(word) for word in (await asyncio.to_thread(parent.stdout.readline)).split()]
        assert pids
        parent.kill()
    await until(lambda: not any(map(exists, pids)))


@pytest.mark.parametrize("image_format", [name for name in WRITTEN if name != "ICO"])
async def test_pictures_are_obscured_inside_the_sandbox(image_format: str, pool: DecodePool, metrics: Metrics) -> None:
    others = [make_picture(320, 200, seed=seed) for seed in (2, 3)]
    moving = (
        {"save_all": True, "append_images": others} if image_format in {"GIF", "PNG", "WEBP", "TIFF", "AVIF"} else {}
    )
    data = make_file(make_picture(320, 200), image_format, **moving)
    for how in Obscuring:
        file = await pool.obscure(data, RedactionOrder(regions=((10, 10, 100, 100),), how=how))
        image = await pool.decode(file)
        assert (image.info.format, image.info.width, image.info.height) == (image_format, 320, 200)
        assert image.info.frames == (3 if moving else 1)
    assert metrics.value("safelight_worker_redact_seconds") == 2


async def test_icons_are_obscured_inside_the_sandbox(pool: DecodePool) -> None:
    icon = await pool.obscure(make_icon(make_picture(64, 64), make_picture(32, 32)), RedactionOrder())
    image = await pool.decode(icon)
    assert (image.info.format, image.info.frames, image.info.low_information) == ("ICO", 2, True)


@pytest.mark.skipif(sys.platform != "linux", reason="without a filter there is no thread for libde265")
@pytest.mark.parametrize(("name", "frames"), [("photograph", 1), ("burst", 4), ("white_on_clear", 1)])
async def test_heif_is_decoded_inside_the_sandbox(name: str, frames: int, pool: DecodePool) -> None:
    image = await pool.decode(make_heif(name))
    assert (image.info.format, image.info.frames, image.info.frames_inspected) == ("HEIF", frames, frames)
    with pytest.raises(DecodeError) as refused:
        await pool.obscure(make_heif(name), RedactionOrder())
    assert refused.value.code is ErrorCode.UNSUPPORTED_FORMAT


async def test_what_cannot_be_obscured_costs_itself_alone(pool: DecodePool, metrics: Metrics) -> None:
    with pytest.raises(DecodeError) as refused:
        await pool.obscure(b"no image", RedactionOrder())
    assert refused.value.code is ErrorCode.UNSUPPORTED_FORMAT
    assert metrics.value("safelight_worker_decode_errors_total", code="unsupported_format") == 1
    assert (await pool.decode(make_file())).info.format == "PNG"


async def test_planes_leave_a_child_only_where_they_are_wanted() -> None:
    pool = DecodePool(size=1, side=96, timeout=30.0, max_pixels=1_000_000, metrics=Metrics())
    data = make_file(make_picture(300, 120))
    await pool.start()
    try:
        (with_plane,) = (await pool.decode(data)).frames
        (without,) = (await pool.decode(data, planes=False)).frames
    finally:
        await pool.stop()
    assert (with_plane.plane_size, without.plane_size) == ((300, 120), (0, 0))
    assert (without.pdq, without.pixels) == (with_plane.pdq, with_plane.pixels)


async def test_frames_that_are_not_judged_are_counted_by_limit() -> None:
    metrics = Metrics()
    pool = DecodePool(size=1, side=96, timeout=30.0, max_pixels=1_000_000, metrics=metrics, max_frames=4)
    random = np.random.default_rng(1)
    noise = [Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).resize((400, 400)) for _ in range(6)]
    many = make_animation(*noise, image_format="TIFF")

    async def after(data: bytes, *, views: bool = False) -> tuple[float, float]:
        await pool.decode(data, views=views)
        of = (
            metrics.value("safelight_worker_frame_limit_hits_total", limit=each) for each in ("max_frames", "decoded")
        )
        return next(of), next(of)

    await pool.start()
    try:
        assert await after(make_animation(*noise[:4], image_format="TIFF")) == (0, 0)
        assert await after(make_animation(*noise[:1] * 6, image_format="TIFF")) == (0, 0), "they look alike"
        assert await after(many) == (1, 0)
        assert await after(many, views=True) == (1, 0), "of a reference one frame is taken on purpose"
        assert await after(make_animation(*noise[:1] * 7, image_format="TIFF")) == (1, 1), "too many pixels in all"
    finally:
        await pool.stop()
