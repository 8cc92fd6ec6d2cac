#!/usr/bin/env bash
# Waits until its standard input ends, which it does when the test process that holds the
# other end is gone, however it went; then ends all processes that WORK/pids names.
#
#   keep.sh WORK
here=$(cd "$(dirname "$0")" && pwd)
trap '' INT HUP # a Ctrl-C at the terminal ends the tests; this has to outlive them
cat >/dev/null
"$here/down.sh" "${1:?usage: keep.sh WORK}"
rm -rf --one-file-system "$1"
