"""Installing, upgrading, testing and uninstalling the chart; what the operator does when it is killed."""

import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import node
from cluster import (
    CHART,
    HOME,
    KUBECTL,
    RELEASE,
    ROOT,
    SHOP,
    Failure,
    apply,
    condition,
    get,
    helm,
    kubectl,
    run,
    until,
)
from tunnels import Newcomers, dial, echo, exchange

# As in run.sh, which loads the images under this version too.
BEFORE = "0.0.9"
VALUES = [
    *("--set", "global.imageRegistry=tidegate.test", "--set", "tests.timeoutSeconds=120"),
    *("--set", "metrics.serviceMonitor.enabled=true", "--set", "metrics.podMonitor.enabled=true"),
    *("--set", "metrics.prometheusRule.enabled=true", "--set", "metrics.dashboards.enabled=true"),
    # Taken by the API server; nothing on this node enforces them.
    *("--set", "networkPolicy.enabled=true", "--set", "networkPolicy.gateways.enabled=true"),
    *("--set", f"networkPolicy.gateways.namespaces={{{SHOP}}}"),
]
WAIT = ["--wait", "--timeout", "120s"]


def restricted_pod(name, args, image="tidegate.test/tidegate:0.1.0", security=None):
    allowed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": SHOP},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "main", "image": image, "args": args, "securityContext": security or allowed}],
        },
    }


async def namespaces_enforce_the_restricted_standard(_):
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    for name in (HOME, SHOP):
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    # Pods need their account first; then only the standard stands in the way.
    await until(30, "the account of the namespace", lambda: get("serviceaccount", "default", "-n", SHOP))
    lax = restricted_pod("lax", ["echo"], security={"privileged": True})
    done = run(KUBECTL, "create", "--dry-run=server", "-f", "-", text=json.dumps(lax), ok=False)
    if 'violates PodSecurity "restricted' not in done.stderr:
        raise Failure(f"a privileged pod: {done.stderr or done.stdout}")


async def bad_values_are_refused_by_name(_):
    for value, named in [
        ("replicaCount=two", "replicaCount"),
        ("replicas=3", "replicas"),
        ("image.pullPolicy=Sometimes", "image/pullPolicy"),
        ("metrics.podMonitor.interval=soon", "metrics/podMonitor/interval"),
        ("leaderElection.enabled=false", "leaderElection.enabled"),
        ("defaultGateway.enabled=true", "defaultGateway.enabled"),
    ]:
        done = await helm("install", RELEASE, CHART, "-n", HOME, "--set", value, ok=False)
        if done.returncode == 0 or named not in done.stderr.replace("'", ""):
            raise Failure(f"{value}: {done.stderr or 'installed'}")
    left = kubectl("get", "deployments,configmaps,secrets", "-n", HOME, "-o", "name").split()
    if left != ["configmap/kube-root-ca.crt"]:
        raise Failure(f"left: {left}")


def chart_before(directory):
    """The chart as an earlier version might have been: there is no release yet to take one from.

    Its kinds lack a field under its name of today, so that an upgrade that leaves kinds as they are would show.
    """
    chart = Path(directory) / "tidegate"
    shutil.copytree(CHART, chart)
    about = chart / "Chart.yaml"
    version = next(line for line in about.read_text().splitlines() if line.startswith("version: "))
    about.write_text(about.read_text().replace(version.split()[1], BEFORE))
    kind = chart / "files/crds/websocketapi.yaml"
    text = kind.read_text()
    if "termsOfServiceUrl:" not in text:
        raise Failure("the field that the earlier version lacks has gone: choose another one")
    kind.write_text(text.replace("termsOfServiceUrl:", "termsUrl:"))
    return str(chart)


def the_new_field_is_known():
    thing = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "WebSocketApi",
        "metadata": {"name": "new-field", "namespace": SHOP},
        "spec": {
            "gateways": [{"name": "edge"}],
            "path": "/new-field",
            "backend": {"url": "ws://nowhere/"},
            "termsOfServiceUrl": "https://example.com/terms",
        },
    }
    return run(KUBECTL, "create", "--dry-run=server", "-f", "-", text=json.dumps(thing), ok=False).returncode == 0


async def the_chart_before_is_installed(_):
    with tempfile.TemporaryDirectory() as directory:
        await helm("install", RELEASE, chart_before(directory), "-n", HOME, *VALUES, *WAIT)
    if the_new_field_is_known():
        raise Failure("its kinds know a field that they should not")
    return f"{len(get('pods', '-n', HOME)['items'])} pods"


async def only_approvers_approve(_):
    """The chart's admission policy, asked as a user who may edit subscriptions."""
    kubectl("create", "rolebinding", "consumer", "-n", SHOP, "--clusterrole", "edit", "--user", "consumer")
    thing = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "Subscription",
        "metadata": {"name": "asked", "namespace": SHOP},
        "spec": {"scope": {"gateway": "edge"}},
    }
    create = ["create", "--dry-run=server", "-f", "-", "--as", "consumer"]

    def allowed(approval):
        wanted = {**thing, "spec": {**thing["spec"], **approval}}
        return run(KUBECTL, *create, text=json.dumps(wanted), ok=False)

    # Roles are aggregated and policies take effect a moment after they are written.
    await until(30, "a consumer may create a subscription", lambda: allowed({}).returncode == 0)
    await until(
        30,
        "a consumer may not approve one",
        lambda: "may not set spec.approval" in allowed({"approval": "Approved"}).stderr,
    )


def leader():
    return get("lease", f"{RELEASE}-tidegate", "-n", HOME)["spec"].get("holderIdentity")


async def change_is_programmed(description):
    patch = json.dumps({"spec": {"description": description}})
    kubectl("patch", "wsapi", "steady", "-n", SHOP, "--type", "merge", "-p", patch)
    await until(30, "the change is programmed", lambda: condition("wsapi", "steady", "Programmed"))


async def another_operator_takes_over(world):
    """The pod that leads is deleted: it gives its lease back. Traffic does not notice."""
    before = leader()
    async with dial(world) as socket, Newcomers(world) as newcomers:
        kubectl("delete", "pod", before.split("_")[0], "-n", HOME, "--wait=false")
        start = time.monotonic()
        await until(30, "another leader", lambda: (now := leader()) and now != before)
        took = time.monotonic() - start
        await change_is_programmed("changed once")
        await exchange(socket)
    newcomers.check()
    return f"after {took:.1f} s; {newcomers.count} handshakes meanwhile"


async def an_operator_that_is_killed_is_replaced(world):
    """SIGKILL to the process that leads: its lease runs out. Traffic does not notice."""
    before = leader()
    uid = get("pod", before.split("_")[0], "-n", HOME)["metadata"]["uid"]
    async with dial(world) as socket, Newcomers(world) as newcomers:
        os.kill(node.program_of(uid, "tidegate-operator"), signal.SIGKILL)
        start = time.monotonic()
        await until(40, "another leader", lambda: (now := leader()) and now != before)
        took = time.monotonic() - start
        await change_is_programmed("changed twice")
        await exchange(socket)
    newcomers.check()
    return f"after {took:.1f} s; {newcomers.count} handshakes meanwhile"


async def an_upgrade_of_the_operator_touches_no_tunnel(world):
    async with dial(world) as socket:
        await helm("upgrade", RELEASE, CHART, "-n", HOME, *VALUES, "--set", "podAnnotations.upgraded=yes", *WAIT)
        await exchange(socket, "still here")


async def the_operator_lacked_no_right(_):
    """Nothing that it asked for was forbidden."""
    log = kubectl("logs", "-n", HOME, "-l", "app.kubernetes.io/component=operator", "--tail=-1")
    bad = [line for line in log.splitlines() if "orbidden" in line]
    if bad:
        raise Failure(bad[0])


async def helm_test_passes(_):
    done = await helm("test", RELEASE, "-n", HOME, "--logs", "--timeout", "140s")
    if "hello from helm test" not in done.stdout:
        raise Failure(done.stdout)


async def uninstalling_leaves_what_keep_says(world):
    await helm("uninstall", RELEASE, "-n", HOME, "--wait", "--timeout", "60s")
    # Asks for each kind by its name: one that is gone is an error.
    kubectl("get", "-f", str(ROOT / "crds"))
    for kind in ("clusterrole", "clusterrolebinding", "validatingadmissionpolicy"):
        left = kubectl("get", kind, "-l", f"app.kubernetes.io/instance={RELEASE}", "-o", "name")
        if left.strip():
            raise Failure(f"left: {left}")
    get("wsgw", "edge", "-n", SHOP)
    # A gateway never needs the operator to keep serving.
    await echo(world)
