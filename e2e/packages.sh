# Debian's packages, where a machine lacks what a test needs: for the setup scripts here. Sourced, never run.
# They set $what: what is being set up.
# shellcheck shell=bash disable=SC2154

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
# What is missing is named; the caller decides whether that is an error.
lacks() { say "$what: $*"; exit 3; }

# debian PROGRAM PACKAGE…: installs the packages where the program, a name or a path, is missing.
debian() {
  local program=$1
  shift
  ! command -v "$program" >/dev/null || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    lacks "'$program' is missing (as root on Debian: apt-get install $*)"
  fi
  say "installing $*"
  export DEBIAN_FRONTEND=noninteractive
  # One at a time: apt-get gives up when another one has its lock.
  {
    flock 8
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"
  } </dev/null >&2 8>"${TMPDIR:-/tmp}/tidegate-packages.lock" || lacks "apt-get install $* failed"
}
