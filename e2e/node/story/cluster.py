"""Asking the cluster: kubectl, helm, and waiting for what they say."""

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CHART = str(ROOT / "charts/tidegate")
HELM, KUBECTL, HOST = os.environ["HELM"], os.environ["KUBECTL"], os.environ["HOST_IP"]
RELEASE, HOME, SHOP = "tg", "tidegate", "shop"


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


async def helm(*arguments, ok=True):
    """Helm's own wait, where it is asked to, is shorter than this one."""
    return await asyncio.to_thread(run, HELM, *arguments, timeout=160, ok=ok)


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
