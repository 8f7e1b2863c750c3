"""``python -m console.cli``: how ``safelight up`` starts a role with its own interpreter."""

from console.cli.app import main

main()
