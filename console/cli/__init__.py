"""``safelight``: the one program, and the composition root where roles meet."""

from console.cli.app import main

__all__ = ["main"]
