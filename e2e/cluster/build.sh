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
  packages=()
  for name in "${missing[@]}"; do
    case $name in
      etcd) packages+=(go.etcd.io/etcd/server/v3) ;; # its program is called server
      *) packages+=("k8s.io/kubernetes/cmd/$name") ;;
    esac
  done
  say "building ${missing[*]} (Kubernetes $version; some minutes the first time)"
  # One command, so that one program is linked while others compile. In a folder of their own until complete: an
  # interrupted build leaves no partial program.
  rm -rf "$bin/.new"
  mkdir "$bin/.new"
  go build -trimpath -buildvcs=false -ldflags "-s -w $stamp" -o "$bin/.new/" "${packages[@]}" >&2
  [ ! -e "$bin/.new/server" ] || mv "$bin/.new/server" "$bin/.new/etcd"
  mv "$bin/.new"/* "$bin/"
  rmdir "$bin/.new"
  say "${missing[*]} after $SECONDS s"
fi
echo "$bin"
