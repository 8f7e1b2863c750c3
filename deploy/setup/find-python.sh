#!/bin/sh
# Prints the newest supported Python, or with --all one of each supported version, newest first, as "VERSION PATH".
#
# Every candidate is run before it counts: a version manager's shim on PATH may exist and fail, and a distribution's
# python3 may lack venv. Version managers are looked up in their own folders too, because the version that is wanted
# is often installed but not the selected one; with another HOME they are found from their shims on PATH.
set -u

SUPPORTED="3.13 3.12"
PROBE='import ensurepip, sys, venv; print("%d.%d" % sys.version_info[:2]); print(sys.executable)'

folders() {
    printf '%s\n' "${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}/versions"
    printf '%s\n' "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}/uv/python}"
    printf '%s\n' "${ASDF_DATA_DIR:-${HOME:-/nonexistent}/.asdf}/installs/python"
    printf '%s\n' "${MISE_DATA_DIR:-${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}/mise}/installs/python"
    printf '%s\n' "$PATH" | tr ':' '\n' | while IFS= read -r folder; do
        case $folder in
        */shims) printf '%s\n' "${folder%/shims}/versions" "${folder%/shims}/installs/python" ;;
        esac
    done
}

on_path() {
    printf '%s\n' "$PATH" | tr ':' '\n' | while IFS= read -r folder; do
        printf '%s\n' "$folder/python$1" "$folder/python3"
    done
}

candidates() {
    on_path "$1"
    folders | while IFS= read -r folder; do
        # newest patch release first: 3.13.10 before 3.13.9
        for root in "$folder"/*"$1"*; do printf '%s\n' "$root"; done | sort -t . -k 3,3nr | while IFS= read -r root; do
            printf '%s\n' "$root/bin/python$1"
        done
    done
}

find_version() {
    candidates "$1" | while IFS= read -r python; do
        [ -x "$python" ] || continue
        # From / and without PYTHON* so that neither a .python-version file nor a borrowed path decides.
        found=$(cd / && env -u PYTHONHOME -u PYTHONPATH "$python" -c "$PROBE" 2>/dev/null </dev/null) || continue
        [ "$(printf '%s\n' "$found" | sed -n 1p)" = "$1" ] || continue
        printf '%s %s\n' "$1" "$(printf '%s\n' "$found" | sed -n 2p)"
        break
    done
}

found=$(for version in $SUPPORTED; do find_version "$version"; done)
if [ -z "$found" ]; then
    cat >&2 <<TEXT
No supported Python was found: Safelight needs CPython 3.13 or 3.12 with the modules venv and ensurepip.
Install one of them, for instance
    apt-get install python3.13 python3.13-venv      (or python3.12 python3.12-venv, where the system has it)
    pyenv install 3.13                              (the version need not be selected)
    uv python install 3.13
and run the command again. PATH and the folders of pyenv, uv, asdf and mise are searched.
TEXT
    exit 2
fi
if [ "${1:-}" = --all ]; then
    printf '%s\n' "$found"
else
    printf '%s\n' "$found" | sed -n '1s/^[^ ]* //p'
fi
