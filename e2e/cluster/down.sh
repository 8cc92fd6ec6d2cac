#!/usr/bin/env bash
# Ends all processes that WORK/pids names, newest first, and deletes their state. Only
# WORK/log stays. Safe to run twice.
#
#   down.sh WORK
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(cd "${1:?usage: down.sh WORK}" 2>/dev/null && pwd) || exit 0
[ -e "$work/pids" ] || exit 0
# shellcheck source=common.sh
. "$here/common.sh"
while read -r name pid start; do
  end_member "$name" "$pid" "$start"
done < <(tac "$work/pids")
rm -rf --one-file-system "${work:?}"/{commands,controller-manager.kubeconfig,etcd,kubeconfig,pki,server,pids}
