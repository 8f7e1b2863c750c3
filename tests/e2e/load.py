"""Open-loop load through the proxy: bounded in count and time, loopback only."""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

CONNECTION_LIMIT: Final = 128  # 1.5 s of requests that all wait for their deadline, and room to spare
CLIENT_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as the client saw it; ``status`` 0 where the connection broke.

    ``seconds`` run from the last byte sent to the answer's head: opening a connection and waiting for one are the load
    generator's own affair.
    """

    kind: str
    begin: float
    seconds: float
    status: int
    incident: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Payload:
    """What is uploaded."""

    kind: str
    data: bytes


async def _send(client: httpx.AsyncClient, url: str, payload: Payload) -> Sent:
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
    return Sent(kind=payload.kind, begin=begin, seconds=seconds, status=status, incident=incident, error=failure)


async def run_load(
    proxy: Callable[[], str],
    trust: ssl.SSLContext,
    url: str,
    payloads: Sequence[Payload],
    *,
    rate: float,
    seconds: float,
) -> list[Sent]:
    """Send ``rate`` requests a second for ``seconds``, each at its time whether or not earlier ones were answered.

    ``proxy`` is asked again for its address every second: a restarted proxy may have another port.
    """
    count = int(rate * seconds)
    begin = time.monotonic()
    clients: dict[str, httpx.AsyncClient] = {}
    limits = httpx.Limits(max_connections=CONNECTION_LIMIT)
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in range(count):
            await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
            address = proxy()
            if address not in clients:
                clients[address] = httpx.AsyncClient(
                    proxy=address, verify=trust, timeout=CLIENT_TIMEOUT, trust_env=False, limits=limits
                )
            tasks.append(group.create_task(_send(clients[address], url, payloads[number % len(payloads)])))
    for client in clients.values():
        await client.aclose()
    return [task.result() for task in tasks]
