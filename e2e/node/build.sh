#!/usr/bin/env bash
# Builds all that a node needs into the cache: Kubernetes' programs (e2e/cluster/build.sh) and the images of
# cluster DNS and of pods' sandboxes. Only what is missing. Prints two lines: where the programs and the images are.
#
# Needs go, python3, and gcc with a static libc.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}
programs=$("$here/../cluster/build.sh" etcd kube-apiserver kube-controller-manager kubectl kube-scheduler kubelet kube-proxy)
pins=$(cat "$here"/dns/{go.mod,go.sum,main.go} "$here/images/pause.c" "$here/mkimage.py" | sha256sum)
images=$cache/node-${pins:0:12}
mkdir -p "$images"
exec 9>"$images/lock"
flock 9 # two test runs on one machine build once
if [ ! -s "$images/pause.tar" ]; then
  gcc -static -Os -s -o "$images/pause" "$here/images/pause.c"
  "$here/mkimage.py" --user 65535:65535 tidegate.test/pause:1 "$images/pause.tar" "$images/pause=/pause" -- /pause
fi
if [ ! -s "$images/coredns.tar" ]; then
  echo "build.sh: building CoreDNS (a minute the first time)" >&2
  (cd "$here/dns" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$images/coredns" . >&2)
  "$here/mkimage.py" tidegate.test/coredns:1 "$images/coredns.tar" "$images/coredns=/coredns" -- /coredns
fi
printf '%s\n%s\n' "$programs" "$images"
