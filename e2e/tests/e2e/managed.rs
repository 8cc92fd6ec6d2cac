//! A Gateway that the operator runs: what its pods get, and may do.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::scene::{Scene, open_api};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

use crate::apply::object;

/// A Gateway that the operator runs; here, nothing ever runs its pods.
async fn managed(hint: &str) -> anyhow::Result<(Scene, u16)> {
    let scene = Scene::new(hint).await?;
    let port = scene.free_port()?;
    let spec = json!({"listeners": [{"name": "plain", "port": port, "protocol": "WS"}]});
    scene
        .apply(&object("Gateway", "edge", &spec).to_string())
        .await?;
    scene
        .condition(("Gateway", "edge"), "Accepted", "True")
        .await?;
    Ok((scene, port))
}

#[tokio::test]
async fn a_managed_gateway_gets_all_that_its_pods_need() -> anyhow::Result<()> {
    let (scene, _) = managed("managed").await?;
    for kind in [
        "Deployment",
        "Service",
        "ServiceAccount",
        "Role",
        "RoleBinding",
    ] {
        let what = format!("a {kind} for the gateway");
        eventually(&what, WAIT_TIMEOUT, async || {
            let objects = scene.namespace().list(kind).await?;
            let owned = |object: &Value| {
                let owner = &object["metadata"]["ownerReferences"][0];
                owner["kind"] == "Gateway" && owner["name"] == "edge"
            };
            ensure!(objects.iter().any(owned), "{objects:?}");
            Ok(())
        })
        .await?;
    }
    let programmed = scene
        .condition(("Gateway", "edge"), "Programmed", "False")
        .await?;
    assert!(!programmed.message.is_empty());
    Ok(())
}

/// Here nobody scales: the tests are the autoscaler.
#[tokio::test]
async fn the_number_of_pods_stays_what_it_is_under_an_autoscaler() -> anyhow::Result<()> {
    let (scene, _) = managed("autoscaling").await?;
    let deploy = async |spec: Value| {
        let patch = json!({"spec": {"deployment": spec}});
        scene.kubectl().patch("wsgw/edge", &patch).await
    };
    let replicas = async |number: i64, marked: &str| {
        let what = format!("{number} pods, marked {marked:?}");
        eventually(&what, WAIT_TIMEOUT, async || {
            let spec = scene.namespace().get("Deployment", "edge").await?["spec"].clone();
            let mark = spec["template"]["metadata"]["annotations"]["mark"].as_str();
            let got = (spec["replicas"].as_i64(), mark.unwrap_or_default());
            ensure!(got == (Some(number), marked), "{got:?}");
            Ok(())
        })
        .await
    };
    deploy(json!({"replicas": 5})).await?;
    replicas(5, "").await?;
    let autoscaling = json!({"minReplicas": 3, "maxReplicas": 9, "targetActiveTunnels": 5000});
    let both = deploy(json!({"autoscaling": autoscaling})).await;
    let refusal = both.err().map(|error| error.to_string());
    let refusal = refusal.context("both were accepted")?;
    assert!(refusal.contains("may be set"), "{refusal}");

    deploy(json!({"replicas": null, "autoscaling": autoscaling})).await?;
    eventually("an autoscaler", WAIT_TIMEOUT, async || {
        let spec = &scene
            .namespace()
            .get("HorizontalPodAutoscaler", "edge")
            .await?["spec"];
        ensure!(spec["maxReplicas"] == 9, "{spec}");
        Ok(())
    })
    .await?;
    // Not one, which is what leaving the number out means for the API server.
    deploy(json!({"podAnnotations": {"mark": "switched"}})).await?;
    replicas(5, "switched").await?;
    let scale = ["scale", "deployment/edge", "--replicas=7"];
    scene.kubectl().run(&scale).await?;
    deploy(json!({"podAnnotations": {"mark": "scaled"}})).await?;
    replicas(7, "scaled").await?;

    deploy(json!({"replicas": 4, "autoscaling": null})).await?;
    replicas(4, "scaled").await?;
    eventually("no autoscaler", WAIT_TIMEOUT, async || {
        let left = scene.namespace().list("HorizontalPodAutoscaler").await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_rights_of_a_gateways_pods_suffice_and_are_no_more() -> anyhow::Result<()> {
    let (scene, port) = managed("rights").await?;
    let account = account_of(&scene, "edge").await?;
    let kubeconfig = scene.kubeconfig_of(&account).await?;
    let mut plan = scene.plan("edge", port);
    plan.options.kubeconfig = kubeconfig;
    let edge = scene.start(plan).await?;
    let echo = Echo::start().await?;
    scene
        .apply(&open_api("edge", "api", &echo.url(), ""))
        .await?;
    edge.answers("/api", 101).await?;
    let user = format!(
        "system:serviceaccount:{}:{account}",
        scene.namespace().name()
    );
    for forbidden in [
        "list secrets",
        "delete configmaps",
        "update wsapi",
        "get secret/other",
    ] {
        let mut arguments = vec!["auth", "can-i"];
        arguments.extend(forbidden.split(' '));
        arguments.extend(["--as", &user]);
        let said = scene.kubectl().run(&arguments).await;
        let said = said.err().map(|no| no.to_string()).unwrap_or_default();
        assert!(said.ends_with("no"), "{forbidden}: {said:?}");
    }
    Ok(())
}

/// Names of the pods of a Gateway, which the Deployment makes and nobody runs.
async fn pods_of(scene: &Scene, gateway: &str) -> anyhow::Result<Vec<String>> {
    let selector = format!("tidegate.dev/gateway={gateway}");
    eventually(&format!("pods of {gateway}"), WAIT_TIMEOUT, async || {
        let get = ["get", "pods", "-l", &selector, "-o", "name"];
        let names = scene.kubectl().run(&get).await?;
        let names: Vec<_> = names
            .lines()
            .filter_map(|line| line.strip_prefix("pod/"))
            .map(str::to_owned)
            .collect();
        ensure!(!names.is_empty(), "none");
        Ok(names)
    })
    .await
}

fn lease(name: &str, gateway: &str, revision: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": name,
            "labels": {"tidegate.dev/gateway": gateway, "tidegate.dev/part": "ack"},
            "annotations": {"tidegate.dev/revision": revision},
        },
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 3600,
            "renewTime": "2031-01-01T00:00:00.000000Z"},
    })
}

#[tokio::test]
async fn pods_may_write_the_leases_of_their_own_gateway_only() -> anyhow::Result<()> {
    let (scene, port) = managed("leases").await?;
    let inner =
        json!({"listeners": [{"name": "plain", "port": scene.free_port()?, "protocol": "WS"}]});
    scene
        .apply(&object("Gateway", "inner", &inner).to_string())
        .await?;
    let (own, others) = (
        pods_of(&scene, "edge").await?,
        pods_of(&scene, "inner").await?,
    );
    let mut plan = scene.plan("edge", port);
    plan.options.kubeconfig = scene.kubeconfig_of("edge").await?;
    plan.options.pod = own[0].clone();
    let _edge = scene.start(plan).await?;
    scene.programmed("Gateway", "edge").await?;

    let user = format!("system:serviceaccount:{}:edge", scene.namespace().name());
    let write = async |lease: &Value, verb: &[&str]| {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), lease.to_string())?;
        let path = file.path().to_string_lossy().into_owned();
        let more = ["-f", path.as_str(), "--as", user.as_str()];
        let done = scene.kubectl().run(&[verb, &more].concat()).await;
        anyhow::Ok(done.map_err(|error| error.to_string()))
    };
    let apply = ["apply", "--server-side", "--force-conflicts"];
    for name in [others[0].as_str(), "tidegate-operator", "edge-0", "any"] {
        for verb in [&apply[..], &["create"]] {
            let said = write(&lease(name, "edge", "1"), verb).await?.err();
            let said = said.with_context(|| format!("{verb:?} {name} was taken"))?;
            assert!(said.contains("forbidden"), "{verb:?} {name}: {said}");
        }
    }

    // Its own Lease says what it likes: that changes nothing for another Gateway, nor revisions.
    let claim = own.get(1).context("one pod only")?;
    let lies = lease(claim, "inner", "18446744073709551615");
    write(&lies, &apply).await?.map_err(anyhow::Error::msg)?;
    let lies = lease(claim, "edge", "18446744073709551615");
    write(&lies, &apply).await?.map_err(anyhow::Error::msg)?;
    let patch = json!({"spec": {"trustedProxies": ["10.0.0.0/8"]}});
    scene.kubectl().patch("wsgw/edge", &patch).await?;
    eventually("the lie is told", WAIT_TIMEOUT, async || {
        let status = scene.status("Gateway", "edge").await?;
        let revision = status["revision"].as_u64().context("no revision")?;
        ensure!(revision < 100, "{status}");
        ensure!(
            status.to_string().contains("which was never published"),
            "{status}"
        );
        Ok(())
    })
    .await?;
    let status = scene.status("Gateway", "inner").await?;
    assert_eq!(status["pods"]["total"], 0, "{status}");
    Ok(())
}

async fn account_of(scene: &Scene, gateway: &str) -> anyhow::Result<String> {
    let what = format!("a Deployment with a ServiceAccount for {gateway}");
    eventually(&what, WAIT_TIMEOUT, async || {
        let deployments = scene.namespace().list("Deployment").await?;
        let account = deployments.iter().find_map(|deployment| {
            let ours = deployment["metadata"]["labels"]["tidegate.dev/gateway"] == gateway;
            let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
            account.as_str().filter(|_| ours).map(str::to_owned)
        });
        account.with_context(|| format!("{deployments:?}"))
    })
    .await
}
