#!/bin/sh
# Sees to a curl that speaks HTTP/2, the client that uploads are tested with: the one on PATH, else Debian's package,
# else a sentence.
set -eu

found() { command -v curl >/dev/null 2>&1 && curl --version | grep -q '^Features:.* HTTP2'; }

if ! found && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    printf 'curl: installing curl\n' >&2
    install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends curl </dev/null >&2; }
    install || { apt-get update -q >&2 && install; } || true
fi
if ! found; then
    printf 'curl: no curl that speaks HTTP/2 was found; install the package curl (as root: apt-get install curl)\n' >&2
    exit 2
fi
