"""Workload identity: the kubelet brings a token, the gateway shows it to a token endpoint on this machine."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from cluster import HOST, KUBECTL, SHOP, Failure, apply, condition, get, kubectl, run, until
from traffic import pods, rolled_out
from tunnels import exchange
from websockets.asyncio.client import connect

AUDIENCE = "api://AzureADTokenExchange"


class TokenEndpoint(BaseHTTPRequestHandler):
    """Issues the same token to everybody, and keeps what it was asked."""

    asked = []

    def do_POST(self):  # noqa: N802: the library's name
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.asked.append({name: values[0] for name, values in form.items()})
        body = json.dumps({"access_token": "of-the-gateway", "expires_in": 3600}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def audiences(names):
    patch = json.dumps({"spec": {"deployment": {"tokenAudiences": names}}})
    kubectl("patch", "wsgw", "edge", "-n", SHOP, "--type", "merge", "-p", patch)


async def taken(is_there):
    """The pods have, or do not have, the volume with the tokens."""

    def is_so():
        volumes = [[each["name"] for each in pod["spec"]["volumes"]] for pod in pods()]
        return bool(volumes) and all(("tokens" in names) == is_there for names in volumes)

    await until(60, "the pods are others", is_so)
    await rolled_out()


def api(endpoint):
    client = {
        "tokenUrl": f"http://{HOST}:{endpoint.server_port}/token",
        "clientId": "ship",
        "clientAssertion": {"serviceAccountToken": {"audience": AUDIENCE}},
    }
    return {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "WebSocketApi",
        "metadata": {"name": "identity", "namespace": SHOP},
        "spec": {
            "gateways": [{"name": "edge"}],
            "path": "/identity",
            "backend": {"url": "ws://prices.default.svc:9000/"},
            "subscriptionRequired": False,
            "onHandshake": {"inbound": [{"backendAuth": {"oauth2ClientCredentials": client}}]},
        },
    }


def refused():
    """No author of a policy gets a token that the Gateway's owner did not allow."""
    conditions = get("wsapi", "identity", "-n", SHOP).get("status", {}).get("conditions", [])
    accepted = [each for each in conditions if each["type"] == "Accepted"]
    return any("deployment.tokenAudiences" in each["message"] for each in accepted)


def review(token):
    """Whom the API server takes the token for."""
    wanted = {"token": token, "audiences": [AUDIENCE]}
    text = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": wanted})
    status = json.loads(run(KUBECTL, "create", "-f", "-", "-o", "json", text=text).stdout)["status"]
    if not status.get("authenticated"):
        raise Failure(f"the API server does not know the token: {status}")
    return status["user"]["username"]


async def a_projected_token_reaches_the_token_endpoint(world):
    endpoint = ThreadingHTTPServer((HOST, 0), TokenEndpoint)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    apply(api(endpoint))
    await until(30, "WebSocketApi identity is refused", refused)
    audiences([AUDIENCE])
    try:
        await until(30, "WebSocketApi identity is accepted", lambda: condition("wsapi", "identity", "Accepted"))
        await taken(True)
        await until(30, "WebSocketApi identity is Programmed", lambda: condition("wsapi", "identity", "Programmed"))
        for _ in range(4):
            async with connect(world.url.replace("/steady", "/identity"), proxy=None) as socket:
                await exchange(socket)
        asked = list(TokenEndpoint.asked)
        count = len(pods())
        if not 1 <= len(asked) <= count:
            raise Failure(f"{len(asked)} requests of {count} pods: {asked}")
        token = asked[0]["client_assertion"]
        if (user := review(token)) != f"system:serviceaccount:{SHOP}:edge":
            raise Failure(user)
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if claims["aud"] != [AUDIENCE]:
            raise Failure(f"{claims}")
    finally:
        kubectl("delete", "wsapi", "identity", "-n", SHOP, "--wait=false")
        audiences(None)
        endpoint.shutdown()
    await taken(False)
    return f"{len(asked)} requests for four handshakes, of {user}"
