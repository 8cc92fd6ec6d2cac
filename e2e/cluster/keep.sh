#!/usr/bin/env bash
# Waits until its standard input ends, which it does when the test process that holds the
# other end is gone, however it went; then ends all processes recorded in WORK and in the
# directories below it.
#
#   keep.sh WORK
here=$(cd "$(dirname "$0")" && pwd)
work=${1:?usage: keep.sh WORK}
trap '' INT HUP # a Ctrl-C at the terminal ends the tests; this has to outlive them
cat >/dev/null
for d in "$work" "$work"/*/; do
  "$here/down.sh" "$d"
done
[ -n "${TIDEGATE_KEEP_LOGS:-}" ] || rm -rf --one-file-system "$work"
