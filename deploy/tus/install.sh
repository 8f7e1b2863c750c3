#!/bin/sh
# Fetches the tus server that uploads are tested against into deploy/tus/node_modules (1 MB), as package-lock.json has
# it. node and npm are those on PATH, else Debian's packages, else a sentence.
set -eu

cd "$(dirname "$0")"

found() { command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1; }

if ! found && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    printf 'tus: installing nodejs and npm\n' >&2
    install() {
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends nodejs npm </dev/null >&2
    }
    install || { apt-get update -q >&2 && install; } || true
fi
if ! found; then
    printf 'tus: node and npm were not found; install the packages nodejs and npm (as root: apt-get install nodejs npm)\n' >&2
    exit 2
fi
npm ci --omit=optional --ignore-scripts --no-audit --no-fund --no-update-notifier </dev/null >&2
: >node_modules/.installed
