"""What the chart renders for given values, and which values it refuses. Run by e2e/chart-test.sh."""

import base64
import fnmatch
import gzip
import json
import os
import re
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/tidegate"
HELM = os.environ["HELM"]
KNOWN = ["--api-versions", "tidegate.dev/v1alpha1/Gateway"]


def helm(values, *arguments):
    """Runs helm template with a document of values."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        command = [HELM, "template", "edge", str(CHART), "--namespace", "tg", "--values", file.name, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)


def render(values=None, *arguments):
    done = helm(values or {}, *arguments)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    objects = yaml.load_all(done.stdout, Loader=yaml.CSafeLoader)
    return [each for each in objects if each]


def expand(thing):
    return thing["items"] if thing["kind"] == "List" else [thing]


def refused(values, *arguments):
    done = helm(values, *arguments)
    if done.returncode == 0:
        raise AssertionError(f"not refused: {values}")
    return done.stderr


def find(objects, kind, name=None):
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    if len(found) != 1:
        there = [(o["kind"], o["metadata"]["name"]) for o in objects]
        raise AssertionError(f"{len(found)} of {kind} {name} in {there}")
    return found[0]


def kinds(objects):
    return {o["kind"] for o in objects}


def is_test(thing):
    return (thing["metadata"].get("annotations") or {}).get("helm.sh/hook") == "test"


def operator(objects):
    return find(objects, "Deployment")["spec"]["template"]["spec"]


EVERYTHING = {
    "global": {"imageRegistry": "images.example", "imagePullSecrets": [{"name": "pull"}]},
    "commonLabels": {"team": "edge"},
    "commonAnnotations": {"note": "a"},
    "crds": {"keep": False},
    "replicaCount": 3,
    "image": {"digest": "sha256:" + "a" * 64, "pullPolicy": "Always"},
    "gatewayImage": {"repository": "gw", "tag": "7"},
    "watchNamespaces": ["shop", "tg"],
    "rbac": {"scope": "namespace"},
    "serviceAccount": {"name": "boss", "annotations": {"cloud": "role"}},
    "log": {"level": "debug", "format": "text"},
    "resources": {"limits": {"memory": "1Gi"}},
    "startupProbe": {"httpGet": {"path": "/livez", "port": "metrics"}},
    "deploymentAnnotations": {"reload": "yes"},
    "podAnnotations": {"seen": "yes"},
    "podLabels": {"pod": "yes"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "x", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}],
    "priorityClassName": "system-cluster-critical",
    "terminationGracePeriodSeconds": 20,
    "updateStrategy": {"type": "RollingUpdate"},
    "podDisruptionBudget": {"minAvailable": "50%", "maxUnavailable": ""},
    "extraArgs": ["--lease-namespace=tg"],
    "extraEnv": [{"name": "A", "value": "b"}],
    "extraEnvFrom": [{"configMapRef": {"name": "env"}}],
    "extraVolumes": [{"name": "v", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "v", "mountPath": "/v"}],
    "extraContainers": [{"name": "side", "image": "side:1"}],
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-extra"}},
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {{ .Release.Name }}-text\n",
    ],
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "egress": {"enabled": True},
        "gateways": {"enabled": True},
    },
    "defaultGateway": {"enabled": True, "name": "front"},
    "metrics": {
        "serviceMonitor": {"enabled": True, "namespace": "mon", "labels": {"release": "p"}, "interval": "15s"},
        "podMonitor": {"enabled": True, "labels": {"release": "p"}, "scrapeTimeout": "5s"},
        "prometheusRule": {"enabled": True, "labels": {"release": "p"}, "alertLabels": {"team": "edge"}},
        "dashboards": {"enabled": True, "annotations": {"folder": "Tidegate"}},
    },
}


class Defaults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = render()

    def test_admin_ports_are_for_pods_of_the_cluster(self):
        for name, port in [("edge-tidegate", 8080), ("edge-tidegate-gateways", 9090)]:
            policy = find(self.objects, "NetworkPolicy", name)["spec"]
            self.assertEqual(policy["policyTypes"], ["Ingress"], name)
            rule = policy["ingress"][-1]
            self.assertEqual([each["port"] for each in rule["ports"]], [port])
            self.assertEqual(rule["from"], [{"namespaceSelector": {}}], name)

    def test_two_replicas_elect_a_leader_and_may_not_go_together(self):
        self.assertEqual(find(self.objects, "Deployment")["spec"]["replicas"], 2)
        self.assertIn("--leader-elect=true", operator(self.objects)["containers"][0]["args"])
        self.assertEqual(find(self.objects, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1)

    def test_every_pod_passes_the_restricted_standard(self):
        pods = [operator(self.objects)] + [o["spec"] for o in self.objects if o["kind"] == "Pod"]
        self.assertEqual(len(pods), 2)
        for pod in pods:
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in pod["containers"] + pod.get("initContainers", []):
                security = container["securityContext"]
                self.assertIs(security["allowPrivilegeEscalation"], False)
                self.assertIs(security["readOnlyRootFilesystem"], True)
                self.assertEqual(security["capabilities"], {"drop": ["ALL"]})

    def test_no_kind_of_another_project_is_needed(self):
        self.assertFalse(kinds(self.objects) & {"ServiceMonitor", "PodMonitor", "PrometheusRule"})

    def test_the_kinds_are_those_of_crds_and_stay_on_uninstall(self):
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            wanted = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
            crd = find(self.objects, "CustomResourceDefinition", wanted["metadata"]["name"])
            self.assertEqual(crd["spec"], wanted["spec"], path.name)
            self.assertEqual(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep")

    def test_selectors_and_labels_agree(self):
        deployment = find(self.objects, "Deployment")
        labels = deployment["spec"]["template"]["metadata"]["labels"].items()
        budget = find(self.objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
        service = find(self.objects, "Service", "edge-tidegate-metrics")["spec"]["selector"]
        test = find(self.objects, "Pod")["metadata"]["labels"].items()
        for selector in (deployment["spec"]["selector"]["matchLabels"], budget, service):
            self.assertLessEqual(selector.items(), labels)
            self.assertFalse(selector.items() <= test, "the test's pod is not the operator's")

    def test_roles_have_no_wildcard_and_no_way_to_more_rights(self):
        for thing in self.objects:
            if thing["kind"] not in ("Role", "ClusterRole") or "-view" in thing["metadata"]["name"]:
                continue
            for rule in thing["rules"]:
                said = rule["verbs"] + rule["resources"] + rule["apiGroups"]
                self.assertFalse({"*", "escalate", "bind", "impersonate"} & set(said), rule)

    def test_all_flags_are_known_to_the_operator(self):
        source = (ROOT / "operator/src/settings.rs").read_text()
        fields = set(re.findall(r"^    pub (\w+):", source, re.M))
        for argument in operator(self.objects)["containers"][0]["args"]:
            flag = argument.split("=")[0].removeprefix("--").replace("-", "_")
            self.assertIn(flag, fields)

    def test_the_images_have_the_version_of_the_workspace(self):
        version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        container = operator(self.objects)["containers"][0]
        self.assertEqual(container["image"], f"tidegate-operator:{version}")
        self.assertIn(f"--gateway-image=tidegate-gateway:{version}", container["args"])

    def test_the_release_fits_into_its_secret(self):
        """Helm keeps the chart's files and the manifest as JSON, gzip and Base64, in a Secret of at most 1 MiB."""
        files = [path for path in CHART.rglob("*") if path.is_file()]
        chart = [base64.b64encode(path.read_bytes()).decode() for path in files]
        release = json.dumps({"chart": chart, "manifest": helm(EVERYTHING, *KNOWN).stdout})
        secret = base64.b64encode(gzip.compress(release.encode()))
        self.assertLess(len(secret), 700_000)


class Everything(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = render(EVERYTHING, *KNOWN)

    def test_every_value_arrives_in_the_pod(self):
        pod, container = operator(self.objects), operator(self.objects)["containers"][0]
        wanted = {
            "imagePullSecrets": [{"name": "pull"}],
            "priorityClassName": "system-cluster-critical",
            "serviceAccountName": "boss",
            "terminationGracePeriodSeconds": 20,
            "nodeSelector": {"disk": "ssd"},
            "tolerations": EVERYTHING["tolerations"],
            "affinity": {"nodeAffinity": {}},
            "topologySpreadConstraints": EVERYTHING["topologySpreadConstraints"],
            "volumes": EVERYTHING["extraVolumes"],
        }
        for name, value in wanted.items():
            self.assertEqual(pod[name], value, name)
        self.assertEqual(container["image"], "images.example/tidegate-operator@sha256:" + "a" * 64)
        self.assertEqual(container["imagePullPolicy"], "Always")
        self.assertEqual(container["volumeMounts"], EVERYTHING["extraVolumeMounts"])
        self.assertIn({"name": "A", "value": "b"}, container["env"])
        self.assertEqual(container["envFrom"], EVERYTHING["extraEnvFrom"])
        self.assertEqual(container["resources"]["limits"], {"memory": "1Gi"})
        self.assertIn("startupProbe", container)
        self.assertEqual(pod["containers"][1]["name"], "side")
        args = container["args"]
        for argument in ("--gateway-image=images.example/gw:7", "--watch-namespaces=shop,tg", "--lease-namespace=tg"):
            self.assertIn(argument, args)
        self.assertNotIn("--log-json", args)

    def test_common_labels_and_annotations_are_on_every_object(self):
        for thing in self.objects:
            metadata = thing["metadata"]
            if metadata["name"] in ("edge-extra", "edge-text"):
                continue
            self.assertEqual(metadata["labels"].get("team"), "edge", metadata)
            self.assertEqual(metadata["annotations"].get("note"), "a", metadata)

    def test_namespace_scope_gives_roles_in_the_watched_namespaces_only(self):
        where = sorted(o["metadata"]["namespace"] for o in self.objects if o["kind"] == "Role" and "leader" not in o["metadata"]["name"])
        self.assertEqual(where, ["shop", "tg"])
        names = [o["metadata"]["name"] for o in self.objects if o["kind"] == "ClusterRole"]
        self.assertEqual(sorted(names), [f"tg-edge-tidegate-{end}" for end in ("approve", "edit", "view")])
        self.assertNotIn("ClusterRoleBinding", kinds(self.objects))
        for name in ("tg-edge-tidegate-approval", "tg-edge-tidegate-requests"):
            binding = find(self.objects, "ValidatingAdmissionPolicyBinding", name)
            selector = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0]
            self.assertEqual(selector["values"], ["shop", "tg"])

    def test_monitors_select_what_is_there(self):
        service = find(self.objects, "Service", "edge-tidegate-metrics")
        monitor = find(self.objects, "ServiceMonitor")
        self.assertEqual(monitor["metadata"]["namespace"], "mon")
        self.assertEqual(monitor["spec"]["namespaceSelector"], {"matchNames": ["tg"]})
        self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(), service["metadata"]["labels"].items())
        self.assertEqual(monitor["spec"]["endpoints"][0]["interval"], "15s")
        pods = find(self.objects, "PodMonitor")
        self.assertEqual(pods["spec"]["namespaceSelector"], {"matchNames": ["shop", "tg"]})
        self.assertEqual(pods["spec"]["podMetricsEndpoints"][0]["relabelings"][0]["targetLabel"], "gateway")
        for thing in (monitor, pods, find(self.objects, "PrometheusRule")):
            self.assertEqual(thing["metadata"]["labels"]["release"], "p")

    def test_dashboards_have_the_sidecar_label_and_are_json(self):
        boards = [o for o in self.objects if o["kind"] == "ConfigMap" and "grafana_dashboard" in o["metadata"].get("labels", {})]
        self.assertEqual(len(boards), 2)
        for board in boards:
            self.assertEqual(board["metadata"]["annotations"]["folder"], "Tidegate")
            for text in board["data"].values():
                self.assertTrue(json.loads(text)["panels"])

    def test_the_default_gateway_gets_the_pull_secrets(self):
        gateway = find(self.objects, "Gateway", "front")
        self.assertEqual(gateway["spec"]["deployment"]["imagePullSecrets"], [{"name": "pull"}])

    def test_extra_objects_are_templates(self):
        find(self.objects, "ConfigMap", "edge-extra")
        find(self.objects, "Secret", "edge-text")

    def test_the_network_policy_lets_only_scrapers_in(self):
        policy = find(self.objects, "NetworkPolicy", "edge-tidegate")["spec"]
        scrapes, added = policy["ingress"]
        self.assertEqual(scrapes["from"], EVERYTHING["networkPolicy"]["metricsFrom"])
        # Containers that were added may have ports of their own.
        self.assertEqual([(port["port"], port["endPort"]) for port in added["ports"]], [(1, 8079), (8081, 65535)])
        self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])

    def test_alerts_can_be_left_out(self):
        values = {"metrics": {"prometheusRule": {"enabled": True, "disabled": ["TidegateConfigLag"]}}}
        rules = find(render(values), "PrometheusRule")["spec"]["groups"]
        names = {rule["alert"] for group in rules for rule in group["rules"]}
        everything = {r["alert"] for g in find(self.objects, "PrometheusRule")["spec"]["groups"] for r in g["rules"]}
        self.assertEqual(everything - names, {"TidegateConfigLag"})


class Switches(unittest.TestCase):
    def test_each_switch_removes_just_its_kinds(self):
        whole = render()
        for values, gone in [
            ({"crds": {"enabled": False}}, {"CustomResourceDefinition"}),
            ({"podDisruptionBudget": {"enabled": False}}, {"PodDisruptionBudget"}),
            ({"networkPolicy": {"enabled": False, "gateways": {"enabled": False}}}, {"NetworkPolicy"}),
            ({"approvalPolicy": {"enabled": False}}, {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}),
            ({"serviceAccount": {"create": False, "name": "mine"}}, {"ServiceAccount"}),
            (
                {"rbac": {"create": False, "aggregate": False}},
                {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"},
            ),
        ]:
            with self.subTest(values=values):
                self.assertEqual(kinds(whole) - kinds(render(values)), gone)

    def test_kinds_go_with_the_release_only_when_asked(self):
        for crd in render({"crds": {"keep": False}}):
            if crd["kind"] == "CustomResourceDefinition":
                self.assertNotIn("helm.sh/resource-policy", crd["metadata"].get("annotations") or {})

    def test_one_replica_has_no_budget(self):
        objects = render({"replicaCount": 1, "leaderElection": {"enabled": False}})
        self.assertNotIn("PodDisruptionBudget", kinds(objects))
        self.assertFalse([o for o in objects if "leader" in o["metadata"]["name"]])

    def test_namespace_scope_without_namespaces_is_the_releases(self):
        objects = render({"rbac": {"scope": "namespace"}})
        self.assertIn("--watch-namespaces=tg", operator(objects)["containers"][0]["args"])

    def test_helm_test_goes_where_the_operator_watches(self):
        for watched, where in [([], "tg"), (["shop", "tg"], "tg"), (["shop"], "shop")]:
            hooks = [o for o in render({"watchNamespaces": watched}) if is_test(o)]
            # `helm test --logs` looks for a pod of each hook's name.
            self.assertEqual({o["metadata"]["name"] for o in hooks}, {"edge-tidegate-test"})
            objects = [item for hook in hooks for item in expand(hook)]
            self.assertEqual({o["metadata"]["namespace"] for o in objects}, {where}, watched)
            self.assertEqual(len(objects), 5)

    def test_policies_of_gateways_are_where_gateways_are(self):
        for watched, named, where in [
            ([], [], ["tg"]),
            (["shop", "tg"], [], ["shop", "tg"]),
            (["shop", "tg"], ["shop"], ["shop"]),
            ([], ["a", "b"], ["a", "b"]),
        ]:
            policy = {"gateways": {"enabled": True, "namespaces": named}, "metricsFrom": [{"podSelector": {}}]}
            objects = render({"watchNamespaces": watched, "networkPolicy": policy})
            policies = [o for o in objects if o["kind"] == "NetworkPolicy" and "gateways" in o["metadata"]["name"]]
            # One for pods whose admin port is 9090, one for those where a listener took that port.
            self.assertEqual([o["metadata"]["namespace"] for o in policies], [n for n in where for _ in range(2)])
            for each, port in zip(policies, [9090, 9091] * len(where)):
                listeners, admin = each["spec"]["ingress"]
                self.assertNotIn("from", listeners)
                ranges = [(open_["port"], open_["endPort"]) for open_ in listeners["ports"]]
                self.assertEqual(ranges, [(1, port - 1), (port + 1, 65535)])
                self.assertEqual((admin["ports"][0]["port"], admin["from"]), (port, [{"podSelector": {}}]))
                (label,) = each["spec"]["podSelector"]["matchExpressions"]
                self.assertEqual(label["operator"], "DoesNotExist" if port == 9090 else "In")
                self.assertEqual(label.get("values"), None if port == 9090 else ["9091"])

    def test_names_stay_within_what_the_kinds_allow(self):
        name = "a-very-long-name-that-someone-gave-to-the-release-of-it"
        for thing in render({"fullnameOverride": name}):
            self.assertLessEqual(len(thing["metadata"]["name"]), 63, thing["metadata"]["name"])


class Refusals(unittest.TestCase):
    def test_a_bad_value_is_named(self):
        for values, named in [
            ({"replicaCount": "two"}, "replicaCount"),
            ({"replicas": 3}, "replicas"),
            ({"image": {"digest": "latest"}}, "image/digest"),
            ({"image": {"repository": "a:b"}}, "image/repository"),
            ({"image": {"pullPolicy": "Sometimes"}}, "image/pullPolicy"),
            ({"rbac": {"scope": "galaxy"}}, "rbac/scope"),
            ({"watchNamespaces": "shop"}, "watchNamespaces"),
            ({"watchNamespaces": ["Shop"]}, "watchNamespaces/0"),
            ({"log": {"format": "xml"}}, "log/format"),
            ({"metrics": {"podMonitor": {"interval": "soon"}}}, "metrics/podMonitor/interval"),
            ({"metrics": {"service": {"port": 70000}}}, "metrics/service/port"),
            ({"podDisruptionBudget": {"minAvailable": 1}}, "podDisruptionBudget"),
            ({"podDisruptionBudget": {"maxUnavailable": ""}}, "podDisruptionBudget"),
            ({"leaderElection": {"enabled": False}}, "leaderElection.enabled"),
            ({"serviceAccount": {"create": False}}, "serviceAccount.name"),
            ({"networkPolicy": {"egress": {"apiServerPorts": []}}}, "networkPolicy/egress/apiServerPorts"),
            ({"networkPolicy": {"gateways": {"namespaces": ["Shop"]}}}, "networkPolicy/gateways/namespaces/0"),
            ({"approvalPolicy": {"failurePolicy": "Maybe"}}, "approvalPolicy/failurePolicy"),
            ({"defaultGateway": {"spec": {"listeners": []}}}, "defaultGateway/spec/listeners"),
            ({"defaultGateway": {"enabled": True}}, "defaultGateway.enabled"),
            ({"tests": {"timeoutSeconds": 0}}, "tests/timeoutSeconds"),
            ({"extraEnv": {"A": "b"}}, "extraEnv"),
        ]:
            with self.subTest(values=values):
                said = refused(values)
                self.assertIn(named, said.replace("'", ""))

    def test_the_schema_has_every_value_and_no_other(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        values = yaml.safe_load((CHART / "values.yaml").read_text())

        def compare(schema, values, path):
            if "properties" not in schema or not isinstance(values, dict) or path == "defaultGateway.spec.":
                return
            if "additionalProperties" not in schema and path == "updateStrategy.":
                return
            self.assertEqual(set(schema["properties"]), set(values), path)
            for name, value in values.items():
                compare(schema["properties"][name], value, f"{path}{name}.")

        compare(schema, values, "")


class Images(unittest.TestCase):
    def test_the_build_sees_every_member_of_the_workspace(self):
        """Cargo loads all of them, also those that no image has."""
        members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
        ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
        self.assertFalse([line for line in ignored if line[0] == "!"], "exceptions are not looked at here")
        needed = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", *members]
        for pattern in ignored:
            self.assertFalse(fnmatch.filter(needed, pattern.removeprefix("**/")), pattern)


class Metrics(unittest.TestCase):
    """Alerts and dashboards ask for metrics and labels that exist."""

    def test_every_metric_is_documented_or_the_operators(self):
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
        there = {name for name, _ in rows}
        there |= {name + end for name, type_ in rows if type_ == "histogram" for end in ("_bucket", "_count", "_sum")}
        source = (ROOT / "operator/src/metrics.rs").read_text()
        own = re.findall(r'registrar\s*\.(\w+)\(\s*"(\w+)"', source)
        self.assertGreater(len(own), 10)
        there |= {f"tidegate_operator_{name}" for kind, name in own if not kind.startswith("process_")}
        there |= {f"tidegate_operator_{name}_bucket" for kind, name in own if kind == "histogram"}
        texts = [CHART / "files/alerts.yaml", *(CHART / "files/dashboards").glob("*.json")]
        for path in texts:
            asked = set(re.findall(r"\b(?:tidegate|process)_\w+", path.read_text()))
            self.assertTrue(asked, path.name)
            self.assertEqual(asked - there, set(), path.name)

    def test_every_alert_says_what_to_do(self):
        for group in yaml.safe_load((CHART / "files/alerts.yaml").read_text())["groups"]:
            for rule in group["rules"]:
                self.assertEqual(set(rule["annotations"]), {"summary", "description"}, rule["alert"])
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))


if __name__ == "__main__":
    unittest.main()
