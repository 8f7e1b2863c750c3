"""A whole worker on the embedded bus and store: asked over the bus, it finds what was enrolled."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image

from shared import codec
from shared.adapters.local.bus import LocalAskingBus
from shared.adapters.local.hub import Hub, hub_socket_path
from shared.adapters.opening import open_store
from shared.adapters.role import RoleContext, SystemClock
from shared.config import SecretsSettings, Settings, load
from shared.errors import ConfigError, EncoderUnavailableError, ErrorCode
from shared.sealing import Sealer, load_or_create_key
from shared.telemetry import Metrics, Readiness
from shared.types import BusMessage, InspectionRequest, Verdict
from tests.image_factories import make_file, make_picture
from workers.decoding.pool import DecodePool
from workers.encoders.encoder import Encoder
from workers.engines.service import run_worker
from workers.image_sets.enrolment import ImageSets
from workers.index.replica import IndexReplica
from workers.serving.inspector import Inspector

INSTANCE = 5
CLOCK = SystemClock()


class Asker:
    """A proxy's end of the bus, as small as it gets."""

    def __init__(self, settings: Settings, context: RoleContext) -> None:
        self.settings = settings
        self.context = context
        self.sealer = Sealer(load_or_create_key(settings.key_file))
        self.bus = LocalAskingBus(hub_socket_path(settings.data_dir))
        self.store = open_store(settings)

    async def ask(
        self, data: bytes, *, blob: bool = False, age: float = 0.0, classifiers: tuple[str, ...] = ()
    ) -> Verdict:
        question = uuid4().hex
        name = f"inspect/{question}" if blob else None
        if name is not None:
            await self.store.put_blob(name, self.sealer.seal(data, question), ttl=60)
        request = InspectionRequest(
            id=question,
            sha256=hashlib.sha256(data).hexdigest(),
            budget_ms=10_000,
            sent_at=CLOCK.wall() - age,
            reply_to=INSTANCE,
            size=len(data),
            payload=None if blob else data,
            blob=name,
            classifiers=classifiers,
        )
        value = self.sealer.seal(codec.encode_request(request), question)
        await self.send(value, question)
        async for message in self.bus.replies():
            if message.correlation_id == question:
                return codec.decode_reply(self.sealer.open(message.value, question)).verdict
        raise AssertionError("the bus has stopped")

    async def send(self, value: bytes, question: str) -> None:
        await self.bus.ask(BusMessage(key=b"k", value=value, correlation_id=question, partition=INSTANCE))


def context_of(settings: Settings) -> RoleContext:
    announced: dict[str, str] = {}
    return RoleContext(
        settings=settings,
        metrics=Metrics(),
        readiness=Readiness(),
        clock=CLOCK,
        announce=announced.__setitem__,
        stopping=asyncio.Event(),
    )


@asynccontextmanager
async def ready_worker(settings: Settings) -> AsyncIterator[Asker]:
    asker = Asker(settings, context_of(settings))
    readiness = asker.context.readiness
    worker = asyncio.get_running_loop().create_task(run_worker(asker.context))
    await asker.store.start()
    await asker.bus.start(INSTANCE)
    try:
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
            while readiness.waiting_for():
                assert not worker.done(), worker
                await asyncio.sleep(0.02)
        yield asker
    finally:
        asker.context.stopping.set()
        async with asyncio.timeout(30):
            await worker
        await asker.bus.stop()
        await asker.store.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, {"SAFELIGHT_DATA_DIR": str(tmp_path / "data")})


@pytest.fixture
async def hub(settings: Settings) -> AsyncIterator[Hub]:
    settings.data_dir.mkdir(parents=True)
    hub = Hub(hub_socket_path(settings.data_dir))
    await hub.start()
    yield hub
    await hub.stop()


def make_key(settings: Settings) -> Path:
    """Return a key file that is not this deployment's."""
    path = settings.data_dir / "another.key"
    load_or_create_key(path)
    return path


async def enrol(asker: Asker, name: str, data: bytes, *, force: bool = False) -> None:
    """As the command does it: with an inspection of its own."""
    encoder = await asyncio.to_thread(Encoder.load)
    metrics = Metrics()
    pool = DecodePool(size=1, side=encoder.side, timeout=5.0, max_pixels=10_000_000, metrics=metrics)
    await pool.start()
    index = IndexReplica(asker.store, asker.sealer, encoder.id, encoder.calibration, metrics)
    inspector = Inspector(pool, encoder, index, CLOCK, metrics)
    inspector.start()
    try:
        sets = ImageSets(asker.store, asker.sealer)
        await sets.create(name)
        result = await sets.add(name, "picture.png", data, inspector, force=force)
        assert result.status == "added", result
    finally:
        await inspector.stop()
        await pool.stop()


async def test_what_is_enrolled_is_found(settings: Settings, hub: Hub) -> None:
    picture = make_picture(640, 480)
    async with ready_worker(settings) as asker:
        before = await asker.ask(make_file(picture))
        assert before.error is None
        assert before.matches == ()
        await enrol(asker, "designs", make_file(picture))
        async with asyncio.timeout(30):
            while not (verdict := await asker.ask(make_file(picture.resize((320, 240)), "JPEG"))).matches:
                pass  # every question waits for its answer
        assert verdict.matches[0].matched
        assert verdict.index_revision != before.index_revision
        other = await asker.ask(make_file(make_picture(640, 480, seed=2)), blob=True)
        assert other.error is None
        assert not any(match.matched for match in other.matches)


async def test_a_black_picture_matches_by_its_bytes_alone(settings: Settings, hub: Hub) -> None:
    black = make_file(Image.new("RGB", (640, 480)))
    same_pixels = make_file(Image.new("RGB", (640, 480)), compress_level=0)
    smaller = make_file(Image.new("L", (320, 240)), "JPEG")
    async with ready_worker(settings) as asker:
        await enrol(asker, "designs", black, force=True)
        async with asyncio.timeout(30):
            while not (identical := await asker.ask(black)).matches:
                pass  # every question waits for its answer
        assert [(match.matched, match.score) for match in identical.matches] == [(True, 100.0)]
        for data in (same_pixels, smaller):
            verdict = await asker.ask(data)
            assert (verdict.error, verdict.matches) == (None, ())
            assert verdict.image is not None
            assert verdict.image.low_information


async def test_every_input_gets_an_answer(settings: Settings, hub: Hub) -> None:
    async with ready_worker(settings) as asker:
        junk = await asker.ask(b"not an image", blob=True)
        late = await asker.ask(make_file(), age=11.0)
        codes = [verdict.error.code for verdict in (junk, late) if verdict.error is not None]
        assert codes == [ErrorCode.NOT_AN_IMAGE, ErrorCode.TOO_LATE]


@pytest.mark.error_logs("a request was dropped")
async def test_foreign_messages_are_dropped_and_the_next_is_answered(settings: Settings, hub: Hub) -> None:
    async with ready_worker(settings) as asker:
        await asker.send(b"sealed with another key, or not at all", "somebody")
        assert (await asker.ask(make_file())).error is None
        assert asker.context.metrics.value("safelight_worker_dropped_messages_total", cause="integrity") == 1


async def test_a_restarted_worker_knows_what_was_enrolled(settings: Settings, hub: Hub) -> None:
    data = make_file(make_picture(640, 480))
    async with ready_worker(settings) as asker:
        await enrol(asker, "designs", data)
    async with ready_worker(settings) as asker:
        assert (await asker.ask(data)).matches[0].score == 100.0


async def test_a_worker_without_its_index_takes_no_questions_from_the_others(settings: Settings, hub: Hub) -> None:
    """As one whose key is another, or whose snapshot is refused: it is not ready, and the bus does not know it."""
    data = make_file(make_picture(640, 480))
    async with ready_worker(settings) as asker:
        await enrol(asker, "designs", data)
        context = context_of(settings.model_copy(update={"secrets": SecretsSettings(key_file=make_key(settings))}))
        stranger = asyncio.get_running_loop().create_task(run_worker(context))
        async with asyncio.timeout(30):
            while not context.metrics.value("safelight_index_rejected_entries_total", cause="key"):
                assert not stranger.done(), stranger
                await asyncio.sleep(0.02)
            answers = [await asker.ask(data + bytes(number)) for number in range(20)]
        assert {verdict.error for verdict in answers} == {None}
        assert {"index", "bus", "worker"} <= set(context.readiness.waiting_for())
        context.stopping.set()
        async with asyncio.timeout(30):
            await stranger


async def test_a_worker_whose_device_is_not_there_never_is_ready(settings: Settings) -> None:
    """With an onnxruntime that has CUDA this would start: the CPU's has not, and may not stand in."""
    onnxruntime = pytest.importorskip("onnxruntime")
    assert "CUDAExecutionProvider" not in onnxruntime.get_available_providers()
    context = context_of(
        settings.model_copy(update={"worker": settings.worker.model_copy(update={"provider": "cuda"})})
    )
    with pytest.raises(EncoderUnavailableError, match="CUDAExecutionProvider"):
        await run_worker(context)
    assert "encoder" in context.readiness.waiting_for()


async def test_a_worker_without_a_hub_says_what_to_start(settings: Settings) -> None:
    context = context_of(settings)
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigError, match="safelight up")):
        await run_worker(context)
    assert "bus" in context.readiness.waiting_for()
