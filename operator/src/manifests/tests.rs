use serde_json::{Value, json};
use tidegate_config::Protocol;

use super::*;
use crate::testing::{gateway, gateway_config};

fn manifests_of(spec: Value) -> Vec<Manifest> {
    let gateway = gateway(spec);
    let key = ObjectKey::new("shop", "edge");
    let target = Target::new(&gateway, &key, "image:1");
    let mut config = gateway_config("shop", "edge");
    config.settings.listeners = gateway
        .spec
        .listeners
        .iter()
        .map(|listener| tidegate_config::ListenerConfig {
            name: listener.name.clone(),
            port: listener.port,
            protocol: listener.protocol,
            hostnames: Vec::new(),
            tls: None,
            proxy_protocol: false,
            http2: false,
        })
        .collect();
    let pod_access = PodAccess {
        secrets: &["edge-secrets-0-abc".to_owned()],
        leases: &[],
    };
    let mut all = access_manifests(&target, pod_access);
    all.extend(workload_manifests(&target, &config));
    all
}

fn of(kind: OwnedKind, manifests: &[Manifest]) -> Option<&Value> {
    let found = manifests.iter().find(|manifest| manifest.key.kind == kind);
    found.map(|manifest| &manifest.body)
}

#[test]
fn everything_is_named_labelled_and_owned_by_the_gateway() {
    for manifest in manifests_of(json!({})) {
        let metadata = &manifest.body["metadata"];
        assert_eq!(metadata["name"], "edge", "{}", manifest.key);
        assert_eq!(metadata["namespace"], "shop");
        assert_eq!(metadata["labels"]["tidegate.dev/gateway"], "edge");
        assert_eq!(
            metadata["labels"]["app.kubernetes.io/managed-by"],
            "tidegate"
        );
        assert_eq!(metadata["ownerReferences"][0]["uid"], "uid-edge");
        assert!(metadata["annotations"]["tidegate.dev/manifest"].is_string());
    }
}

#[test]
fn pods_may_read_config_maps_and_their_own_secrets_and_write_their_own_leases() {
    let gateway = gateway(json!({}));
    let key = ObjectKey::new("shop", "edge");
    let target = Target::new(&gateway, &key, "image:1");
    let (secrets, leases) = (["edge-secrets-0-abc".to_owned()], ["edge-x1".to_owned()]);
    let pod_access = PodAccess {
        secrets: &secrets,
        leases: &leases,
    };
    let some = access_manifests(&target, pod_access);
    let rules = &of(OwnedKind::Role, &some).unwrap()["rules"];
    assert_eq!(
        rules[2],
        json!({
            "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"],
            "resourceNames": ["edge-secrets-0-abc"],
        })
    );
    assert_eq!(
        rules[1],
        json!({
            "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
            "verbs": ["create", "delete", "get", "patch", "update"], "resourceNames": ["edge-x1"],
        })
    );
    let nothing = PodAccess {
        secrets: &[],
        leases: &[],
    };
    let none = access_manifests(&target, nothing);
    let text = of(OwnedKind::Role, &none).unwrap()["rules"].to_string();
    assert!(
        !text.contains("secrets"),
        "without names the rule would allow all: {text}"
    );
}

#[test]
fn pods_get_tokens_for_the_audiences_that_the_gateway_names() {
    let pod = |spec: Value| {
        let all = manifests_of(spec);
        of(OwnedKind::Deployment, &all).unwrap()["spec"]["template"]["spec"].clone()
    };
    let with = pod(json!({"deployment": {"tokenAudiences": ["vault"]}}));
    let token = &with["volumes"][2]["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(token["audience"], "vault");
    let file = tidegate_config::policy::token_file_name("vault");
    assert_eq!(token["path"], file);
    let container = &with["containers"][0];
    let mount = &container["volumeMounts"][2];
    assert_eq!(mount["readOnly"], true);
    let argument = format!("--token-dir={}", mount["mountPath"].as_str().unwrap());
    let arguments = container["args"].as_array().unwrap();
    assert!(arguments.contains(&json!(argument)), "{arguments:?}");
    let without = pod(json!({})).to_string();
    let has_none = !without.contains("token-dir") && !without.contains("projected");
    assert!(has_none, "{without}");
}

#[test]
fn pods_read_the_token_of_the_admin_server_from_a_file() {
    let all = manifests_of(json!({}));
    let pod = &of(OwnedKind::Deployment, &all).unwrap()["spec"]["template"]["spec"];
    let volume = &pod["volumes"][1]["secret"];
    assert_eq!(volume["secretName"], "edge-admin");
    assert_eq!(volume["optional"], true, "no handshake needs it");
    assert_eq!(volume["defaultMode"], 0o440);
    let container = &pod["containers"][0];
    let mount = &container["volumeMounts"][1];
    assert_eq!(mount["readOnly"], true);
    let (path, file) = (&mount["mountPath"], &volume["items"][0]["path"]);
    let file = format!("{}/{}", path.as_str().unwrap(), file.as_str().unwrap());
    let argument = json!(format!("--admin-token-file={file}"));
    let arguments = container["args"].as_array().unwrap();
    assert!(arguments.contains(&argument), "{arguments:?}");
    let rules = &of(OwnedKind::Role, &all).unwrap()["rules"].to_string();
    assert!(!rules.contains("edge-admin"), "pods need no right: {rules}");
}

#[test]
fn the_pod_passes_the_restricted_standard() {
    let all = manifests_of(json!({}));
    let pod = &of(OwnedKind::Deployment, &all).unwrap()["spec"]["template"]["spec"];
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(container["readOnlyRootFilesystem"], true);
}

#[test]
fn a_new_listener_changes_the_service_and_no_pod() {
    let listener = |name: &str, port: u16| json!({ "name": name, "port": port, "protocol": "WS" });
    let before = manifests_of(json!({ "listeners": [listener("plain", 8000)] }));
    let after =
        manifests_of(json!({ "listeners": [listener("plain", 8000), listener("low", 80)] }));
    let template = |all: &[Manifest]| of(OwnedKind::Deployment, all).unwrap().clone();
    assert_eq!(template(&before), template(&after));
    let ports = &of(OwnedKind::Service, &after).unwrap()["spec"]["ports"];
    assert_eq!(
        ports[1],
        json!({
            "name": "low", "port": 80, "targetPort": 80, "protocol": "TCP",
            "appProtocol": "kubernetes.io/ws",
        })
    );
}

#[test]
fn the_admin_server_leaves_its_port_to_a_listener() {
    let all = manifests_of(json!({
        "listeners": [{ "name": "a", "port": 9090, "protocol": "WS" }],
        "drain": { "hardStop": "61500ms", "window": "20s" },
    }));
    let template = &of(OwnedKind::Deployment, &all).unwrap()["spec"]["template"];
    let pod = &template["spec"];
    assert_eq!(pod["containers"][0]["ports"][0]["containerPort"], 9091);
    assert_eq!(
        template["metadata"]["labels"]["tidegate.dev/admin-port"],
        "9091"
    );
    let arguments = pod["containers"][0]["args"].to_string();
    assert!(
        arguments.contains("--admin-address=0.0.0.0:9091"),
        "{arguments}"
    );
    let pause = &pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
    assert_eq!(pause, 5, "a pod leaves its Service before it refuses");
    assert_eq!(
        pod["terminationGracePeriodSeconds"], 77,
        "the pause, the drain's hard stop and a margin"
    );
}

#[test]
fn pods_get_what_the_gateway_asks_for() {
    let all = manifests_of(json!({ "deployment": {
        "replicas": 5,
        "podLabels": { "team": "market", "tidegate.dev/gateway": "not-this" },
        "podAnnotations": { "note": "x" },
        "nodeSelector": { "disk": "ssd" },
        "priorityClassName": "high",
        "imagePullSecrets": [{ "name": "pull" }],
        "extraEnv": [{ "name": "TZ", "value": "UTC" }],
        "resources": { "limits": { "memory": "64Mi" } },
        "podDisruptionBudget": { "minAvailable": "60%" },
        "readinessGates": [{ "conditionType": "lb.example.com/registered" }],
        "service": { "type": "LoadBalancer", "externalTrafficPolicy": "Local", "annotations": { "lb": "1" } },
    } }));
    let deployment = of(OwnedKind::Deployment, &all).unwrap();
    assert_eq!(deployment["spec"]["replicas"], 5);
    let template = &deployment["spec"]["template"];
    let labels = &template["metadata"]["labels"];
    assert_eq!(labels["team"], "market");
    assert_eq!(
        labels["tidegate.dev/gateway"], "edge",
        "the selector must match"
    );
    assert_eq!(template["metadata"]["annotations"]["note"], "x");
    let pod = &template["spec"];
    assert_eq!(pod["nodeSelector"]["disk"], "ssd");
    assert_eq!(pod["priorityClassName"], "high");
    assert_eq!(pod["imagePullSecrets"][0]["name"], "pull");
    assert_eq!(
        pod["readinessGates"],
        json!([{ "conditionType": "lb.example.com/registered" }])
    );
    assert_eq!(pod["containers"][0]["image"], "image:1");
    assert_eq!(
        pod["containers"][0]["resources"]["limits"]["memory"],
        "64Mi"
    );
    let env = pod["containers"][0]["env"].as_array().unwrap();
    assert!(env.contains(&json!({ "name": "TZ", "value": "UTC" })));
    let budget = &of(OwnedKind::PodDisruptionBudget, &all).unwrap()["spec"];
    assert_eq!(
        (&budget["minAvailable"], &budget["maxUnavailable"]),
        (&json!("60%"), &Value::Null)
    );
    let service = of(OwnedKind::Service, &all).unwrap();
    assert_eq!(service["spec"]["type"], "LoadBalancer");
    assert_eq!(service["spec"]["externalTrafficPolicy"], "Local");
    assert_eq!(service["metadata"]["annotations"]["lb"], "1");
}

#[test]
fn deployment_and_service_get_what_the_gateway_asks_for() {
    let all = manifests_of(json!({
        "listeners": [
            { "name": "plain", "port": 80, "protocol": "WS" },
            { "name": "other", "port": 81, "protocol": "WS" },
        ],
        "deployment": {
            "labels": { "team": "market", "app.kubernetes.io/managed-by": "not-this" },
            "annotations": { "reloader": "on" },
            "service": {
                "type": "LoadBalancer",
                "labels": { "team": "market", "tidegate.dev/gateway": "not-this" },
                "loadBalancerClass": "lb.example.com/tcp",
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "nodePorts": { "plain": 30080 },
            },
        },
    }));
    let deployment = &of(OwnedKind::Deployment, &all).unwrap()["metadata"];
    assert_eq!(deployment["labels"]["team"], "market");
    assert_eq!(
        deployment["labels"]["app.kubernetes.io/managed-by"],
        "tidegate"
    );
    assert_eq!(deployment["annotations"]["reloader"], "on");
    let service = of(OwnedKind::Service, &all).unwrap();
    assert_eq!(service["metadata"]["labels"]["team"], "market");
    assert_eq!(
        service["metadata"]["labels"]["tidegate.dev/gateway"],
        "edge"
    );
    let spec = &service["spec"];
    assert_eq!(spec["loadBalancerClass"], "lb.example.com/tcp");
    assert_eq!(spec["loadBalancerSourceRanges"], json!(["10.0.0.0/8"]));
    assert_eq!(spec["ports"][0]["nodePort"], 30080);
    assert_eq!(spec["ports"][1]["nodePort"], Value::Null);
}

#[test]
fn pods_are_replaced_as_the_gateway_asks() {
    let rolling = |surge: Value, unavailable: Value| {
        let update = json!({ "maxSurge": surge, "maxUnavailable": unavailable });
        json!({ "type": "RollingUpdate", "rollingUpdate": update })
    };
    for (case, deployment, wanted) in [
        ("nothing said", json!({}), rolling(json!("25%"), json!(0))),
        (
            "another surge",
            json!({ "strategy": { "rollingUpdate": { "maxSurge": 1 } } }),
            rolling(json!(1), json!(0)),
        ),
        (
            "old pods first",
            json!({ "strategy": { "rollingUpdate": { "maxSurge": 0, "maxUnavailable": "50%" } } }),
            rolling(json!(0), json!("50%")),
        ),
        (
            "all at once",
            json!({ "strategy": { "type": "Recreate" } }),
            json!({ "type": "Recreate" }),
        ),
    ] {
        let all = manifests_of(json!({ "deployment": deployment }));
        let spec = &of(OwnedKind::Deployment, &all).unwrap()["spec"];
        assert_eq!(spec["strategy"], wanted, "{case}");
    }
}

#[test]
fn pods_get_the_volumes_that_the_gateway_asks_for() {
    let all = manifests_of(json!({ "deployment": { "extraVolumes": [
        { "name": "ca", "mountPath": "/etc/ca", "secret": { "secretName": "ca" } },
        { "name": "files", "mountPath": "/etc/files", "configMap": { "name": "files", "optional": true } },
        { "name": "data", "mountPath": "/data", "readOnly": false, "persistentVolumeClaim": { "claimName": "data" } },
        { "name": "tmp", "mountPath": "/tmp", "readOnly": false, "emptyDir": { "sizeLimit": "64Mi" } },
        { "name": "vault", "mountPath": "/vault", "csi": {
            "driver": "secrets-store.csi.k8s.io", "volumeAttributes": { "secretProviderClass": "edge" },
        } },
    ] } }));
    let pod = &of(OwnedKind::Deployment, &all).unwrap()["spec"]["template"]["spec"];
    let volumes = &pod["volumes"].as_array().unwrap()[2..];
    assert_eq!(
        json!(volumes),
        json!([
            { "name": "ca", "secret": { "secretName": "ca", "optional": false } },
            { "name": "files", "configMap": { "name": "files", "optional": true } },
            { "name": "data", "persistentVolumeClaim": { "claimName": "data", "readOnly": false } },
            { "name": "tmp", "emptyDir": { "sizeLimit": "64Mi" } },
            { "name": "vault", "csi": {
                "driver": "secrets-store.csi.k8s.io", "readOnly": true,
                "volumeAttributes": { "secretProviderClass": "edge" },
            } },
        ])
    );
    let mounts = &pod["containers"][0]["volumeMounts"];
    assert_eq!(
        mounts[2],
        json!({ "name": "ca", "mountPath": "/etc/ca", "readOnly": true })
    );
    assert_eq!(mounts[5]["readOnly"], false);
}

#[test]
fn the_number_of_pods_is_two_or_the_given_one_or_the_autoscalers() {
    for (deployment, replicas) in [
        (json!({}), json!(2)),
        (json!({ "replicas": 0 }), json!(0)),
        (
            json!({ "autoscaling": { "maxReplicas": 9, "targetActiveTunnels": 5000 } }),
            Value::Null,
        ),
    ] {
        let all = manifests_of(json!({ "deployment": deployment }));
        let rendered = of(OwnedKind::Deployment, &all).unwrap();
        assert_eq!(rendered["spec"]["replicas"], replicas, "{deployment}");
        let scaled = of(OwnedKind::HorizontalPodAutoscaler, &all).is_some();
        assert_eq!(scaled, replicas.is_null(), "{deployment}");
    }
}

#[test]
fn an_autoscaler_has_the_metrics_that_are_asked_for() {
    let external = json!({
        "type": "External",
        "external": { "metric": { "name": "waiting" }, "target": { "type": "Value", "value": "10" } },
    });
    let all = manifests_of(json!({ "deployment": {
        "resources": { "requests": { "cpu": "500m" } },
        "autoscaling": {
            "minReplicas": 3, "maxReplicas": 9, "targetCpuUtilization": 70,
            "targetActiveTunnels": 5000, "metrics": [external],
        },
    } }));
    let spec = &of(OwnedKind::HorizontalPodAutoscaler, &all).unwrap()["spec"];
    assert_eq!(
        spec["scaleTargetRef"],
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "edge" })
    );
    assert_eq!(
        (&spec["minReplicas"], &spec["maxReplicas"]),
        (&json!(3), &json!(9))
    );
    let cpu = json!({ "type": "Resource", "resource": {
        "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 70 },
    } });
    let tunnels = json!({ "type": "Pods", "pods": {
        "metric": { "name": "tidegate_tunnels_active" },
        "target": { "type": "AverageValue", "averageValue": "5000" },
    } });
    assert_eq!(spec["metrics"], json!([cpu, tunnels, external]));
    let down = &spec["behavior"]["scaleDown"]["policies"];
    assert_eq!(
        down,
        &json!([{ "type": "Pods", "value": 1, "periodSeconds": 60 }])
    );
}

#[test]
fn an_autoscaler_has_the_behavior_that_is_asked_for() {
    let behavior = json!({ "scaleDown": { "selectPolicy": "Disabled" } });
    let all = manifests_of(json!({ "deployment": { "autoscaling": {
        "maxReplicas": 9, "targetActiveTunnels": 5000, "behavior": behavior,
    } } }));
    let spec = &of(OwnedKind::HorizontalPodAutoscaler, &all).unwrap()["spec"];
    assert_eq!(spec["behavior"], behavior);
}

#[test]
fn an_unmanaged_gateway_gets_no_workload() {
    let kinds: Vec<_> = manifests_of(json!({ "deployment": { "managed": false } }))
        .iter()
        .map(|manifest| manifest.key.kind)
        .collect();
    let rights = [
        OwnedKind::ServiceAccount,
        OwnedKind::Role,
        OwnedKind::RoleBinding,
    ];
    assert_eq!(kinds, rights);
}

#[test]
fn a_gateway_without_a_working_listener_has_no_service() {
    let gateway = gateway(json!({}));
    let key = ObjectKey::new("shop", "edge");
    let target = Target::new(&gateway, &key, "image:1");
    let mut config = gateway_config("shop", "edge");
    config.settings.listeners.clear();
    assert!(of(OwnedKind::Service, &workload_manifests(&target, &config)).is_none());
    config.settings.listeners = vec![tidegate_config::ListenerConfig {
        name: "tls".to_owned(),
        port: 443,
        protocol: Protocol::Wss,
        hostnames: Vec::new(),
        tls: None,
        proxy_protocol: false,
        http2: false,
    }];
    let all = workload_manifests(&target, &config);
    let port = &of(OwnedKind::Service, &all).unwrap()["spec"]["ports"][0];
    assert_eq!(port["appProtocol"], "kubernetes.io/wss");
}
