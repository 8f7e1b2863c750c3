"""The web server behind the proxies that are measured, a process of its own: HTTP/1.1 and HTTP/2, plain and TLS.

    python -m benchmarks.origin FOLDER

writes FOLDER/origins-ca.pem and prints the ports of the plain and of the TLS server; ends when its input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from tests.origins import Answer, Seen, TestAuthority, serve_origin

NAME: Final = "localhost"
SMALL: Final = json.dumps({"items": [{"id": number, "name": f"item {number}"} for number in range(32)]}).encode()[:1024]
REMEMBERED: Final = 1000


async def main(folder: Path) -> None:
    """Serve until standard input ends."""
    seen: list[Seen] = []

    def answer(request: Seen) -> Answer:
        seen.append(request)
        if len(seen) >= REMEMBERED:
            for origin in (plain, tls):
                origin.seen.clear()
            seen.clear()
        size = request.target.rpartition("/")[2]
        return Answer(body=bytes(int(size)) if size.isdigit() else SMALL, media_type="application/json")

    authority = TestAuthority(folder)
    async with serve_origin(answer) as plain, serve_origin(answer, authority.context(NAME, "127.0.0.1")) as tls:
        sys.stdout.write(f"{plain.port} {tls.port}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
