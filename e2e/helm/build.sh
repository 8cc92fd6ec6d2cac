#!/usr/bin/env bash
# Builds helm from the Go module pinned here into the cache, when it is not there. Prints its path.
#
# Needs go. About two minutes when the Go build cache is cold.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}
pins=$(cat "$here/go.mod" "$here/go.sum" | sha256sum)
bin=$cache/helm-${pins:0:12}
mkdir -p "$bin"
exec 9>"$bin/lock"
flock 9 # two test runs on one machine build once
if [ ! -x "$bin/helm" ]; then
  command -v go >/dev/null || { echo "build.sh: needs go to build helm" >&2; exit 1; }
  cd "$here"
  echo "build.sh: building helm (some minutes the first time)" >&2
  # Under a name of its own until whole: a build that was cut off leaves no half program.
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$bin/.helm" helm.sh/helm/v4/cmd/helm >&2
  mv "$bin/.helm" "$bin/helm"
fi
echo "$bin/helm"
