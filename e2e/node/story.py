"""The story of an installation, told on the node that run.sh started: install, serve, restart, upgrade, uninstall.

Each step prints one line. One that the others build on ends the story when it fails.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake

ROOT = Path(__file__).resolve().parents[2]
CHART = str(ROOT / "charts/tidegate")
HELM, KUBECTL, HOST = os.environ["HELM"], os.environ["KUBECTL"], os.environ["HOST_IP"]
RELEASE, HOME, SHOP = "tg", "tidegate", "shop"
VALUES = ["--set", "global.imageRegistry=tidegate.test", "--set", "tests.timeoutSeconds=60"]
TUNNELS = 40


class Failure(Exception):
    """What was expected and did not come."""


def run(*command, text=None, timeout=120, ok=True):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout)
    if ok and done.returncode != 0:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def kubectl(*arguments, **more):
    return run(KUBECTL, *arguments, **more).stdout


def get(*arguments):
    return json.loads(kubectl("get", *arguments, "-o", "json"))


def apply(*objects):
    kubectl("apply", "-f", "-", text="\n---\n".join(json.dumps(each) for each in objects))


async def until(seconds, what, ask):
    """Asks until the answer is true; it may fail meanwhile."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            last = await asyncio.to_thread(ask)
            if last:
                return last
        except Failure as failure:
            last = failure
        await asyncio.sleep(0.3)
    raise Failure(f"{what}: not within {seconds} s; last: {last}")


def condition(kind, name, type_, namespace=SHOP):
    """The status of a condition that speaks of the object as it is now."""
    thing = get(kind, name, "-n", namespace)
    for each in thing.get("status", {}).get("conditions", []):
        if each["type"] == type_ and each["observedGeneration"] == thing["metadata"]["generation"]:
            return each["status"] == "True"
    return False


class World:
    """What later steps take from earlier ones."""

    url = ""
    key = ""


def dial(world, **more):
    # Beyond the cable there is no proxy.
    headers = {"Ocp-Apim-Subscription-Key": world.key} if world.key else {}
    return connect(world.url, additional_headers=headers, proxy=None, open_timeout=20, close_timeout=2, **more)


async def echo(world):
    async with dial(world) as socket:
        await socket.send("hello")
        answer = await asyncio.wait_for(socket.recv(), 10)
        if answer != "hello":
            raise Failure(f"the echo was {answer!r}")


async def namespaces_enforce_the_restricted_standard(_):
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    for name in (HOME, SHOP):
        apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})


async def the_chart_is_installed(_):
    command = [HELM, "install", RELEASE, CHART, "-n", HOME, *VALUES, "--wait", "--timeout", "120s"]
    await asyncio.to_thread(run, *command, timeout=150)
    pods = get("pods", "-n", HOME)["items"]
    return f"{len(pods)} pods"


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


async def the_example_is_served(world):
    """examples/product, with an echo server on this machine as its backends."""
    for name in ("prices", "news"):
        apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"ports": [{"port": 9000}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "ports": [{"name": "", "port": 9000, "protocol": "TCP"}],
                "endpoints": [{"addresses": [HOST], "conditions": {"ready": True}}],
            },
        )
    kubectl("apply", "-n", SHOP, "-f", str(ROOT / "examples/product/product.yaml"))
    start = time.monotonic()
    await until(90, "Gateway edge is Programmed", lambda: condition("wsgw", "edge", "Programmed"))
    await until(30, "WebSocketApi prices is Programmed", lambda: condition("wsapi", "prices", "Programmed"))
    took = time.monotonic() - start
    secret = get("secret", "trader-keys", "-n", SHOP)
    world.key = base64.b64decode(secret["data"]["primaryKey"]).decode()
    address = get("service", "edge", "-n", SHOP)["spec"]["clusterIP"]
    world.url = f"ws://{address}:8080/prices"
    await echo(world)
    return f"programmed after {took:.1f} s"


async def without_a_key_there_is_401(world):
    try:
        async with connect(world.url, proxy=None):
            raise Failure("accepted")
    except InvalidHandshake as error:
        if "401" not in str(error):
            raise Failure(f"{error}") from error


async def a_gateway_may_do_what_its_role_says_and_no_more(_):
    me = ["--as", f"system:serviceaccount:{SHOP}:edge", "-n", SHOP]
    for verb, resource, wanted in [
        ("watch", "configmaps", "yes"),
        ("update", "leases.coordination.k8s.io", "yes"),
        ("list", "secrets", "no"),
        ("get", "secrets/trader-keys", "no"),
        ("update", "configmaps", "no"),
        ("list", "pods", "no"),
        ("get", "websocketapis.tidegate.dev", "no"),
    ]:
        said = run(KUBECTL, "auth", "can-i", verb, resource, *me, ok=False).stdout.strip()
        if said != wanted:
            raise Failure(f"{verb} {resource}: {said}, not {wanted}")


async def an_api_without_limits_is_added(world):
    """The example's product limits handshakes; the next steps make many."""
    apply(
        {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "WebSocketApi",
            "metadata": {"name": "steady", "namespace": SHOP},
            "spec": {
                "gateways": [{"name": "edge"}],
                "path": "/steady",
                "backend": {"url": "ws://prices.default.svc:9000/"},
                "subscriptionRequired": False,
            },
        }
    )
    start = time.monotonic()
    await until(30, "WebSocketApi steady is Programmed", lambda: condition("wsapi", "steady", "Programmed"))
    took = time.monotonic() - start
    # A key of a product that does not have the API would be refused.
    world.url, world.key = world.url.replace("/prices", "/steady"), ""
    await echo(world)
    return f"programmed after {took:.1f} s"


async def a_rolling_restart_loses_no_handshake(world):
    """Every live tunnel gets Close 1001 and reconnects; clients that come meanwhile are all served."""
    tunnels = [await dial(world) for _ in range(TUNNELS)]
    over = asyncio.Event()
    failed, count = [], 0

    async def newcomers():
        nonlocal count
        while not over.is_set():
            try:
                await echo(world)
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
                failed.append(f"{type(error).__name__}: {error}")
            count += 1
            await asyncio.sleep(0.05)

    async def live(socket):
        try:
            await asyncio.wait_for(socket.recv(), 150)
        except ConnectionClosed:
            pass
        try:
            await echo(world)
        except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
            failed.append(f"again: {error}")
        return socket.close_code

    coming = asyncio.create_task(newcomers())
    lives = [asyncio.create_task(live(socket)) for socket in tunnels]
    kubectl("rollout", "restart", "deployment/edge", "-n", SHOP)
    try:
        rollout = ["rollout", "status", "deployment/edge", "-n", SHOP, "--timeout", "150s"]
        await asyncio.to_thread(kubectl, *rollout, timeout=160)
        codes = await asyncio.gather(*lives)
    finally:
        over.set()
        await coming
    if set(codes) != {1001}:
        raise Failure(f"close codes {sorted(set(codes))}")
    if failed:
        raise Failure(f"{len(failed)} of {count} handshakes failed: {failed[:3]}")
    return f"{len(codes)} tunnels closed with 1001; {count} handshakes meanwhile"


def leader():
    return get("lease", f"{RELEASE}-tidegate", "-n", HOME)["spec"].get("holderIdentity")


async def another_operator_takes_over(_):
    before = leader()
    kubectl("delete", "pod", before.split("_")[0], "-n", HOME, "--wait=false")
    start = time.monotonic()
    after = await until(30, "another leader", lambda: (now := leader()) and now != before and now)
    took = time.monotonic() - start
    patch = json.dumps({"spec": {"description": "changed"}})
    kubectl("patch", "wsapi", "steady", "-n", SHOP, "--type", "merge", "-p", patch)
    await until(30, "the change is programmed", lambda: condition("wsapi", "steady", "Programmed"))
    return f"{after} after {took:.1f} s"


async def an_upgrade_touches_no_tunnel(world):
    command = [HELM, "upgrade", RELEASE, CHART, "-n", HOME, *VALUES]
    more = ["--set", "podAnnotations.upgraded=yes", "--wait", "--timeout", "120s"]
    async with dial(world) as socket:
        await asyncio.to_thread(run, *command, *more, timeout=150)
        await socket.send("still here")
        if await asyncio.wait_for(socket.recv(), 10) != "still here":
            raise Failure("the tunnel does not echo")


async def the_operator_lacked_no_right(_):
    """Nothing that it asked for was forbidden."""
    log = kubectl("logs", "-n", HOME, "-l", "app.kubernetes.io/component=operator", "--tail=-1")
    bad = [line for line in log.splitlines() if "orbidden" in line]
    if bad:
        raise Failure(bad[0])


async def helm_test_passes(_):
    command = [HELM, "test", RELEASE, "-n", HOME, "--logs", "--timeout", "90s"]
    done = await asyncio.to_thread(run, *command, timeout=120)
    if "hello from helm test" not in done.stdout:
        raise Failure(done.stdout)


async def uninstalling_leaves_what_keep_says(world):
    run(HELM, "uninstall", RELEASE, "-n", HOME, "--wait", "--timeout", "60s")
    # Asks for each kind by its name: one that is gone is an error.
    kubectl("get", "-f", str(ROOT / "crds"))
    for kind in ("clusterrole", "clusterrolebinding", "validatingadmissionpolicy"):
        left = kubectl("get", kind, "-l", f"app.kubernetes.io/instance={RELEASE}", "-o", "name")
        if left.strip():
            raise Failure(f"left: {left}")
    get("wsgw", "edge", "-n", SHOP)
    # A gateway never needs the operator to keep serving.
    await echo(world)


STORY = [
    namespaces_enforce_the_restricted_standard,
    the_chart_is_installed,
    only_approvers_approve,
    the_example_is_served,
    without_a_key_there_is_401,
    a_gateway_may_do_what_its_role_says_and_no_more,
    an_api_without_limits_is_added,
    a_rolling_restart_loses_no_handshake,
    the_operator_lacked_no_right,
    another_operator_takes_over,
    an_upgrade_touches_no_tunnel,
    helm_test_passes,
    uninstalling_leaves_what_keep_says,
]


FOUNDATIONS = {the_chart_is_installed, the_example_is_served, an_api_without_limits_is_added}


async def reflect(socket):
    async for message in socket:
        await socket.send(message)


def troubles():
    """What one wants to see after a failure."""
    for arguments in (
        ["get", "pods", "-A", "-o", "wide"],
        ["get", "events", "-A", "--sort-by=.lastTimestamp"],
        ["get", "wsgw,wsapi,wsprod,wssub", "-A"],
        ["logs", "-n", HOME, "-l", "app.kubernetes.io/component=operator", "--tail=15"],
        ["logs", "-n", SHOP, "-l", "app.kubernetes.io/name=tidegate-gateway", "--tail=15"],
    ):
        said = run(KUBECTL, *arguments, ok=False)
        print(f"--- kubectl {' '.join(arguments)}\n{said.stdout[-6000:]}{said.stderr}", file=sys.stderr)


async def tell(step, world):
    """Runs one step; true when it went well."""
    name, start = step.__name__.replace("_", " "), time.monotonic()
    try:
        evidence = await step(world)
    except Exception as failure:  # noqa: BLE001: whatever it was, the next steps still tell something
        print(f"FAIL  {name}: {type(failure).__name__}: {failure}", flush=True)
        return False
    print(f"ok    {name:56} {time.monotonic() - start:5.1f} s  {evidence or ''}", flush=True)
    return True


async def main():
    world, failures = World(), 0
    async with serve(reflect, HOST, 9000):
        for step in STORY:
            if await tell(step, world):
                continue
            failures += 1
            if step in FOUNDATIONS:
                break
    if failures:
        await asyncio.to_thread(troubles)
    return min(failures, 1)


sys.exit(asyncio.run(main()))
