#!/bin/sh
# processes.sh: pytest's options for as many processes as this machine has cores; nothing where it has one.
set -eu

most=8  # each process starts servers of its own
cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
[ "$cores" -le "$most" ] || cores=$most
[ "$cores" -lt 2 ] || printf '%s' "-n $cores --dist worksteal"
