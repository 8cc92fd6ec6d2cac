#!/usr/bin/env bash
# Formats the code, or checks its format with --check. rustfmt does not see the modules that `policy_modules!` declares
# (config/src/policy/step.rs): they are named here.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all "$@" -- gateway/src/policy/*.rs plan/src/policies/*.rs
