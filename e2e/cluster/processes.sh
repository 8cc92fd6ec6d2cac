# Saying, waiting, and processes by id and start time: for the scripts here and in ../node. Sourced, never run.
# shellcheck shell=bash

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# wait_for SECONDS WHAT COMMAND…: runs the command until it succeeds. Gives up
# early when `trouble`, where a script defines one, says that it is no use.
trouble() { return 1; }
wait_for() {
  local limit=$1 what=$2 end=$((SECONDS + $1))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if trouble; then
      say "$what: given up"
      return 1
    fi
    if [ $SECONDS -ge $end ]; then
      say "$what: not within $limit s"
      return 1
    fi
    sleep 0.1
  done
}

# A process is known by its id and its start time, so that an id which the
# system has given to another process since is never signalled.
started() { # PID → its start time, in clock ticks; fails when it is gone
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) } # the name, in brackets, may hold spaces
  # shellcheck disable=SC2086
  set -- $stat
  [ "$1" != Z ] && echo "${20}"
}
alive() { # PID START
  local now
  now=$(started "$1") && [ "$now" = "$2" ]
}
gone() { ! alive "$1" "$2"; }
