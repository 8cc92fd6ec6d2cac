#!/usr/bin/env bash
# Starts a Kubernetes cluster of one node on this machine, for tests. Needs root.
#
#   up.sh WORK
#
# WORK is a directory for its state; made when missing. The programs come from build.sh.
#
# Everything lives in process, mount and network namespaces of its own, tied to this machine by one virtual cable;
# when the first process in there dies, all of it goes: daemons, pods, mounts, bridges, packet filter rules.
#
# When it returns, WORK/kubeconfig works. down.sh WORK takes it down again. Tests reach pods, Services and node ports
# under their own addresses. common.sh lists the settings that the environment can change.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { echo "usage: up.sh WORK" >&2; exit 2; }
# shellcheck source=../cluster/processes.sh
. "$here/../cluster/processes.sh"
# shellcheck source=common.sh
. "$here/common.sh"
# shellcheck source=../cluster/pki.sh
. "$here/../cluster/pki.sh"

mkdir -p "$1"
work=$(cd "$1" && pwd)
built=$("$here/build.sh")
{ read -r programs; read -r images; } <<<"$built"

need() {
  local c
  for c; do command -v "$c" >/dev/null || die "needs the program '$c'"; done
}
need openssl curl base64 setsid tac containerd ctr runc iptables ip unshare nsenter
[ "$(id -u)" = 0 ] || die "needs root"
[ ! -e "$work/pids" ] || die "$work holds a cluster already: run down.sh $work first"

# On any failure: say where to look, and leave nothing behind.
failed() {
  local rc=$? log
  trap - EXIT
  [ $rc -ne 0 ] || return 0
  for log in "$work"/log/*.log; do
    [ ! -s "$log" ] || printf '==> the end of %s\n%s\n' "$log" "$(tail -n 4 "$log")" >&2
  done
  "$here/down.sh" "$work" >&2 || true
  exit $rc
}
trap failed EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$work/log" "$work/etc"
rm -rf "$work/log"/*
: >"$work/pids"
for s in "${SETTINGS[@]}"; do printf '%s=%q\n' "$s" "${!s}"; done >"$work/settings"

server=https://$NODE_IP:$API_PORT
mkdir -p "$work/pki"
chmod 700 "$work/pki"
(
  cd "$work/pki"
  make_authority
  cert apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,\
DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,\
IP:127.0.0.1,IP:$NODE_IP,IP:$API_SERVICE_IP"
  cert apiserver-to-kubelet /CN=kube-apiserver-kubelet-client
  cert admin /O=system:masters/CN=admin
  cert controller-manager /CN=system:kube-controller-manager
  cert scheduler /CN=system:kube-scheduler
  cert kube-proxy /CN=system:kube-proxy
  cert kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" "DNS:$NODE_NAME,IP:$NODE_IP"
  umask 077
  kubeconfig . "$CLUSTER" admin "$server" >"$work/kubeconfig"
  for user in controller-manager scheduler kube-proxy kubelet; do
    kubeconfig . "$CLUSTER" "$user" "$server" >"$work/etc/$user.kubeconfig"
  done
)

trouble() { # something we started has died
  local name pid start
  while read -r name pid start; do
    alive "$pid" "$start" || { echo "up.sh: $name has died" >&2; return 0; }
  done <"$work/pids"
  return 1
}
api() { curl -sf --noproxy '*' --max-time 5 --cacert "$work/pki/ca.crt" \
  --cert "$work/pki/admin.crt" --key "$work/pki/admin.key" "$server$1" "${@:2}"; }

# --- the node ----------------------------------------------------------------
for d in /opt/cni/bin /usr/lib/cni /usr/libexec/cni; do
  [ -x "$d/bridge" ] && cni=$d && break
done
[ -n "${cni:-}" ] || die "no CNI plugins found (bridge, host-local, portmap, loopback)"
! ip link show "$CLUSTER" >/dev/null 2>&1 || die "the link $CLUSTER exists: is another cluster up? (CLUSTER=… names a second one)"
# No cluster is up by this name, so such groups are left from one that was lost.
remove_groups || die "the control group $CLUSTER exists and holds processes"
for net in "$HOST_IP" "$POD_CIDR" "$SERVICE_CIDR"; do
  [ -z "$(ip route show "$net")" ] || die "$net is routed on this machine already"
done

rm -rf "${work:?}/var"
mkdir -p "$work/var"/{lib,log,cache,tmp} "$work/bin" "$work/images" "$work/etc/cni"
ln -s /run "$work/var/run"
sed "s|@CNI@|$cni|" "$here/config/containerd.toml" >"$work/etc/containerd.toml"
for f in kubelet.yaml kube-proxy.yaml cni/10-bridge.conflist; do
  sed -e "s|@NODE_NAME@|$NODE_NAME|; s|@NODE_IP@|$NODE_IP|; s|@POD_CIDR@|$POD_CIDR|" \
    -e "s|@DNS_IP@|$DNS_IP|; s|@CLUSTER@|$CLUSTER|" "$here/config/$f" >"$work/etc/$f"
done
: >"$work/etc/resolv.conf" # no name server but the cluster's own
cp "$here/../cluster/processes.sh" "$here/common.sh" "$here/init.sh" "$work/etc/"

# The node needs these, where the kernel has them as modules.
modprobe -qa overlay br_netfilter 2>/dev/null || true

# Pods' control groups go below one of our own, so that they can be found again.
touch "$work/made-groups"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  echo "+cpu +cpuset +memory +pids +io" >/sys/fs/cgroup/cgroup.subtree_control
  mkdir -p "/sys/fs/cgroup/$CLUSTER"
else
  for d in /sys/fs/cgroup/*/; do
    [ ! -e "$d/cgroup.procs" ] || mkdir -p "$d/$CLUSTER"
  done
fi

setsid env -i PATH="$PATH:/usr/sbin:/sbin" LANG=C.UTF-8 HOME=/ \
  unshare --pid --fork --kill-child --mount --mount-proc --net --uts \
  bash "$work/etc/init.sh" "$work" "$programs" "$images" >"$work/log/node.log" 2>&1 </dev/null &
record unshare $!
first=
find_first() { first=$(cat "/proc/$1/task/$1/children") && first=${first%% *} && [ -n "$first" ]; }
wait_for 10 "the node's first process" find_first $!
find_first $!
record node "$first"

# Its network namespace is its own once it says so; then the cable can go in.
wait_for 10 "the node's namespaces" test -e "$work/var/ready-for-link"
touch "$work/made-link"
ip link add "$CLUSTER" type veth peer name eth0 netns "$first"
ip addr add "$HOST_IP/30" dev "$CLUSTER"
ip link set "$CLUSTER" up
# Pods and Services can be reached from this machine under their own addresses.
ip route add "$POD_CIDR" via "$NODE_IP"
ip route add "$SERVICE_CIDR" via "$NODE_IP"

wait_for 60 "the API server is ready" api /readyz
kubectl() { "$programs/kubectl" --kubeconfig "$work/kubeconfig" --request-timeout 10s "$@"; }
ready() { [ "$(kubectl get "$@" -o 'jsonpath={.status.conditions[?(@.type=="'"$condition"'")].status}')" = True ]; }
wait_for 10 "the API server's first objects" kubectl get namespace kube-system
# What kubeadm would do here: let the API server reach the kubelet (logs, exec).
kubectl create clusterrolebinding kube-apiserver-kubelet-client \
  --clusterrole system:kubelet-api-admin --user kube-apiserver-kubelet-client >/dev/null
sed "s|@DNS_IP@|$DNS_IP|" "$here/config/dns.yaml" | kubectl apply -f - >/dev/null
condition=Ready
wait_for 60 "the node is ready" ready node "$NODE_NAME"
say "node ready after $SECONDS s"
condition=Available
wait_for 60 "cluster DNS is ready" ready deployment coredns --namespace kube-system
say "cluster ready after $SECONDS s: KUBECONFIG=$work/kubeconfig"
