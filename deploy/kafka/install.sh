#!/bin/sh
# Fetches the broker's jars with Maven into deploy/kafka/libs (43 MB) and archives its classes for a quicker start.
# What is missing is installed with apt-get where that is possible, else named.
set -eu

cd "$(dirname "$0")"

need() {
    command -v "$1" >/dev/null 2>&1 && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        printf 'kafka: installing %s\n' "$2" >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$2" </dev/null >&2 ||
            { apt-get update -q >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$2" </dev/null >&2; } || true
        command -v "$1" >/dev/null 2>&1 && return 0
    fi
    printf 'kafka: %s was not found; install the package %s (as root: apt-get install %s)\n' "$1" "$2" "$2" >&2
    exit 2
}

need java default-jre-headless
need mvn maven

printf 'kafka: fetching the broker (the first time this takes about 40 s)\n' >&2
rm -rf libs kafka.jsa
mvn -B -q -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$PWD/libs" </dev/null

# A class archive halves the start. It belongs to this JVM and this order of jars; a broker without one starts as well.
folder=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; rm -rf "$folder"' EXIT
KAFKA_JVM_OPTIONS="-XX:ArchiveClassesAtExit=$PWD/kafka.jsa" \
    sh ./start.sh "$folder" "${KAFKA_ARCHIVE_PORT:-29092}" "${KAFKA_ARCHIVE_CONTROLLER_PORT:-29093}" \
    >"$folder/broker.log" 2>&1 &
pid=$!
tries=0
while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 300 ] && ! grep -q 'Kafka Server started' "$folder/broker.log"; do
    tries=$((tries + 1))
    sleep 0.2
done
kill "$pid" 2>/dev/null || true
wait "$pid" || true
pid=
[ -s kafka.jsa ] || printf 'kafka: no class archive was made; the broker starts without it\n' >&2
: >libs/.installed
