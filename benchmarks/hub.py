"""The embedded bus in a process of its own, as ``safelight up`` has it in its supervisor.

    python -m benchmarks.hub DATA_DIR

says ``ready`` and ends when its input ends.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from shared.adapters.local.hub import Hub, hub_socket_path


async def main(data_dir: Path) -> None:
    """Serve until standard input ends."""
    hub = Hub(hub_socket_path(data_dir))
    await hub.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await hub.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
