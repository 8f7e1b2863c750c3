"""The product's launcher of mitmproxy with no addon of the product: what no part of the product can cost less than.

    python -m benchmarks.lean FOLDER ORIGINS_AUTHORITY

makes its certificate authority in FOLDER, prints the address it listens on, and ends when its input ends.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from pathlib import Path

from proxy_addon.engine import Engine
from proxy_addon.tls.certificates import ca_folder


async def main(folder: Path, trusted: Path) -> None:
    """Serve until standard input ends."""
    logging.basicConfig(level=logging.WARNING)
    engine = Engine("127.0.0.1:0", ca_folder(folder), trusted, [])
    address = await engine.start()
    gc.collect()
    gc.freeze()  # as the proxy does
    sys.stdout.write(address + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await engine.stop_listening()
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
