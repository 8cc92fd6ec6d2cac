# Shared by the scripts here; sourced, never run. They set $work first.
# shellcheck shell=bash disable=SC2034,SC2054,SC2154

# The addresses. One cluster at a time can use one set of them; give another
# CLUSTER, HOST_IP and NODE_IP to run a second one beside the first.
CLUSTER=${CLUSTER:-tg0}                     # names the link and the cgroup
NODE_NAME=${NODE_NAME:-node}
HOST_IP=${HOST_IP:-10.231.0.1}               # this machine's end of the link
NODE_IP=${NODE_IP:-10.231.0.2}               # the node's end; the API server too
POD_CIDR=${POD_CIDR:-10.244.0.0/24}
SERVICE_CIDR=${SERVICE_CIDR:-10.96.0.0/16}
API_SERVICE_IP=${API_SERVICE_IP:-10.96.0.1}  # the first address of SERVICE_CIDR
DNS_IP=${DNS_IP:-10.96.0.10}
API_PORT=${API_PORT:-6443}
STORE_PORT=${STORE_PORT:-2379}               # etcd (it takes ETCD_… for itself); its peers: the next one
SETTINGS=(CLUSTER NODE_NAME HOST_IP NODE_IP POD_CIDR SERVICE_CIDR API_SERVICE_IP
  DNS_IP API_PORT STORE_PORT)

record() { # NAME PID
  echo "$1 $2 $(started "$2")" >>"$work/pids"
}

# The pods' control groups lie below these: one, or one for each controller.
groups_of_cluster() { ls -d /sys/fs/cgroup/"$CLUSTER" /sys/fs/cgroup/*/"$CLUSTER" 2>/dev/null; }
remove_groups() {
  local d
  for d in $(groups_of_cluster); do
    [ ! -d "$d" ] || find "$d" -depth -type d -exec rmdir {} + || return 1
  done
}

# --- the control plane's command lines ---------------------------------------
# Each sets the array `run`. $dir is where the work directory is seen.
etcd_command() {
  # No fsync: the data lives no longer than the test.
  run=("$bin/etcd" --name etcd --data-dir "$dir/etcd" --unsafe-no-fsync --log-level error
    --listen-client-urls "http://127.0.0.1:$STORE_PORT"
    --advertise-client-urls "http://127.0.0.1:$STORE_PORT"
    --listen-peer-urls "http://127.0.0.1:$((STORE_PORT + 1))"
    --initial-advertise-peer-urls "http://127.0.0.1:$((STORE_PORT + 1))"
    --initial-cluster "etcd=http://127.0.0.1:$((STORE_PORT + 1))")
}
apiserver_command() { # ADDRESS
  run=("$bin/kube-apiserver"
    --bind-address "$1" --advertise-address "$NODE_IP" --secure-port "$API_PORT"
    --etcd-servers "http://127.0.0.1:$STORE_PORT"
    --authorization-mode Node,RBAC
    --enable-admission-plugins NodeRestriction
    --allow-privileged
    --client-ca-file "$dir/pki/ca.crt"
    --tls-cert-file "$dir/pki/apiserver.crt"
    --tls-private-key-file "$dir/pki/apiserver.key"
    --kubelet-certificate-authority "$dir/pki/ca.crt"
    --kubelet-client-certificate "$dir/pki/apiserver-to-kubelet.crt"
    --kubelet-client-key "$dir/pki/apiserver-to-kubelet.key"
    --kubelet-preferred-address-types InternalIP
    --service-cluster-ip-range "$SERVICE_CIDR"
    --service-account-issuer https://kubernetes.default.svc.cluster.local
    --service-account-key-file "$dir/pki/service-account.pub"
    --service-account-signing-key-file "$dir/pki/service-account.key")
}
controller_manager_command() {
  run=("$bin/kube-controller-manager"
    --kubeconfig "$dir/etc/controller-manager.kubeconfig"
    --leader-elect=false # there is one; saves the wait for a lease
    --kube-api-qps 200 --kube-api-burst 400 # the usual 20 a second slow its start by seconds
    --use-service-account-credentials
    --root-ca-file "$dir/pki/ca.crt"
    --service-account-private-key-file "$dir/pki/service-account.key"
    --cluster-signing-cert-file "$dir/pki/ca.crt"
    --cluster-signing-key-file "$dir/pki/ca.key"
    --service-cluster-ip-range "$SERVICE_CIDR")
}
