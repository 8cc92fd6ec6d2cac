"""What a gateway's ServiceAccount may do: the whole table, not samples."""

import re

from cluster import KUBECTL, SHOP, Failure, get, kubectl, run


def table(account):
    """Rows of `kubectl auth can-i --list`: resource, URLs, names, verbs."""
    who = ["--as", f"system:serviceaccount:{SHOP}:{account}", "-n", SHOP]
    lines = kubectl("auth", "can-i", "--list", *who).splitlines()
    columns = [lines[0].index(name) for name in ("Resources", "Non-Resource URLs", "Resource Names", "Verbs")]
    rows = set()
    for line in lines[1:]:
        cells = [line[a:b].strip() for a, b in zip(columns, [*columns[1:], None])]
        rows.add((*cells[:3], " ".join(sorted(re.findall(r"[\w*]+", cells[3])))))
    return rows


async def a_gateway_may_do_what_its_role_says_and_no_more(_):
    everybody, gateway = table("default"), table("edge")
    # The admin token comes as a file; no right of the pod's reaches it.
    its = "tidegate.dev/gateway=edge,tidegate.dev/part!=admin"
    secrets = [s["metadata"]["name"] for s in get("secrets", "-n", SHOP, "-l", its)["items"]]
    pods = [p["metadata"]["name"] for p in get("pods", "-n", SHOP, "-l", "tidegate.dev/gateway=edge")["items"]]
    wanted = {
        ("configmaps", "[]", "[]", "get list watch"),
        *(("leases.coordination.k8s.io", "[]", f"[{name}]", "create delete get patch update") for name in pods),
        *(("secrets", "[]", f"[{name}]", "get") for name in secrets),
    }
    if gateway - everybody != wanted:
        raise Failure(f"may: {sorted(gateway - everybody)}; should: {sorted(wanted)}")
    # What the Secrets are for: its own, not those of keys.
    me = ["--as", f"system:serviceaccount:{SHOP}:edge", "-n", SHOP]
    for verb, resource in [("get", "secrets/trader-keys"), ("get", "secrets/edge-admin"), ("list", "secrets"), ("watch", "secrets")]:
        said = run(KUBECTL, "auth", "can-i", verb, resource, *me, ok=False).stdout.strip()
        if said != "no":
            raise Failure(f"{verb} {resource}: {said}")
    return f"{len(wanted)} rows of its own, {len(everybody)} of everybody's"
