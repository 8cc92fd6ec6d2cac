#!/usr/bin/env bash
# Lints the chart and tests what it renders, over many values. No cluster. Arguments go to unittest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}
what="tests of the chart"
# shellcheck source=packages.sh
. "$here/packages.sh"
HELM=$("$here/helm/build.sh")
export HELM
venv=$cache/chart-$(sha256sum <"$here/chart/requirements.txt" | cut -c1-12)
mkdir -p "$cache"
exec 9>"$cache/chart.lock"
flock 9 # two test runs on one machine set up once
if [ ! -e "$venv/whole" ]; then
  debian python3 python3 python3-venv
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/chart/requirements.txt"
  touch "$venv/whole"
fi
exec 9>&-
"$here/../charts/sync-crds.sh" --check
"$HELM" lint --strict --quiet "$here/../charts/tidegate"
exec "$venv/bin/python" "$here/chart/test_chart.py" "$@"
