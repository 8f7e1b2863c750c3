#!/bin/sh
# install.sh VENV LOCK [PYTHON]: make the virtual environment and install exactly what the lock names, then Safelight.
# The stamp VENV/.installed-LOCK is written last: a run that was interrupted starts over.
set -eu

cd "$(dirname "$0")/../.."
venv=$1
lock=$2
python=${3:-}
name=$(basename "$lock" .txt)

say() { printf 'setup: %s\n' "$*" >&2; }

have_compiler() {
    probe=$(mktemp -d)
    printf 'int main() { return 0; }\n' >"$probe/probe.cpp"
    result=1
    for compiler in ${CXX:-} c++ g++ clang++; do
        if "$compiler" -std=c++17 -o "$probe/probe" "$probe/probe.cpp" >/dev/null 2>&1; then
            result=0
            break
        fi
    done
    rm -rf "$probe"
    return $result
}

# What runs in production comes as wheels.
if grep -qE '^(hnswlib|pdqhash)==' "$lock" && ! have_compiler; then
    say "no working C++ compiler: hnswlib and pdqhash are distributed as source. Install one (Debian, Ubuntu:"
    say "apt-get install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install), or name it in CXX."
    exit 2
fi

if ! "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
    [ -n "$python" ] || python=$(sh deploy/setup/find-python.sh)
    say "$venv from $python"
    "$python" -m venv --clear "$venv"
fi

# Wheels of the source packages are built in environments of their own, which the lock's hashes do not reach: the
# constraints pin what is in there. --require-hashes holds for everything that is installed.
say "packages of $lock into $venv (the first time this takes about a minute)"
PIP_CONSTRAINT=$PWD/requirements/build.txt        # pip before 25.3
PIP_BUILD_CONSTRAINT=$PWD/requirements/build.txt  # and since
PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_CONSTRAINT PIP_BUILD_CONSTRAINT PIP_DISABLE_PIP_VERSION_CHECK
"$venv/bin/python" -m pip install --quiet --no-input --require-hashes -r "$lock"
"$venv/bin/python" -m pip install --quiet --no-input --no-deps --editable .
"$venv/bin/python" -m pip check
: >"$venv/.installed-$name"
say "$venv is ready ($("$venv/bin/python" -V))"
