"""The story of an installation, told on the node that run.sh started: install, serve, upgrade, restart, uninstall.

Each step prints one line. One that the others build on ends the story when it fails. Arguments choose the steps whose
names contain one of them, besides those that the others build on.
"""

import asyncio
import sys
import time

import identity
import installation
import monitoring
import readme
import rights
import traffic
from cluster import HOME, HOST, KUBECTL, SHOP, run
from tunnels import World, reflect
from websockets.asyncio.server import serve

# The namespaces and what the others build on.
FOUNDATIONS = {
    installation.namespaces_enforce_the_restricted_standard,
    monitoring.prometheus_is_run_by_its_operator,
    installation.the_chart_before_is_installed,
    traffic.the_example_is_served,
    traffic.an_api_without_limits_is_added,
    traffic.an_upgrade_of_the_chart_loses_no_handshake,
}

STORY = [
    installation.namespaces_enforce_the_restricted_standard,
    monitoring.prometheus_is_run_by_its_operator,
    installation.bad_values_are_refused_by_name,
    installation.the_chart_before_is_installed,
    installation.only_approvers_approve,
    traffic.the_example_is_served,
    traffic.without_a_key_there_is_401,
    rights.a_gateway_may_do_what_its_role_says_and_no_more,
    traffic.an_api_without_limits_is_added,
    traffic.faults_of_backends_are_told,
    traffic.a_client_in_another_pod_is_served,
    traffic.an_upgrade_of_the_chart_loses_no_handshake,
    installation.an_upgrade_of_the_operator_touches_no_tunnel,
    traffic.a_rolling_restart_loses_no_handshake,
    traffic.the_autoscaler_says_how_many_pods,
    identity.a_projected_token_reaches_the_token_endpoint,
    installation.another_operator_takes_over,
    installation.an_operator_that_is_killed_is_replaced,
    installation.the_operator_lacked_no_right,
    traffic.gateways_serve_while_containerd_is_paused,
    monitoring.promtool_finds_nothing_wrong_with_the_rules,
    monitoring.prometheus_scrapes_operator_and_gateways,
    monitoring.prometheus_loads_the_rules_and_none_of_them_fires,
    monitoring.every_rule_and_panel_asks_for_what_there_is,
    installation.helm_test_passes,
    installation.uninstalling_leaves_what_keep_says,
    readme.removing_everything_as_the_documentation_says,
    readme.the_readmes_five_commands_end_in_a_wscat_session,
]


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


async def main(chosen):
    world, failures = World(), 0
    async with serve(reflect, HOST, 9000):
        for step in STORY:
            if chosen and step not in FOUNDATIONS and not any(each in step.__name__ for each in chosen):
                continue
            if await tell(step, world):
                continue
            failures += 1
            if step in FOUNDATIONS:
                break
    if failures:
        await asyncio.to_thread(troubles)
    return min(failures, 1)


sys.exit(asyncio.run(main(sys.argv[1:])))
