"""A worker whose encoder is exchanged while it is asked: every answer is one, and the index moves along."""

import asyncio

from shared.adapters.local.hub import Hub
from shared.config import Settings
from tests.image_factories import make_file, make_picture
from tests.integration.test_worker import Asker, enrol, hub, ready_worker, settings
from workers.encoders.files import list_encoders
from workers.encoders.generations import GenerationBook, begun, copied, returned, switched
from workers.encoders.names import EncoderName, find_name
from workers.migration.roll_call import RollCall

__all__ = ["hub", "settings"]  # fixtures
NAME = list_encoders()[-1].id


async def asked_until(asker: Asker, data: bytes, encoder: EncoderName) -> list[str]:
    """Ask until this encoder answers; return which ones did."""
    encoders: list[str] = []
    async with asyncio.timeout(60):
        while encoder.id not in encoders[-1:]:
            verdict = await asker.ask(data)
            assert (verdict.error, verdict.degraded) == (None, False)
            assert any(match.matched for match in verdict.matches), verdict
            encoders.append(verdict.encoder)
    return encoders


async def ready_beside(asker: Asker, encoder: EncoderName) -> None:
    roll = RollCall(asker.store, asker.context.clock)
    async with asyncio.timeout(60):
        while [word.beside for word in await roll.present()] != [encoder.id]:  # noqa: ASYNC110 - the worker's word
            await asyncio.sleep(0.05)


async def test_the_encoder_is_exchanged_there_and_back_under_questions(settings: Settings, hub: Hub) -> None:
    int8, fp32 = find_name(settings, f"{NAME}.int8"), find_name(settings, f"{NAME}.fp32")
    picture = make_picture(640, 480)
    edited = make_file(picture.resize((320, 240)), "JPEG")
    compared = settings.worker.model_copy(update={"compare_share": 1.0})
    async with ready_worker(settings.model_copy(update={"worker": compared})) as asker:
        await enrol(asker, "designs", make_file(picture))
        async with asyncio.timeout(10):
            while not (await asker.ask(edited)).matches:
                pass  # every question waits for its answer
        book = GenerationBook(asker.store)
        await book.move(lambda now: copied(begun(now, fp32)), int8)
        await ready_beside(asker, fp32)
        assert set(await asked_until(asker, edited, int8)) == {int8.id}, "its shadow does not answer"
        assert (await asker.ask(make_file(make_picture(640, 480, seed=2)))).encoder == int8.id
        async with asyncio.timeout(20):
            roll = RollCall(asker.store, asker.context.clock)
            while not (words := await roll.present())[0].tally.images:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        assert words[0].tally.agreement == 1.0
        await book.move(switched, int8)
        assert set(await asked_until(asker, edited, fp32)) <= {int8.id, fp32.id}
        await enrol(asker, "plans", make_file(make_picture(640, 480, seed=3)))
        assert not asker.context.readiness.waiting_for()
        await book.move(returned, int8)
        await ready_beside(asker, int8)
        await book.move(switched, int8)
        assert set(await asked_until(asker, edited, int8)) <= {int8.id, fp32.id}
        again = await asker.ask(make_file(make_picture(640, 480, seed=3)))
        assert [(match.set, match.matched) for match in again.matches if match.matched] == [("plans", True)]
