#!/bin/sh
# Writes the locks under requirements/ anew. `sh deploy/setup/lock.sh` keeps the versions it can, with --upgrade it
# takes the newest ones. The locks hold versions, hashes and Python markers; no host and no path, so that they serve
# any index or mirror that pip is configured for.
set -eu

cd "$(dirname "$0")/../.."
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
"$(sh deploy/setup/find-python.sh)" -m venv "$tool/venv"
"$tool/venv/bin/python" -m pip install --quiet uv

lock() {
    out=$1
    shift
    # 3.12 is the oldest supported version; --universal adds the markers for the rest.
    "$tool/venv/bin/uv" pip compile --quiet --universal --python-version 3.12 --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links --output-file "$out" "$@"
}

lock requirements/dev.txt pyproject.toml --extra cpu --extra dev --generate-hashes "$@"
# What runs in production is what was tested: the smaller lock takes its versions from the larger one.
lock requirements/cpu.txt pyproject.toml --extra cpu --generate-hashes --constraint requirements/dev.txt
lock requirements/train.txt pyproject.toml --extra cpu --extra dev --extra train --generate-hashes \
    --constraint requirements/dev.txt
# The environments in which pip builds hnswlib, pdqhash and Safelight itself.
printf 'setuptools\nwheel\nnumpy\npybind11\ncython\n' |
    lock requirements/build.txt - --constraint requirements/dev.txt
