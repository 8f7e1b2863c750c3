"""Who hangs up cancels what waits for them, and nothing else."""

from __future__ import annotations

import asyncio

from proxy_addon.runtime.hang_ups import HangUps


async def waits(hang_ups: HangUps, client: str, came: asyncio.Event) -> None:
    with hang_ups.cancellable(client):
        await came.wait()


async def test_only_what_waits_for_the_client_is_cancelled() -> None:
    hang_ups, came = HangUps(), asyncio.Event()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(waits(hang_ups, client, came)) for client in ("a", "a", "b")]
    other = loop.create_task(came.wait())
    hang_ups.add("a", other)
    loop.call_soon(hang_ups.hung_up, "a")
    await asyncio.wait(tasks[:2])
    came.set()
    await asyncio.wait([tasks[2], other])
    assert [task.cancelled() for task in (*tasks, other)] == [True, True, False, True]


async def test_what_has_come_is_not_cancelled() -> None:
    hang_ups, came = HangUps(), asyncio.Event()
    came.set()
    await waits(hang_ups, "a", came)
    task = asyncio.get_running_loop().create_task(came.wait())
    hang_ups.add("a", task)
    hang_ups.discard("a", task)
    hang_ups.hung_up("a")
    await task
    assert not task.cancelled()


def test_outside_of_a_task_there_is_nothing_to_cancel() -> None:
    async def outside() -> bool:
        over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def call() -> None:
            hang_ups = HangUps()
            with hang_ups.cancellable("a"):
                hang_ups.hung_up("a")
            over.set_result(True)

        asyncio.get_running_loop().call_soon(call)
        return await over

    assert asyncio.run(outside())
