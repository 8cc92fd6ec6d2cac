"""What clients of the gateway see, from outside and from other pods, while things around it stop and go."""

import asyncio
import base64
import json
import os
import signal
import time

import node
from cluster import CHART, HOME, HOST, RELEASE, ROOT, SHOP, Failure, apply, condition, get, helm, kubectl, until
from installation import VALUES, WAIT, restricted_pod, the_new_field_is_known
from tunnels import TROUBLE, VANISH, Newcomers, dial, echo, exchange
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

TUNNELS = 40


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


async def faults_of_backends_are_told(world):
    """One that is lost, and one that is not there: monitoring looks for both later."""
    async with dial(world) as socket:
        await socket.send(VANISH)
        try:
            await asyncio.wait_for(socket.recv(), 10)
        except ConnectionClosed:
            pass
    if socket.close_code != 1014:
        raise Failure(f"close code {socket.close_code}")
    steady = get("wsapi", "steady", "-n", SHOP)
    broken = {**steady["spec"], "path": "/broken", "backend": {"url": f"ws://{HOST}:1/"}}
    apply(
        {
            **{key: steady[key] for key in ("apiVersion", "kind")},
            "metadata": {"name": "broken", "namespace": SHOP},
            "spec": broken,
        }
    )
    await until(30, "WebSocketApi broken is Programmed", lambda: condition("wsapi", "broken", "Programmed"))
    try:
        async with connect(world.url.replace("/steady", "/broken"), proxy=None):
            raise Failure("accepted")
    except InvalidHandshake as error:
        if "502" not in str(error):
            raise Failure(f"{error}") from error


async def a_client_in_another_pod_is_served(_):
    name, text = "client", "hello from another pod"
    apply(restricted_pod(name, ["connect", f"ws://edge.{SHOP}.svc:8080/steady", f"--text={text}"]))
    done = ("Succeeded", "Failed")
    phase = await until(
        60, "the client ends", lambda: (now := get("pod", name, "-n", SHOP)["status"]["phase"]) in done and now
    )
    log = kubectl("logs", name, "-n", SHOP)
    if phase != "Succeeded" or text not in log:
        raise Failure(f"{phase}: {log}")
    kubectl("delete", "pod", name, "-n", SHOP, "--wait=false")


async def replaced(world, rollout):
    """Runs `rollout`, which replaces the gateway's pods under live tunnels. Each gets Close 1001 and dials again;
    clients that come meanwhile are all served."""
    before = {pod["metadata"]["uid"] for pod in pods()}
    tunnels = [await dial(world) for _ in range(TUNNELS)]
    again = []

    async def live(socket):
        try:
            await asyncio.wait_for(socket.recv(), 150)
        except ConnectionClosed:
            pass
        try:
            await echo(world)
        except TROUBLE as error:
            again.append(f"{type(error).__name__}: {error}")
        return socket.close_code

    async with Newcomers(world) as newcomers:
        lives = [asyncio.create_task(live(socket)) for socket in tunnels]
        await rollout()
        codes = await asyncio.gather(*lives)
        await until(60, "the pods before have gone", lambda: not before & {pod["metadata"]["uid"] for pod in pods()})
    if set(codes) != {1001}:
        raise Failure(f"close codes {sorted(map(str, set(codes)))}")
    if again:
        raise Failure(f"{len(again)} did not come back: {again[:3]}")
    newcomers.check()
    return f"{len(codes)} tunnels closed with 1001; {newcomers.count} handshakes meanwhile"


def pods():
    return get("pods", "-n", SHOP, "-l", "app.kubernetes.io/name=tidegate-gateway")["items"]


async def rolled_out():
    status = ["rollout", "status", "deployment/edge", "-n", SHOP, "--timeout", "150s"]
    await asyncio.to_thread(kubectl, *status, timeout=160)


async def an_upgrade_of_the_chart_loses_no_handshake(world):
    """From the version before: the kinds are upgraded, and the gateways get the new version's image."""

    async def upgrade():
        await helm("upgrade", RELEASE, CHART, "-n", HOME, *VALUES, *WAIT)
        version = get("deployment", f"{RELEASE}-tidegate", "-n", HOME)["metadata"]["labels"][
            "app.kubernetes.io/version"
        ]
        image = f"tidegate.test/tidegate-gateway:{version}"

        def taken():
            pod = get("deployment", "edge", "-n", SHOP)["spec"]["template"]["spec"]
            return pod["containers"][0]["image"] == image

        await until(60, f"the gateways' image is {image}", taken)
        await rolled_out()

    evidence = await replaced(world, upgrade)
    if not the_new_field_is_known():
        raise Failure("the kinds are those of the version before")
    return evidence


async def a_rolling_restart_loses_no_handshake(world):
    async def restart():
        kubectl("rollout", "restart", "deployment/edge", "-n", SHOP)
        await rolled_out()

    return await replaced(world, restart)


async def the_autoscaler_says_how_many_pods(world):
    """There are no metrics here, but its least number holds without. Nobody notices more pods."""

    def deploy(**spec):
        kubectl(
            "patch", "wsgw", "edge", "-n", SHOP, "--type", "merge", "-p", json.dumps({"spec": {"deployment": spec}})
        )

    async def ready(number):
        def counted():
            status = get("deployment", "edge", "-n", SHOP)["status"]
            return (status.get("replicas"), status.get("readyReplicas")) == (number, number)

        await until(60, f"{number} pods", counted)

    async with dial(world) as socket, Newcomers(world) as newcomers:
        start = time.monotonic()
        deploy(autoscaling={"minReplicas": 3, "maxReplicas": 4, "targetActiveTunnels": 1000})
        await ready(3)
        took = time.monotonic() - start
        # The operator has applied it again, and has not taken the third pod away.
        await until(30, "the Gateway is Programmed", lambda: condition("wsgw", "edge", "Programmed"))
        await exchange(socket)
    deploy(autoscaling=None)
    await ready(2)
    newcomers.check()
    return f"three pods after {took:.1f} s; {newcomers.count} handshakes meanwhile"


async def gateways_serve_while_containerd_is_paused(world):
    """Nothing in a tunnel or a handshake asks the node's container runtime."""
    containerd = node.daemon("containerd")
    restarts = {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods()}
    async with dial(world) as socket:
        os.kill(containerd, signal.SIGSTOP)
        try:
            async with Newcomers(world) as newcomers:
                for _ in range(10):
                    await exchange(socket)
                    await asyncio.sleep(1)
        finally:
            os.kill(containerd, signal.SIGCONT)
        await exchange(socket)
    newcomers.check()
    # The kubelet can start containers again, and did not have to.
    await a_client_in_another_pod_is_served(world)
    now = {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods()}
    if now != restarts:
        raise Failure(f"restarts: {restarts} before, {now} after")
    return f"{newcomers.count} handshakes meanwhile"
