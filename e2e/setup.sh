#!/usr/bin/env bash
# Sets up all that the end-to-end tests need, into ${TIDEGATE_CACHE:-~/.cache/tidegate}. The tests
# set up what is missing themselves; this does it ahead, where one sees how long it takes.
#
# What a machine lacks is named and left out (its tests say so too); with CI=true that is an error.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lacking=()
# The node first: it needs the most of Kubernetes' programs, and one build of all is shorter than two.
rc=0
"$here/node/setup.sh" || rc=$?
case $rc in
  0) ;;
  3) lacking+=("a node of its own") ;;
  *) exit "$rc" ;;
esac
if [ -z "${KUBECONFIG:-}" ]; then
  "$here/cluster/build.sh" >/dev/null
else
  "$here/cluster/build.sh" kubectl >/dev/null
fi
"$here/helm/build.sh" >/dev/null
for client in python node nats signalr rabbitmq redis chromium; do
  rc=0
  "$here/clients/setup.sh" "$client" >/dev/null || rc=$?
  case $rc in
    0) ;;
    3) lacking+=("$client") ;;
    *) exit "$rc" ;;
  esac
done
[ ${#lacking[@]} -gt 0 ] || exit 0
echo "setup.sh: MISSING: ${lacking[*]}; the tests that need them will be skipped" >&2
[ "${CI:-}" != true ]
