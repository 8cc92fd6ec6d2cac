#!/usr/bin/env bash
# Gives an image of the node that runs in WORK further names.
#
#   tag-image.sh WORK IMAGE NAME…
set -euo pipefail
work=${1:?usage: tag-image.sh WORK IMAGE NAME…}
node=$(awk '$1 == "node" {print $2}' "$work/pids" 2>/dev/null) || true
[ -n "$node" ] || { echo "tag-image.sh: no node runs in $work" >&2; exit 1; }
for name in "${@:3}"; do
  nsenter -t "$node" --mount --net --pid ctr -n k8s.io images tag "$2" "$name" >/dev/null
done
