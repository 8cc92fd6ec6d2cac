#!/usr/bin/env bash
# Sets up all that the story on a real node needs: Debian's packages where a program is missing, and what build.sh
# builds, into ${TIDEGATE_CACHE:-~/.cache/tidegate}. What is there already is taken as it is.
#
# Exits 3 when the machine cannot run a node, and says why.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
what="a node of its own"
# shellcheck source=../packages.sh
. "$here/../packages.sh"

[ "$(uname -s)" = Linux ] || lacks "needs Linux"
[ "$(id -u)" = 0 ] || lacks "needs root"
unshare --pid --fork --mount --net --uts true 2>/dev/null || lacks "may not make namespaces (a container without CAP_SYS_ADMIN?)"
# As up.sh does it: version 2 of the control groups, or one of version 1's.
groups=/sys/fs/cgroup
[ -e $groups/cgroup.controllers ] || groups+=/memory
{ probe=$(mktemp -d "$groups/tidegate-XXXXXX") && rmdir "$probe"; } 2>/dev/null ||
  lacks "may not make control groups (is $groups read-only?)"
command -v go >/dev/null || lacks "'go' is missing"
# One by one: a machine may have some of them from elsewhere.
debian containerd containerd
debian ctr containerd
debian runc runc
debian iptables iptables
debian ip iproute2
debian openssl openssl
debian curl curl
debian gcc gcc libc6-dev
debian strip binutils
debian python3 python3
cni() {
  local d
  for d in /opt/cni/bin /usr/lib/cni /usr/libexec/cni; do
    [ ! -x "$d/bridge" ] || return 0
  done
  return 1
}
cni || debian /usr/lib/cni/bridge containernetworking-plugins
"$here/build.sh" >/dev/null
"$here/monitoring/build.sh" >/dev/null
