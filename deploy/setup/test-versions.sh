#!/bin/sh
# test-versions.sh PYTHON: the tests that need no server, on every supported Python except the version of PYTHON.
set -eu

cd "$(dirname "$0")/../.."
main=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
tested=0
failed=""
# The list is read on descriptor 3: standard input stays what it was.
while read -r version python <&3; do
    [ "$version" != "$main" ] || continue
    venv=.venv-$version
    printf '\n== Python %s (%s)\n' "$version" "$python"
    # The stamp is compared with the locks, as make does for .venv.
    make --no-print-directory VENV="$venv" PY="$python" setup-dev
    # shellcheck disable=SC2046  # options are words
    if "$venv/bin/python" -m pytest tests/unit tests/property tests/contracts -m "not kafka and not redis and not e2e" \
        $(sh deploy/setup/processes.sh); then
        tested=$((tested + 1))
    else
        failed="$failed $version"
        printf 'Python %s failed\n' "$version" >>"${FAILED_TESTS:-/dev/null}"
    fi
done 3<<LIST
$(sh deploy/setup/find-python.sh --all)
LIST

if [ -n "$failed" ]; then
    printf '\ntest-versions: FAILED on Python%s\n' "$failed" >&2
    exit 1
fi
if [ "$tested" = 0 ]; then
    printf '\n!! test-versions: NOTHING TESTED: no supported Python besides %s is installed here.\n' "$main" >&2
    printf '!! Safelight claims 3.12 and 3.13: install the other one to test it.\n' >&2
fi
