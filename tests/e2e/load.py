"""Open-loop load through the proxy: bounded in count and time, loopback only."""

import asyncio
import itertools
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

CLIENT_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as the client saw it; ``status`` 0 where the connection broke.

    ``seconds`` run from the last byte sent to the answer's head: opening a connection and waiting for one are the load
    generator's own affair.  ``late`` is by how many seconds it began after its time: a generator that is starved; at
    ``end`` the answer's head was there, or the connection gone.
    """

    kind: str
    begin: float
    seconds: float
    status: int
    incident: str
    error: str = ""
    fresh: bool = False
    late: float = 0.0
    end: float = 0.0


@dataclass(frozen=True, slots=True)
class Payload:
    """What is uploaded; ``fresh`` where nobody has seen these bytes before, and no cache answers for them."""

    kind: str
    data: bytes
    fresh: bool = False


async def _send(client: httpx.AsyncClient, url: str, payload: Payload, due: float) -> Sent:
    begin = time.monotonic()
    times: dict[str, float] = {}

    async def trace(event: str, _: object) -> None:
        times[event] = time.monotonic()  # of the CONNECT before, then of the request itself

    try:
        response = await client.post(
            url,
            content=payload.data,
            headers={"Content-Type": "application/octet-stream"},
            extensions={"trace": trace},
        )
        status, header, failure = response.status_code, response.headers.get("x-safelight", ""), ""
        seconds = times["http11.receive_response_headers.complete"] - times["http11.send_request_body.complete"]
    except httpx.TransportError as error:
        status, header, failure, seconds = 0, "", repr(error), time.monotonic() - begin
    incident = header.partition('incident="')[2].rstrip('"')
    return Sent(
        kind=payload.kind,
        begin=begin,
        seconds=seconds,
        status=status,
        incident=incident,
        error=failure,
        fresh=payload.fresh,
        late=begin - due,
        end=time.monotonic(),
    )


async def run_load(
    proxy: Callable[[], str],
    trust: ssl.SSLContext,
    url: str,
    payload: Callable[[int], Payload],
    *,
    rate: float,
    going_on: Callable[[float], bool],
) -> list[Sent]:
    """Send ``rate`` requests a second, each at its time whether or not earlier ones were answered.

    ``proxy`` is asked for its address each time: a restarted proxy may have another port.  ``payload`` says what is
    sent, by number; ``going_on`` whether there is more to send after so many seconds.
    """
    begin = time.monotonic()
    clients: dict[str, httpx.AsyncClient] = {}
    # Three seconds of requests: when a part is gone each waits for its deadline, half of that.
    limits = httpx.Limits(max_connections=round(3 * rate) + 64)
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in itertools.count():
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not going_on(time.monotonic() - begin):
                break
            address = proxy()
            if address not in clients:
                clients[address] = httpx.AsyncClient(
                    proxy=address, verify=trust, timeout=CLIENT_TIMEOUT, trust_env=False, limits=limits
                )
            tasks.append(group.create_task(_send(clients[address], url, payload(number), due)))
    for client in clients.values():
        await client.aclose()
    return [task.result() for task in tasks]
