# Shared by the scripts here; sourced, never run. They set $work first.
# shellcheck shell=bash disable=SC2034,SC2154
# shellcheck source=processes.sh
. "$here/processes.sh"

# Where the machine-wide cache is: outside the tree, so that every clone shares it.
cache=${TIDEGATE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate}
# One directory for each set of module files: a changed pin never meets an old program.
pins=$(cat "$here/controlplane/go.mod" "$here/controlplane/go.sum" | sha256sum)
bin=$cache/controlplane-${pins:0:12}

# program NAME → its path: the one of KUBEBUILDER_ASSETS where that has it.
program() {
  if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/$1" ]; then
    echo "$KUBEBUILDER_ASSETS/$1"
  else
    echo "$bin/$1"
  fi
}

# start_member NAME: runs the command line kept for it, apart from this shell's
# session so that no terminal signal reaches it.
start_member() {
  local command
  mapfile -d '' -t command <"$work/commands/$1"
  setsid "${command[@]}" >>"$work/log/$1.log" 2>&1 </dev/null &
  echo "$1 $! $(started $!)" >>"$work/pids"
}
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
