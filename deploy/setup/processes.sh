#!/bin/sh
# processes.sh: pytest's options for one process more than this machine has cores, as many a test waits for a server;
# nothing where it has one core.
set -eu

most=8  # each process starts servers of its own
cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
processes=$((cores + 1))
[ "$processes" -le "$most" ] || processes=$most
[ "$cores" -lt 2 ] || printf '%s' "-n $processes --dist worksteal"
