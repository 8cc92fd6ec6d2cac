#!/usr/bin/env bash
# Fuzzes one target after the other, each for so many seconds; stops at the first input that
# breaks one, and says where it lies. docs/testing.md tells more.
#
#   run.sh [--or-skip] SECONDS [TARGET...]
#
# With --or-skip a machine without a C++ compiler is no failure, except with CI=true.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
or_skip=
if [ "${1:-}" = --or-skip ]; then
  or_skip=yes
  shift
fi
seconds=${1:?usage: run.sh [--or-skip] SECONDS [TARGET...]}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(frames heads proxy_header expressions)

rc=0
(
  what=libFuzzer # for the messages
  # shellcheck source=../e2e/packages.sh
  . e2e/packages.sh
  debian "${CXX:-c++}" g++
) || rc=$?
if [ $rc -eq 3 ] && [ -n "$or_skip" ] && [ "${CI:-}" != true ]; then
  printf '%s\n' "" "SKIPPED: fuzzing (the reason stands above). CI does not skip it." "" >&2
  exit 0
fi
[ $rc -eq 0 ] || exit $rc

# The whole workspace with a test: so the dependencies are those of the build for the tests, which
# has their features on, and are not compiled a second time. Only what the targets need is built.
# shellcheck disable=SC2086 # several flags
RUSTC_WORKSPACE_WRAPPER=$here/instrument.sh \
  cargo build ${CARGO_FLAGS:---locked} --workspace --features tidegate-fuzz/libfuzzer \
  --bin frames --bin heads --bin proxy_header --bin expressions --test fuzz_targets
programs=${CARGO_TARGET_DIR:-target}/debug

for target in "${targets[@]}"; do
  echo "fuzz: $target for $seconds s"
  mkdir -p "$here/corpus/$target" "$here/artifacts/$target"
  log=$here/artifacts/$target.log
  # What is found goes to the first directory; the second one is only read. An input may take ten
  # seconds on a loaded machine, it takes milliseconds otherwise.
  if ! "$programs/$target" -max_total_time="$seconds" -max_len=8192 -timeout=10 \
    -rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix="$here/artifacts/$target/" \
    -dict="$here/dictionaries/$target" \
    "$here/corpus/$target" "$here/seeds/$target" 2>"$log"; then
    tail -n 60 "$log" >&2
    echo "fuzz: $target is broken, see above; once more: $programs/$target FILE" >&2
    exit 1
  fi
  grep -E '^stat::number_of_executed_units|^Done ' "$log" | sed 's/^/  /'
done
