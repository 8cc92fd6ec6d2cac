//! `tidegate check` and `tidegate status` on installations that are broken, each in one way.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::cluster::Cluster;
use tidegate_e2e::program::{Operator, command};
use tidegate_e2e::scene::Scene;
use tidegate_e2e::wait::eventually;

use super::{Said, tidegate};

/// How long a problem may take to show: the operator looks at changes at once, and elects within 17 s.
const SHOWS: Duration = Duration::from_secs(60);

/// The problems that `check` finds on the whole cluster, by name.
async fn problems(cluster: &Cluster) -> anyhow::Result<(Option<i32>, Vec<String>)> {
    let mut command = command("tidegate")?;
    command
        .args(["check", "-o", "name", "--kubeconfig"])
        .arg(cluster.kubeconfig());
    let said = Said::of(&tokio::task::spawn_blocking(move || command.output()).await??);
    Ok((
        said.status,
        said.stdout.lines().map(str::to_owned).collect(),
    ))
}

/// Waits until exactly this problem is found, or none.
async fn finds(cluster: &Cluster, expected: &[&str]) -> anyhow::Result<()> {
    let status = i32::from(!expected.is_empty());
    eventually(&format!("check finds {expected:?}"), SHOWS, async || {
        let (found, mut names) = problems(cluster).await?;
        names.dedup();
        ensure!(names == expected, "{names:?}");
        ensure!(found == Some(status), "exit status {found:?}");
        Ok(())
    })
    .await
}

/// A Product's definition without one field.
async fn old_product(cluster: &Cluster) -> anyhow::Result<String> {
    let get = ["get", "crd", "products.tidegate.dev", "-o", "json"];
    let mut crd: Value = serde_json::from_str(&cluster.kubectl().run(&get).await?)?;
    crd["metadata"] = json!({"name": "products.tidegate.dev"});
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let fields = schema["properties"]["spec"]["properties"].as_object_mut();
    fields.context("a Product has fields")?.remove("terms");
    Ok(crd.to_string())
}

#[tokio::test]
async fn kinds_leaders_and_the_api_server_are_checked() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    finds(&cluster, &["no-leader"]).await?;
    let _operator = Operator::start(cluster.kubeconfig()).await?;
    finds(&cluster, &[]).await?;

    let product = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/product.yaml"),
    )?;
    let crd = ["crd", "products.tidegate.dev"];
    cluster
        .kubectl()
        .run(&[&["delete"], &crd[..]].concat())
        .await?;
    finds(&cluster, &["missing-kind"]).await?;
    cluster
        .kubectl()
        .apply_large(&product)
        .await?
        .map_err(anyhow::Error::msg)?;
    finds(&cluster, &[]).await?;
    let old = old_product(&cluster).await?;
    cluster
        .kubectl()
        .apply_large(&old)
        .await?
        .map_err(anyhow::Error::msg)?;
    finds(&cluster, &["old-kind"]).await?;
    cluster
        .kubectl()
        .apply_large(&product)
        .await?
        .map_err(anyhow::Error::msg)?;
    finds(&cluster, &[]).await?;

    let second = ["--lease-name", "second"];
    let second = Operator::start_with(cluster.kubeconfig(), &second).await?;
    finds(&cluster, &["two-operators"]).await?;
    drop(second);
    cluster.stop_api_server().await?;
    finds(&cluster, &["api-server-away"]).await
}

/// The Deployment that the chart installs of an operator. Nobody runs its pods here.
fn deployment() -> Value {
    let labels =
        json!({"app.kubernetes.io/part-of": "tidegate", "app.kubernetes.io/component": "operator"});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "tidegate", "namespace": "default", "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"serviceAccountName": "tidegate", "containers": [{"name": "operator",
                "image": "tidegate-operator:0.1.0", "args": ["--gateway-image=tidegate-gateway:9"]}]}}},
    })
}

#[tokio::test]
async fn the_operators_rights_and_the_images_of_gateways_are_checked() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let _operator = Operator::start(cluster.kubeconfig()).await?;
    finds(&cluster, &[]).await?;
    let kubectl = cluster.kubectl();
    kubectl.apply(&deployment().to_string()).await?;
    finds(&cluster, &["no-operator", "missing-right"]).await?;
    let bind = [
        "create",
        "clusterrolebinding",
        "tidegate",
        "--clusterrole",
        "cluster-admin",
    ];
    let account = ["--serviceaccount", "default:tidegate"];
    kubectl.run(&[&bind[..], &account].concat()).await?;
    finds(&cluster, &["no-operator"]).await?;

    // The operator that runs gives another image than its Deployment says.
    let gateway = json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Gateway", "metadata": {"name": "edge"},
        "spec": {"listeners": [{"name": "plain", "port": 8080, "protocol": "WS"}]}});
    kubectl.apply(&gateway.to_string()).await?;
    eventually("check finds the other image", SHOWS, async || {
        let (_, names) = problems(&cluster).await?;
        ensure!(names.iter().any(|name| name == "wrong-image"), "{names:?}");
        Ok(())
    })
    .await
}

/// The problems that are found in the scene's namespace, and what is said of each.
async fn in_scene(scene: &Scene, problem: &str) -> anyhow::Result<String> {
    eventually(&format!("check finds {problem}"), SHOWS, async || {
        let said = tidegate(scene, &["check", "-o", "json"]).await?;
        let rows = said.json()?;
        let mut rows = rows.as_array().into_iter().flatten();
        let found = rows.find(|row| row["problem"] == problem);
        let found = found.with_context(|| said.stdout.clone())?;
        ensure!(said.status == Some(1), "{said:?}");
        Ok(found["message"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

#[tokio::test]
async fn pods_dependencies_and_secrets_are_checked_and_shown() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let scene = Scene::new("check").await?;
    let edge = scene.gateway("edge").await?;
    scene.open_api(&edge, "chat", &echo.url(), "").await?;
    scene.programmed("Gateway", "edge").await?;
    tidegate(&scene, &["check"]).await?.ended(0)?;
    let status = tidegate(&scene, &["status", "-o", "json"])
        .await?
        .ended(0)?
        .json()?;
    assert_eq!(status["gateways"][0]["state"], "OK");
    assert_eq!(status["pods"][0]["pod"], "edge-0");
    assert_eq!(status["pods"][0]["state"], "current");

    // A process that stands still serves what it has.
    let pid = edge.gateway.process.id().to_string();
    let signal = |name: &str| {
        std::process::Command::new("kill")
            .args([name, &pid])
            .status()
    };
    signal("-STOP")?;
    let api = tidegate_e2e::scene::open_api("edge", "news", &echo.url(), "");
    scene.apply(&api).await?;
    let said = in_scene(&scene, "lagging-pods").await?;
    assert!(said.contains("edge-0"), "{said}");
    let status = tidegate(&scene, &["status", "-o", "json"])
        .await?
        .ended(1)?
        .json()?;
    assert_eq!(status["pods"][0]["state"], "lagging");
    signal("-CONT")?;
    scene.programmed("WebSocketApi", "news").await?;

    let redis = json!({"counters": {"redis": {"url": "redis://127.0.0.1:1"}}});
    scene
        .kubectl()
        .patch("wsgw/edge", &json!({ "spec": redis }))
        .await?;
    in_scene(&scene, "unreachable-redis").await?;
    let secret = json!({"values": [{"name": "password", "secretKeyRef": {"name": "absent", "key": "password"}}]});
    scene
        .kubectl()
        .patch("wsapi/chat", &json!({ "spec": secret }))
        .await?;
    let said = in_scene(&scene, "unreadable-secret").await?;
    assert!(said.contains("absent"), "{said}");
    Ok(())
}
