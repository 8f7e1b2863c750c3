#!/bin/sh
# run-tests.sh PYTHON [ARGUMENT...]: the whole suite in two halves, each a run of pytest with the arguments: first the
# tests that may share the machine, in one process more than it has cores; then, one after the other, those that time
# what they do or need every core. Both run, whatever becomes of the first.
# SUITE_LIMIT: seconds after which a half counts as hanging and is interrupted, so that its servers end with it; what it
# printed says where.
# FAILED_TESTS: a file that gets a line for each test that fails (tests/failure_list.py), and for a half that fails.
set -u

python=$1
shift

# Hundreds of processes start here, and each would compile the program anew (0.3 s) where the environment forbids to
# write what was compiled, as many containers do: it is written to a folder of this run, and the tree stays clean.
if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
    unset PYTHONDONTWRITEBYTECODE
    PYTHONPYCACHEPREFIX=$(mktemp -d)
    export PYTHONPYCACHEPREFIX
    trap 'rm -rf "$PYTHONPYCACHEPREFIX"' EXIT
fi

nothing_to_run=5  # pytest's status where the arguments leave a half no test
processes=$(sh "$(dirname "$0")/processes.sh")

half() {
    printf '\n$ %s -m pytest %s\n' "$python" "$*"
    timeout --signal=INT --kill-after=60 "${SUITE_LIMIT:-1800}" "$python" -m pytest "$@"
    status=$?
    if [ "$status" != 0 ] && [ "$status" != "$nothing_to_run" ]; then
        printf 'pytest %s ended with status %s\n' "$*" "$status" >>"${FAILED_TESTS:-/dev/null}"
    fi
    return "$status"
}

# Joined by "=": where pytest does not know the option yet, the next word is a path to it, and `shared` is a folder.
# shellcheck disable=SC2086  # options are words
half --machine=shared $processes "$@"
shared=$?
half --machine=alone "$@"
alone=$?

if [ "$shared" = "$nothing_to_run" ]; then
    exit "$alone"
elif [ "$shared" != 0 ] || [ "$alone" = "$nothing_to_run" ]; then
    exit "$shared"
fi
exit "$alone"
