#!/usr/bin/env bash
# Stops or starts one program of the control plane in WORK.
#
#   member.sh stop|start NAME WORK
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
usage="usage: member.sh stop|start NAME WORK"
name=${2:?$usage}
work=$(cd "${3:?$usage}" && pwd)
# shellcheck source=common.sh
. "$here/common.sh"
case ${1:-} in
  stop)
    while read -r known pid start; do
      [ "$known" != "$name" ] || end_member "$name" "$pid" "$start"
    done <"$work/pids"
    ;;
  start)
    start_member "$name"
    [ "$name" != kube-apiserver ] || wait_for 60 "the API server is ready" api /readyz
    ;;
  *) die "$usage" ;;
esac
