"""Prometheus, run by its operator: does it take the chart's monitors and rules, and do all queries find something?"""

import asyncio
import functools
import json
import os
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from cluster import CHART, HELM, HOME, RELEASE, ROOT, SHOP, Failure, get, kubectl, run, until
from installation import VALUES
from node import WORK

BUILT = os.environ["MONITORING"]
# Series that nothing in this story makes, and panels that stay empty without them. Each needs a reason: a query that
# should have data and has none is the failure that this step looks for.
WITHOUT_DATA = {
    "tidegate_config_errors_total": "no configuration failed",
    "tidegate_operator_apply_errors_total": "no write failed",
    'tidegate_operator_status_writes_total{result="failed"}': "no write failed",
    "tidegate_operator_watch_errors_total": "no watch failed",
}
EMPTY = {*WITHOUT_DATA, "tidegate_operator_unreadable_objects"}  # shown when it is above 0
DASHBOARD_VARIABLES = {"$__rate_interval": "2m", "$gateway": ".*", "$api": ".*", "$namespace": ".*"}


async def prometheus_is_run_by_its_operator(_):
    def start():
        run(
            str(ROOT / "e2e/node/load-image.sh"),
            str(WORK),
            *(f"{BUILT}/{name}.tar" for name in ("prometheus-operator", "prometheus-config-reloader", "prometheus")),
        )
        # On the server's side: some of these kinds are too long for kubectl's annotation.
        kubectl("apply", "--server-side", "-f", f"{BUILT}/crds")
        kubectl("wait", "--for", "condition=Established", "-f", f"{BUILT}/crds", "--timeout", "30s")
        kubectl("apply", "-f", f"{BUILT}/cluster-role.yaml")
        objects = (ROOT / "e2e/node/monitoring/monitoring.yaml").read_text()
        with open(f"{BUILT}/version", encoding="utf-8") as version:
            kubectl("apply", "-f", "-", text=objects.replace("@PROMETHEUS_VERSION@", version.read().strip()))

    await asyncio.to_thread(start)


@functools.cache
def address():
    """Of Prometheus' pod, once it has one."""
    found = get("pod", "prometheus-check-0", "-n", "monitoring")["status"].get("podIP")
    if not found:
        raise Failure("Prometheus' pod has no address yet")
    return found


def ask(path, **parameters):
    url = f"http://{address()}:9090/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise Failure(f"{parameters}: {error.read().decode()}") from error
    except OSError as error:
        raise Failure(f"{path}: {error}") from error


def query(text):
    return ask("query", query=text)["result"]


async def prometheus_scrapes_operator_and_gateways(_):
    """Through the chart's ServiceMonitor and PodMonitor. Every pod that runs, and none of them fails."""

    def scraped():
        there = {
            pod["metadata"]["name"]
            for pod in get("pods", "-n", HOME, "-l", "app.kubernetes.io/component=operator")["items"]
        }
        there |= {
            pod["metadata"]["name"]
            for pod in get("pods", "-n", SHOP, "-l", "app.kubernetes.io/name=tidegate-gateway")["items"]
        }
        up = {one["metric"].get("pod") for one in query('up{namespace=~"%s|%s"} == 1' % (HOME, SHOP))}
        return there <= up and len(there)

    count = await until(120, "all pods are scraped", scraped)
    named = query("count by (gateway) (tidegate_config_revision)")
    if [one["metric"] for one in named] != [{"gateway": f"{SHOP}/edge"}]:
        raise Failure(f"the label gateway: {named}")
    return f"{count} pods"


def expressions():
    """(where, what is asked) of every rule, of every panel of the dashboards, and of their variables."""
    rules = get("prometheusrule", f"{RELEASE}-tidegate", "-n", HOME)["spec"]["groups"]
    for group in rules:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", rule["expr"]
    for name in ("gateways", "operator"):
        data = get("configmap", f"{RELEASE}-tidegate-{name}", "-n", HOME)["data"]
        board = json.loads(data[f"tidegate-{name}.json"])
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"dashboard {name}, {panel['title']}", substituted(target["expr"])
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                series = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
                yield (
                    f"dashboard {name}, variable {variable['name']}",
                    f"count by ({series[2]}) ({substituted(series[1])})",
                )


def substituted(text):
    for variable, value in DASHBOARD_VARIABLES.items():
        text = text.replace(variable, value)
    return text


def selectors(tree):
    """What a parsed expression selects: its names in WITHOUT_DATA (the metric, also with each label), the selector."""
    if isinstance(tree, list):
        for each in tree:
            yield from selectors(each)
    elif isinstance(tree, dict):
        if tree.get("type") in ("vectorSelector", "matrixSelector"):
            pairs = [f"{m['name']}{m['type']}{json.dumps(m['value'])}" for m in tree["matchers"]]
            yield {tree["name"], *(f"{tree['name']}{{{pair}}}" for pair in pairs)}, "{%s}" % ",".join(pairs)
        for each in tree.values():
            yield from selectors(each)


async def every_rule_and_panel_asks_for_what_there_is(_):
    """Prometheus can run every expression, and every series that it names exists: a metric or a value of a label
    that was renamed would have none. Panels have data, too, unless they show only faults."""
    asked = await asyncio.to_thread(lambda: list(expressions()))

    def missing():
        bad = []
        for where, text in asked:
            query(text)
            names = set()
            for own, series in selectors(ask("parse_query", query=text)):
                names |= own
                # Over the whole story: what it saw may have ended since.
                if not own & set(WITHOUT_DATA) and not query(f"last_over_time({series}[1h])"):
                    bad.append(f"{where}: no {series}")
            quiet = where.startswith("alert") or names & EMPTY
            if not quiet and not query(f"last_over_time(({text})[1h:5s])"):
                bad.append(f"{where}: {text} has no data")
        return bad

    # The last scrapes may be seconds away.
    bad = []

    def found():
        bad[:] = missing()
        return not bad

    try:
        await until(30, "data", found)
    except Failure as failure:
        raise Failure("; ".join(bad) or str(failure)) from failure
    return f"{len(asked)} expressions"


async def prometheus_loads_the_rules_and_none_of_them_fires(_):
    wanted = {
        r["alert"]
        for g in get("prometheusrule", f"{RELEASE}-tidegate", "-n", HOME)["spec"]["groups"]
        for r in g["rules"]
    }

    def loaded():
        rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        if {rule["name"] for rule in rules} != wanted or any(rule["health"] != "ok" for rule in rules):
            return None
        return rules

    rules = await until(120, "the rules are loaded and evaluated", loaded)
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    if firing:
        raise Failure(f"firing: {firing}")
    return f"{len(rules)} rules"


async def promtool_finds_nothing_wrong_with_the_rules(_):
    """Also with what Prometheus itself lets pass."""
    template = [HELM, "template", RELEASE, CHART, *VALUES, "--show-only", "templates/monitoring.yaml"]
    shown = (await asyncio.to_thread(run, *template)).stdout
    rules = next(text for text in shown.split("\n---\n") if "\nkind: PrometheusRule\n" in text)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        # Its spec is a file of rules.
        file.write(re.sub(r"^  ", "", rules.split("\nspec:\n")[1], flags=re.M))
        file.flush()
        done = run(f"{BUILT}/promtool", "check", "rules", "--lint=all", "--lint-fatal", file.name)
    return done.stdout.strip().splitlines()[-1].strip()
