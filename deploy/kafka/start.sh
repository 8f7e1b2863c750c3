#!/bin/sh
# start.sh FOLDER PORT CONTROLLER_PORT: runs the broker in the foreground with its data in FOLDER, which is formatted
# the first time. The shell becomes the broker (exec), so the caller's child is the JVM itself.
# KAFKA_JVM_OPTIONS: more options for the JVM. KAFKA_HEAP: its heap, 384m by default.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)

sed -e "s|@FOLDER@|$folder|" -e "s|@PORT@|$2|" -e "s|@CONTROLLER_PORT@|$3|" "$here/server.properties" \
    >"$folder/server.properties"

# libs/* is a pattern for the JVM, in quotes so that the shell leaves it alone.
cd "$here"
if [ ! -e "$folder/data/meta.properties" ]; then
    # Any base64url UUID will do: the cluster is this one node.
    java -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp 'libs/*' -Dlog4j2.configurationFile=log4j2.xml \
        kafka.tools.StorageTool format -t BX9ZWQ4KTta09bvUVARBzA -c "$folder/server.properties" >"$folder/format.log" 2>&1
fi
archive=
[ ! -s kafka.jsa ] || archive="-XX:SharedArchiveFile=kafka.jsa"
heap=${KAFKA_HEAP:-384m}
# The first compiler only: quicker to start, slower under load than a broker in production.
# shellcheck disable=SC2086  # options are words
exec java -Xms"$heap" -Xmx"$heap" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xlog:disable -Xlog:all=error:stderr \
    $archive ${KAFKA_JVM_OPTIONS:-} -cp 'libs/*' -Dlog4j2.configurationFile=log4j2.xml \
    kafka.Kafka "$folder/server.properties"
