#!/usr/bin/env bash
# Sets up a client or server that nobody here wrote, from its package registry into the
# cache, and prints where it is. What is there already is taken as it is.
#
#   setup.sh python | node | nats | signalr | rabbitmq | redis | chromium
#
# Exits 3 when the machine lacks what that needs, and says what.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}
what=${1:?usage: setup.sh python | node | nats | signalr | rabbitmq | redis | chromium}
# shellcheck source=../packages.sh
. "$here/../packages.sh"

# One directory for each state of the pins; a marker says that it is whole.
place() { # FILE… → $dir
  local pins
  pins=$(cat "$@" | sha256sum)
  dir=$cache/$what-${pins:0:12}
  mkdir -p "$dir"
}
whole() { [ -e "$dir/whole" ]; }

mkdir -p "$cache"
exec 9>"$cache/$what.lock"
flock 9 # two test runs on one machine set up once

case $what in
  python)
    place "$here/requirements.txt"
    if ! whole; then
      debian python3 python3 python3-venv
      python3 -m venv --clear "$dir/venv" >&2 || lacks "python3 -m venv failed (Debian: apt-get install python3-venv)"
      "$dir/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
      touch "$dir/whole"
    fi
    echo "$dir/venv/bin/python"
    ;;
  node)
    place "$here/package.json" "$here/package-lock.json"
    if ! whole; then
      debian npm nodejs npm
      cp "$here/package.json" "$here/package-lock.json" "$dir/"
      npm ci --prefix "$dir" --silent --no-audit --no-fund --ignore-scripts >&2
      touch "$dir/whole"
    fi
    echo "$dir/node_modules"
    ;;
  nats)
    place "$here/../nats/go.mod" "$here/../nats/go.sum"
    if ! whole; then
      command -v go >/dev/null || lacks "'go' is missing"
      (cd "$here/../nats" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' \
        -o "$dir/nats-server" github.com/nats-io/nats-server/v2) >&2
      touch "$dir/whole"
    fi
    echo "$dir/nats-server"
    ;;
  signalr)
    place "$here/../signalr/go.mod" "$here/../signalr/go.sum" "$here/../signalr/main.go"
    if ! whole; then
      command -v go >/dev/null || lacks "'go' is missing"
      (cd "$here/../signalr" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' \
        -o "$dir/signalr" .) >&2
      touch "$dir/whole"
    fi
    echo "$dir/signalr"
    ;;
  rabbitmq)
    # Not the program of that name: it demands to be started by root or its own user, as a service.
    server=/usr/lib/rabbitmq/bin/rabbitmq-server
    # As if in single-user mode: the package's service is not started.
    RUNLEVEL=1 debian "$server" rabbitmq-server
    echo "$server"
    ;;
  redis)
    command -v valkey-server || { debian redis-server redis-server && command -v redis-server; }
    ;;
  chromium)
    debian chromium chromium
    command -v chromium
    ;;
  *)
    echo "usage: setup.sh python | node | nats | signalr | rabbitmq | redis | chromium" >&2
    exit 2
    ;;
esac
