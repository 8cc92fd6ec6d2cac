#!/usr/bin/env bash
# Takes down the cluster that up.sh started in WORK and deletes its state. Only
# WORK/log stays (the pods' own logs in WORK/log/pods). Safe to run twice.
#
#   down.sh WORK
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(cd "${1:?usage: down.sh WORK}" 2>/dev/null && pwd) || { echo "down.sh: no directory $1"; exit 0; }
[ -e "$work/pids" ] || { echo "down.sh: no cluster in $work"; exit 0; }
# shellcheck disable=SC1091
[ ! -e "$work/settings" ] || . "$work/settings"
# shellcheck source=../cluster/processes.sh
. "$here/../cluster/processes.sh"
# shellcheck source=common.sh
. "$here/common.sh"

# Newest first. SIGKILL, to the node's first process and its parent: the kernel then kills all that ever ran in it.
while read -r name pid start; do
  alive "$pid" "$start" || continue
  kill -KILL "$pid"
  wait_for 5 "$name ends when killed" gone "$pid" "$start"
done < <(tac "$work/pids")

# The link would go with the node's network namespace, and its routes with it.
# But connections to pods that died first can keep an empty namespace for a
# minute, so cut it here.
if [ -e "$work/made-link" ]; then
  ip link del "$CLUSTER" 2>/dev/null || true
fi
if [ -e "$work/made-groups" ]; then
  wait_for 20 "the control groups go" remove_groups
fi

rm -rf "$work/log/pods"
[ ! -d "$work/var/log/pods" ] || mv "$work/var/log/pods" "$work/log/pods"
rm -rf --one-file-system "${work:?}"/{var,bin,images,etc,etcd,pki,kubeconfig,settings,made-link,made-groups,pids}
say "down"
