# Shared by the scripts here; sourced, never run. They set $work first.
# shellcheck shell=bash disable=SC2034,SC2154

# Where the machine-wide cache is: outside the tree, so that every clone shares it.
cache=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}
# One directory for each set of module files: a changed pin never meets an old program.
pins=$(cat "$here/controlplane/go.mod" "$here/controlplane/go.sum" | sha256sum)
bin=$cache/controlplane-${pins:0:12}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# program NAME → its path: the one of KUBEBUILDER_ASSETS where that has it.
program() {
  if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$1" ]; then
    echo "$KUBEBUILDER_ASSETS/$1"
  else
    echo "$bin/$1"
  fi
}

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

# start_member NAME: runs the command line kept for it, apart from this shell's
# session so that no terminal signal reaches it.
start_member() {
  local command
  mapfile -d '' -t command <"$work/commands/$1"
  setsid "${command[@]}" >>"$work/log/$1.log" 2>&1 </dev/null &
  echo "$1 $! $(started $!)" >>"$work/pids"
}
gone() { ! alive "$1" "$2"; }
# end_member NAME PID START: at once. Nothing here has state that outlives a test, and an
# API server that is asked politely waits for its watchers first.
end_member() {
  alive "$2" "$3" || return 0
  kill -KILL "$2"
  wait_for 10 "$1 ends when killed" gone "$2" "$3"
}

api() { # PATH: asks the API server as its administrator
  curl -sf --noproxy '*' --max-time 5 --cacert "$work/pki/ca.crt" \
    --cert "$work/pki/admin.crt" --key "$work/pki/admin.key" "$(cat "$work/server")$1"
}
