#!/usr/bin/env bash
# Builds the control plane's programs (etcd, kube-apiserver, kube-controller-manager)
# and kubectl from the Go modules pinned in controlplane/, into the cache: only what is
# missing there and in KUBEBUILDER_ASSETS. Prints the directory of the programs.
#
#   build.sh [PROGRAM…]
#
# Needs go. Some minutes when the Go build cache is cold, nothing after.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=common.sh
. "$here/common.sh"
[ $# -gt 0 ] || set -- etcd kube-apiserver kube-controller-manager kubectl

mkdir -p "$bin"
exec 9>"$bin/lock"
flock 9 # two test runs on one machine build once
missing=()
for name; do
  [ -x "$(program "$name")" ] || missing+=("$name")
done
if [ ${#missing[@]} -gt 0 ]; then
  command -v go >/dev/null || die "needs go to build ${missing[*]} (or set KUBEBUILDER_ASSETS or KUBECONFIG)"
  cd "$here/controlplane"
  version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
  IFS=. read -r major minor _ <<<"${version#v}"
  v=k8s.io/component-base/version
  # A plain build would call itself v0.0.0.
  stamp="-X $v.gitVersion=$version -X $v.gitMajor=$major -X $v.gitMinor=$minor"
  export CGO_ENABLED=0
  say "building ${missing[*]} (Kubernetes $version; some minutes the first time)"
  for name in "${missing[@]}"; do
    package=k8s.io/kubernetes/cmd/$name
    [ "$name" != etcd ] || package=go.etcd.io/etcd/server/v3
    # Under a name of its own until whole: a build that was cut off leaves no half program.
    go build -trimpath -buildvcs=false -ldflags "-s -w $stamp" -o "$bin/.$name" "$package" >&2
    mv "$bin/.$name" "$bin/$name"
    say "$name after $SECONDS s"
  done
fi
echo "$bin"
