#!/usr/bin/env bash
# Copies crds/, which crdgen writes, into the chart. With --check it only says whether they are the same.
set -euo pipefail
cd "$(dirname "$0")/.."
to=charts/tidegate/files/crds
if [ "${1:-}" = --check ]; then
  diff -r crds "$to" >&2 || { echo "sync-crds.sh: $to is not crds/: run charts/sync-crds.sh" >&2; exit 1; }
  exit 0
fi
rm -f "$to"/*
cp crds/*.yaml "$to/"
