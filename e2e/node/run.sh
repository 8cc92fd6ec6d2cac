#!/usr/bin/env bash
# The chart on a real node: starts a cluster, installs the chart with images of the programs in BIN
# (target/debug), tests it and takes everything down. Needs root; see README.md.
#
#   run.sh [--or-skip] [STEP…]    KEEP=yes leaves the cluster up after a failure
#
# With --or-skip a machine that cannot run a node is no failure, except with CI=true. STEP: see story/__main__.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
or_skip=
if [ "${1:-}" = --or-skip ]; then
  or_skip=yes
  shift
fi
rc=0
"$here/setup.sh" || rc=$?
if [ $rc -eq 3 ] && [ -n "$or_skip" ] && [ "${CI:-}" != true ]; then
  printf '%s\n' "" "SKIPPED: the chart on a real node (the reason stands above). CI does not skip it." "" >&2
  exit 0
fi
[ $rc -eq 0 ] || exit $rc
bin=${BIN:-$root/target/debug}
for program in tidegate-operator tidegate-gateway tidegate; do
  [ -x "$bin/$program" ] || { echo "run.sh: $bin/$program is missing: cargo build" >&2; exit 1; }
done
HELM=$("$here/../helm/build.sh")
python=$("$here/../clients/setup.sh" python)
WSCAT=$("$here/../clients/setup.sh" node)/.bin/wscat
MONITORING=$("$here/monitoring/build.sh")
built=$("$here/build.sh")
KUBECTL=${built%%$'\n'*}/kubectl # the first line: where the programs are
export HELM KUBECTL WSCAT MONITORING PYTHONDONTWRITEBYTECODE=1

work=$(mktemp -d "${TMPDIR:-/tmp}/tidegate-node.XXXXXX")
finish() {
  local rc=$?
  trap - EXIT
  if [ $rc -ne 0 ] && [ -n "${KEEP:-}" ]; then
    echo "run.sh: left up: KUBECONFIG=$work/kubeconfig; $here/down.sh $work" >&2
    exit $rc
  fi
  "$here/down.sh" "$work" || rc=1
  if [ $rc -ne 0 ]; then
    echo "run.sh: logs in $work/log" >&2
  else
    rm -rf --one-file-system "$work"
  fi
  exit $rc
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

"$here/up.sh" "$work"
version=$(awk '$1 == "appVersion:" {print $2}' "$root/charts/tidegate/Chart.yaml")
image() { # NAME PROGRAM
  # Without line tables an image of a debug build is a third of the size.
  strip -o "$work/$2" "$bin/$2"
  "$here/mkimage.py" --libraries --user 65532:65532 "tidegate.test/$1:$version" "$work/$1.tar" "$work/$2=/bin/$2" -- "/bin/$2"
  "$here/load-image.sh" "$work" "$work/$1.tar" >/dev/null
  # Also as the version before, and as the README's commands call it without a registry.
  "$here/tag-image.sh" "$work" "tidegate.test/$1:$version" "tidegate.test/$1:0.0.9" "docker.io/library/$1:$version"
  rm "$work/$2" "$work/$1.tar"
}
image tidegate-operator tidegate-operator
image tidegate-gateway tidegate-gateway
image tidegate tidegate
# shellcheck disable=SC1091
. "$work/settings"
export HOST_IP WORK=$work KUBECONFIG=$work/kubeconfig
"$python" "$here/story" "$@"
