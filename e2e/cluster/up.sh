#!/usr/bin/env bash
# Starts a Kubernetes control plane for tests: etcd, API server and controller
# manager on 127.0.0.1, no root needed. Objects are served and checked as in any
# cluster, owner references are collected, but nothing runs a pod.
#
#   API_PORT=… STORE_PORT=… PEER_PORT=… up.sh WORK
#
# WORK is a directory for its state; made when missing. The programs come from
# build.sh. When it returns, WORK/kubeconfig works. down.sh WORK takes it down.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${API_PORT:?the API server port}" "${STORE_PORT:?the port of etcd}" "${PEER_PORT:?the peer port of etcd}"
mkdir -p "${1:?usage: up.sh WORK}"
work=$(cd "$1" && pwd)
# shellcheck source=common.sh
. "$here/common.sh"
# shellcheck source=pki.sh
. "$here/pki.sh"
for c in openssl curl base64 setsid tac; do
  command -v "$c" >/dev/null || die "needs the program '$c'"
done
[ ! -e "$work/pids" ] || die "$work holds a control plane already: run down.sh $work first"

# On any failure: say where to look, and leave nothing behind.
failed() {
  local rc=$? log
  trap - EXIT
  [ $rc -ne 0 ] || return 0
  for log in "$work"/log/*.log; do
    [ ! -s "$log" ] || printf '==> the end of %s\n%s\n' "$log" "$(tail -n 4 "$log")" >&2
  done
  "$here/down.sh" "$work" || true
  exit $rc
}
trap failed EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -p "$work/log" "$work/commands" "$work/pki"
chmod 700 "$work/pki"
: >"$work/pids"
server=https://127.0.0.1:$API_PORT
echo "$server" >"$work/server"

(
  cd "$work/pki"
  make_authority
  cert apiserver /CN=kube-apiserver \
    "DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1"
  cert admin /O=system:masters/CN=admin
  cert controller-manager /CN=system:kube-controller-manager
  umask 077
  kubeconfig . e2e admin "$server" >"$work/kubeconfig"
  kubeconfig . e2e controller-manager "$server" >"$work/controller-manager.kubeconfig"
)

# --- command lines, kept so that a test can stop and start one of them ------------
member() { # NAME ARGUMENT…
  local name=$1 path
  shift
  path=$(program "$name")
  [ -x "$path" ] || die "$path is missing: run build.sh"
  printf '%s\0' "$path" "$@" >"$work/commands/$name"
}
# No fsync: the data lives no longer than the test.
member etcd --name etcd --data-dir "$work/etcd" --unsafe-no-fsync --log-level error \
  --listen-client-urls "http://127.0.0.1:$STORE_PORT" \
  --advertise-client-urls "http://127.0.0.1:$STORE_PORT" \
  --listen-peer-urls "http://127.0.0.1:$PEER_PORT" \
  --initial-advertise-peer-urls "http://127.0.0.1:$PEER_PORT" \
  --initial-cluster "etcd=http://127.0.0.1:$PEER_PORT"
# There is no Service network, so no endpoint to announce for the API server.
member kube-apiserver \
  --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$API_PORT" \
  --endpoint-reconciler-type none \
  --etcd-servers "http://127.0.0.1:$STORE_PORT" \
  --authorization-mode Node,RBAC \
  --enable-admission-plugins NodeRestriction \
  --client-ca-file "$work/pki/ca.crt" \
  --tls-cert-file "$work/pki/apiserver.crt" \
  --tls-private-key-file "$work/pki/apiserver.key" \
  --service-cluster-ip-range 10.96.0.0/16 \
  --service-account-issuer https://kubernetes.default.svc.cluster.local \
  --service-account-key-file "$work/pki/service-account.pub" \
  --service-account-signing-key-file "$work/pki/service-account.key"
# There is one, so no wait for a lease; the usual 20 requests a second slow its start by
# seconds; without a port of its own a second one can run beside it.
member kube-controller-manager \
  --kubeconfig "$work/controller-manager.kubeconfig" \
  --leader-elect=false --secure-port 0 --kube-api-qps 200 --kube-api-burst 400 \
  --use-service-account-credentials \
  --root-ca-file "$work/pki/ca.crt" \
  --service-account-private-key-file "$work/pki/service-account.key" \
  --cluster-signing-cert-file "$work/pki/ca.crt" \
  --cluster-signing-key-file "$work/pki/ca.key" \
  --service-cluster-ip-range 10.96.0.0/16

trouble() { # something we started has died
  local name pid start
  while read -r name pid start; do
    alive "$pid" "$start" || { say "$name has died"; return 0; }
  done <"$work/pids"
  return 1
}
start_member etcd
start_member kube-apiserver
wait_for 90 "the API server is ready" api /readyz
start_member kube-controller-manager
# The first sign of a working controller manager: it makes this account.
wait_for 60 "the controller manager works" api /api/v1/namespaces/default/serviceaccounts/default
say "ready after $SECONDS s: KUBECONFIG=$work/kubeconfig"
