#!/bin/sh
# Sees to a redis-server of version 7.0 or later: the one on PATH, else Debian's package, else a sentence.
set -eu

if ! command -v redis-server >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    printf 'redis: installing redis-server\n' >&2
    # Only the program: a system service of the same name would take port 6379.
    policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && trap 'rm -f "$policy"' EXIT; }
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q redis-server </dev/null >&2 ||
        { apt-get update -q >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q redis-server </dev/null >&2; } || true
fi
if ! command -v redis-server >/dev/null 2>&1; then
    printf 'redis: redis-server was not found; install the package redis-server (as root: apt-get install redis-server)\n' >&2
    exit 2
fi
version=$(redis-server --version | sed -n 's/.* v=\([0-9]*\)\..*/\1/p')
if [ "${version:-0}" -lt 7 ]; then
    printf 'redis: version %s.x is too old, Safelight needs 7.0: install a newer package redis-server\n' "$version" >&2
    exit 2
fi
