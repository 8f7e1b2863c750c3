#!/bin/sh
# Sees to a Chromium, and to certutil, which puts a CA into the trust store that it reads: those on PATH, else Debian's
# packages (about 120 MB), else a sentence.
set -eu

found() { command -v chromium >/dev/null 2>&1 && command -v certutil >/dev/null 2>&1; }

if ! found && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    printf 'browser: installing chromium and libnss3-tools\n' >&2
    install() {
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium libnss3-tools </dev/null >&2
    }
    install || { apt-get update -q >&2 && install; } || true
fi
if ! found; then
    printf 'browser: chromium and certutil were not found; install the packages chromium and libnss3-tools (as root: apt-get install chromium libnss3-tools)\n' >&2
    exit 2
fi
