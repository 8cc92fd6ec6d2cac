#!/bin/bash
# The node's first process (see up.sh): sets the node's mounts and network up,
# starts its daemons and reaps orphans. When it dies, so does all the rest.
#
#   init.sh WORK PROGRAMS IMAGES
#
# From here on WORK is /mnt, the others are below it, and /var and /run are the
# node's own; so every daemon keeps to its usual paths.
set -euo pipefail
mount --bind "$2" "$1/bin"
mount --bind "$3" "$1/images"
mount --rbind "$1" /mnt
mount --bind /mnt/var /var
mount -t tmpfs -o mode=755 tmpfs /run
# The kubelet would set these for the whole machine: show it the values it wants.
mkdir /run/sysctl
for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  echo "${pair#*=}" >"/run/sysctl/${pair//[=\/]/-}"
  mount --bind "/run/sysctl/${pair//[=\/]/-}" "/proc/sys/${pair%=*}"
done
mount --make-rshared / # as on any node: mounts made here reach the pods that ask
cd /
# shellcheck disable=SC2034
work=/mnt dir=/mnt bin=/mnt/bin
# shellcheck disable=SC1091
. /mnt/settings
# shellcheck disable=SC1091
. /mnt/etc/processes.sh
# shellcheck disable=SC1091
. /mnt/etc/common.sh
hostname "$NODE_NAME"
ip link set lo up
touch /var/ready-for-link
wait_for 10 "the link appears" ip link show eth0
ip addr add "$NODE_IP/30" dev eth0
ip link set eth0 up
# Packets to a Service need some route before kube-proxy's rules turn them.
ip route add default via "$HOST_IP"
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables

start() { # NAME: starts the array `run`
  "${run[@]}" >"/mnt/log/$1.log" 2>&1 </dev/null &
  names[$!]=$1
}
declare -A names=()
trouble() { # a daemon has died
  local pid
  for pid in "${!names[@]}"; do
    kill -0 "$pid" 2>/dev/null || { echo "${names[$pid]} has died"; return 0; }
  done
  return 1
}

etcd_command && start etcd
apiserver_command "$NODE_IP" && start kube-apiserver
run=(containerd --config /mnt/etc/containerd.toml) && start containerd
wait_for 20 "containerd answers" ctr version
for image in /mnt/images/{pause,coredns}.tar; do
  ctr -n k8s.io images import "$image" >>/mnt/log/images.log 2>&1
done
wait_for 60 "the API server is ready" curl -sf --cacert /mnt/pki/ca.crt "https://$NODE_IP:$API_PORT/readyz"
controller_manager_command && start kube-controller-manager
run=("$bin/kube-scheduler" --kubeconfig /mnt/etc/scheduler.kubeconfig --leader-elect=false)
start kube-scheduler
run=("$bin/kube-proxy" --config /mnt/etc/kube-proxy.yaml) && start kube-proxy
run=("$bin/kubelet" --config /mnt/etc/kubelet.yaml --kubeconfig /mnt/etc/kubelet.kubeconfig
  --hostname-override "$NODE_NAME" --node-ip "$NODE_IP") && start kubelet

# Bash as the first process also reaps the pods' orphans while it waits here.
while wait -n -p pid; rc=$?; [ -n "${pid:-}" ]; do
  echo "${names[$pid]:-process $pid} has ended with status $rc"
done
