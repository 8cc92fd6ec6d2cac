#!/usr/bin/env bash
# rustc for the crates of this workspace while they are fuzzed (RUSTC_WORKSPACE_WRAPPER): with
# libFuzzer's coverage counters, checks on, and fast enough. These flags are stable ones, and
# dependencies are built as always, so the build that the tests need anyway is used again.
set -euo pipefail
case " $* " in
  # What runs without libFuzzer.
  *" --crate-name build_script"* | *" --crate-type proc-macro "* | *" --test "*) exec "$@" ;;
  *" --crate-name "*) ;;
  *) exec "$@" ;; # a question of cargo's
esac
exec "$@" -Cpasses=sancov-module -Ccodegen-units=1 \
  -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares \
  -Copt-level=2 -Cdebug-assertions=on -Coverflow-checks=on
