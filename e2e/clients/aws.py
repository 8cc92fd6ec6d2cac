"""AWS STS and a WebSocket API that accepts handshakes signed with its keys, checked by botocore.

    aws.py WEB_IDENTITY_TOKEN ROLE_ARN

Prints `listening on PORT`, then a line of JSON for each request, and serves until its standard input ends.
"""

import asyncio
import datetime
import json
import sys

from aiohttp import WSMsgType, web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SERVICE, REGION = "execute-api", "eu-west-1"
KEYS = Credentials("ASIAEXAMPLE", "secret-of-the-role", "session-of-the-role")
TOLERANCE = datetime.timedelta(minutes=5)

ISSUED = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{key}</AccessKeyId>
<SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>
<Expiration>{ends}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


def say(**fields) -> None:
    print(json.dumps(fields), flush=True)


async def assume_role(request: web.Request) -> web.Response:
    form = await request.post()
    expected = {"Action": "AssumeRoleWithWebIdentity", "WebIdentityToken": sys.argv[1], "RoleArn": sys.argv[2]}
    is_right = all(form.get(name) == value for name, value in expected.items())
    say(sts=is_right, session=form.get("RoleSessionName"))
    if not is_right:
        return web.Response(status=400, text="<E><Error><Code>InvalidIdentityToken</Code></Error></E>")
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    text = ISSUED.format(
        key=KEYS.access_key, secret=KEYS.secret_key, token=KEYS.token, ends=ends.strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    return web.Response(text=text, content_type="text/xml")


def is_signed(request: web.Request) -> bool:
    names = ("Host", "X-Amz-Date", "X-Amz-Security-Token")
    signed = {name: request.headers.get(name, "") for name in names}
    if signed["X-Amz-Security-Token"] != KEYS.token:
        return False
    then = datetime.datetime.strptime(signed["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    if abs(datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - then) > TOLERANCE:
        return False
    again = AWSRequest(method="GET", url=f"http://{signed['Host']}{request.raw_path}", headers=signed)
    again.context["timestamp"] = signed["X-Amz-Date"]
    auth = SigV4Auth(KEYS, SERVICE, REGION)
    text = auth.string_to_sign(again, auth.canonical_request(again))
    signature = auth.signature(text, again)
    scope = f"{signed['X-Amz-Date'][:8]}/{REGION}/{SERVICE}/aws4_request"
    expected = (
        f"AWS4-HMAC-SHA256 Credential={KEYS.access_key}/{scope}, "
        f"SignedHeaders=host;x-amz-date;x-amz-security-token, Signature={signature}"
    )
    return request.headers.get("Authorization") == expected


async def handshake(request: web.Request) -> web.StreamResponse:
    accepted = is_signed(request)
    say(path=request.raw_path, host=request.headers.get("Host"), signed=accepted)
    if not accepted:
        return web.json_response({"message": "Forbidden"}, status=403)
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


async def main() -> None:
    app = web.Application()
    app.router.add_post("/sts", assume_role)
    app.router.add_get("/{path:.*}", handshake)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    print(f"listening on {port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


asyncio.run(main())
