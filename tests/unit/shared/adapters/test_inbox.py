"""The inbox between a receiving task and its reader."""

from __future__ import annotations

import asyncio

from shared.adapters.inbox import Inbox


async def test_items_come_out_in_order_and_closing_ends_the_iteration() -> None:
    inbox: Inbox[int] = Inbox(10)
    inbox.put(1)
    inbox.put(2)
    inbox.close()
    assert [item async for item in inbox] == [1, 2]
    assert inbox.closed


async def test_the_oldest_is_dropped_when_it_is_full() -> None:
    inbox: Inbox[int] = Inbox(2)
    for item in range(4):
        inbox.put(item)
    assert inbox.take(9) == (2, 3)


async def test_a_reader_wakes_for_an_item_and_for_the_end() -> None:
    inbox: Inbox[int] = Inbox(10)
    iterator = aiter(inbox)
    loop = asyncio.get_running_loop()
    for item in (7, 8):
        loop.call_soon(inbox.put, item)
        assert await anext(iterator) == item
    loop.call_soon(inbox.close)
    assert await anext(iterator, None) is None


async def test_wait_tells_whether_something_came() -> None:
    inbox: Inbox[int] = Inbox(10)
    assert not await inbox.wait(0)
    inbox.put(1)
    assert await inbox.wait(0)
    inbox.clear()
    assert inbox.take(1) == ()
