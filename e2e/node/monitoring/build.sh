#!/usr/bin/env bash
# Builds the Prometheus operator, its reloader, Prometheus and promtool from the Go modules pinned here, and images of
# all but promtool, into the cache: only when something is missing there. Prints the directory: *.tar, promtool,
# crds/, cluster-role.yaml and version.
#
# Needs go and python3. Some minutes when the Go build cache is cold, nothing after.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}
pins=$(cat "$here"/{operator,prometheus}/go.{mod,sum} "$here/discovery.go" "$here/../mkimage.py" | sha256sum)
out=$cache/monitoring-${pins:0:12}
mkdir -p "$out"
exec 9>"$out/lock"
flock 9 # two test runs on one machine build once
if [ -e "$out/version" ]; then
  echo "$out"
  exit 0
fi
say() { printf 'monitoring/build.sh: %s\n' "$*" >&2; }
command -v go >/dev/null || { say "needs go"; exit 1; }
export CGO_ENABLED=0
build() { go build -trimpath -buildvcs=false "$@" >&2; }

say "building the Prometheus operator (a minute or two the first time)"
cd "$here/operator"
module=github.com/prometheus-operator/prometheus-operator
build -ldflags '-s -w' -o "$out/prometheus-operator" $module/cmd/operator
build -ldflags '-s -w' -o "$out/prometheus-config-reloader" $module/cmd/prometheus-config-reloader
# The kinds and the operator's rights lie in the module itself.
source=$(go list -m -f '{{.Dir}}' $module)
rm -rf "$out/crds"
cp -r --no-preserve=mode "$source/example/prometheus-operator-crd" "$out/crds"
cp --no-preserve=mode "$source/example/rbac/prometheus-operator/prometheus-operator-cluster-role.yaml" "$out/cluster-role.yaml"

# From a copy of the module whose discovery is Kubernetes alone: the libraries of two dozen clouds are most of the build.
cd "$here/prometheus"
module=github.com/prometheus/prometheus
go mod download $module # its folder is not known before
source=$(go list -m -f '{{.Dir}}' $module)
version=$(cat "$source/VERSION")
say "building Prometheus $version (some minutes the first time) after $SECONDS s"
rm -rf "$out/source"
cp -r --no-preserve=mode "$source" "$out/source"
cp "$here/discovery.go" "$out/source/plugins/plugins.go"
cp go.sum "$out/prometheus.sum"
{ cat go.mod; echo "replace $module => $out/source"; } >"$out/prometheus.mod"
build -modfile "$out/prometheus.mod" -ldflags "-s -w -X github.com/prometheus/common/version.Version=$version" \
  -o "$out/" $module/cmd/prometheus $module/cmd/promtool
rm -rf "$out/source"

for program in prometheus-operator prometheus-config-reloader prometheus; do
  "$here/../mkimage.py" tidegate.test/$program:1 "$out/$program.tar" "$out/$program=/bin/$program" -- /bin/$program
  rm "$out/$program"
done
echo "$version" >"$out/version"
say "ready after $SECONDS s"
echo "$out"
