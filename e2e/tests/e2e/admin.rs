//! The token of a Gateway's admin server: who makes it, and who may ask with it.

use std::path::Path;

use anyhow::{Context, ensure};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::http;
use tidegate_e2e::program::command;
use tidegate_e2e::scene::{Scene, Served};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

/// May read one Secret, and nothing else.
const ASKER: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: asker}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: stranger}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: ask-edge}
rules:
- {apiGroups: [''], resources: [secrets], resourceNames: [edge-admin], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ask-edge}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: ask-edge}
subjects: [{kind: ServiceAccount, name: asker}]
";

/// Exit status of `tidegate explain` with this kubeconfig, and what it says.
async fn explain(kubeconfig: &Path, served: &Served) -> anyhow::Result<(Option<i32>, String)> {
    let mut command = command("tidegate")?;
    command
        .env("KUBECONFIG", kubeconfig)
        .args([
            "explain",
            &served.url("/chat"),
            "--state-dir",
            "/nonexistent",
        ])
        .args(["--gateway", &format!("http://{}", served.gateway.admin)]);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = [output.stdout, output.stderr].concat();
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

#[tokio::test]
async fn who_may_read_a_gateways_token_may_ask_it() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let scene = Scene::new("admin").await?;
    let edge = scene.gateway("edge").await?;
    scene.open_api(&edge, "chat", &echo.url(), "").await?;
    scene.apply(ASKER).await?;

    // Before the process has it.
    let (status, said) = explain(scene.kubeconfig(), &edge).await?;
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("cannot read its token"), "{said}");
    let token = scene.admin_token(&edge).await?;
    ensure!(token.len() >= 43, "{token} is short");
    let (status, said) = explain(scene.kubeconfig(), &edge).await?;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("would be called"), "{said}");
    ensure!(!said.contains(&token), "the token is shown: {said}");

    let asker = scene.kubeconfig_of("asker").await?;
    let (status, said) = explain(&asker, &edge).await?;
    assert_eq!(status, Some(0), "{said}");
    let stranger = scene.kubeconfig_of("stranger").await?;
    let (status, said) = explain(&stranger, &edge).await?;
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains("edge-admin") && said.contains("forbidden"),
        "{said}"
    );

    let admin = edge.gateway.admin;
    for path in ["/config", "/status", "/traces/1"] {
        assert_eq!(http::get(admin, path).await?.0, 401, "{path}");
        let (status, _) = http::get_with_token(admin, path, &token).await?;
        assert!(
            status == 200 || path == "/traces/1" && status == 404,
            "{path}: {status}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_token_lasts_until_somebody_deletes_it() -> anyhow::Result<()> {
    let scene = Scene::new("admin").await?;
    let edge = scene.gateway("edge").await?;
    let token = scene.admin_token(&edge).await?;
    let secret = scene.namespace().get("Secret", "edge-admin").await?;
    let owner = &secret["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["name"]),
        (&"Gateway".into(), &"edge".into())
    );

    // Whatever else changes, and whatever APIs name, it is the operator's and the kubelet's only.
    let echo = Echo::start().await?;
    scene.open_api(&edge, "chat", &echo.url(), "").await?;
    scene
        .apply(&tidegate_e2e::scene::open_api(
            "edge",
            "thief",
            &echo.url(),
            "  values: [{name: stolen, secretKeyRef: {name: edge-admin, key: token}}]\n",
        ))
        .await?;
    let refused = scene
        .condition(("WebSocketApi", "thief"), "ResolvedRefs", "False")
        .await?;
    assert!(
        refused.message.contains("edge-admin"),
        "{}",
        refused.message
    );
    assert_eq!(
        scene.namespace().secret("edge-admin", "token").await?,
        token
    );

    scene.kubectl().delete(&["secret/edge-admin"]).await?;
    let another = eventually("another token", WAIT_TIMEOUT, async || {
        let another = scene.namespace().secret("edge-admin", "token").await?;
        ensure!(another != token, "it is the old one");
        Ok(another)
    })
    .await?;
    // The running process has it as soon as its file has.
    scene.admin_token(&edge).await?;
    let admin = edge.gateway.admin;
    assert_eq!(http::get_with_token(admin, "/config", &token).await?.0, 401);
    let (status, body) = http::get_with_token(admin, "/config", &another).await?;
    assert_eq!(status, 200, "{body}");
    let config: serde_json::Value = serde_json::from_str(&body).context("no JSON")?;
    assert_eq!(config["apis"][0]["path"], "/chat", "{config}");
    Ok(())
}
