//! Each policy, seen by a backend that records what reaches it.

#[path = "policies/admit.rs"]
mod admit;
#[path = "policies/backend_auth.rs"]
mod backend_auth;
#[path = "policies/count.rs"]
mod count;
#[path = "policies/fragment.rs"]
mod fragment;
#[path = "policies/identity.rs"]
mod identity;
#[path = "policies/scope.rs"]
mod scope;
#[path = "policies/shape.rs"]
mod shape;
#[path = "policies/tell.rs"]
mod tell;
#[path = "policies/token.rs"]
mod token;

use serde_json::{Value, json};
use tidegate_e2e::client::Request;

use crate::stage::EchoStage;

/// Where the stories are.
const STORIES: [&str; 10] = [
    include_str!("calls.rs"),
    include_str!("policies/admit.rs"),
    include_str!("policies/backend_auth.rs"),
    include_str!("policies/count.rs"),
    include_str!("policies/fragment.rs"),
    include_str!("policies/identity.rs"),
    include_str!("policies/scope.rs"),
    include_str!("policies/shape.rs"),
    include_str!("policies/tell.rs"),
    include_str!("policies/token.rs"),
];

impl EchoStage {
    /// Gives the API these policies, and waits until they are in force.
    pub(crate) async fn policies(&self, on_handshake: Value) -> anyhow::Result<()> {
        self.patch("WebSocketApi", "api", &json!({"onHandshake": on_handshake}))
            .await
    }

    pub(crate) async fn in_force(&self, steps: Value) -> anyhow::Result<()> {
        // A merge patch replaces lists as a whole.
        self.policies(json!({ "inbound": steps })).await
    }

    pub(crate) async fn patch(&self, kind: &str, name: &str, spec: &Value) -> anyhow::Result<()> {
        let object = format!("{}.tidegate.dev/{name}", kind.to_lowercase());
        let patch = json!({ "spec": spec });
        self.scene.kubectl().patch(&object, &patch).await?;
        self.scene.programmed(kind, name).await
    }

    pub(crate) fn request(&self, query: &str) -> Request {
        self.edge.request(&format!("/api{query}"))
    }

    /// A tunnel is opened; a header that the backend got.
    pub(crate) async fn backend_header(
        &self,
        request: Request,
        name: &str,
    ) -> anyhow::Result<Vec<String>> {
        request.open().await?.echo("in").await?;
        let head = self.echo.last_head()?;
        let values = head.all(name).into_iter().map(str::to_owned);
        Ok(values.collect())
    }
}

#[test]
fn every_documented_policy_has_a_story() -> anyhow::Result<()> {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies.md");
    let page = std::fs::read_to_string(page)?;
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let policies: Vec<_> = headings.filter(|heading| !heading.contains(' ')).collect();
    assert!(policies.contains(&"validateJwt"), "{policies:?}");
    for policy in policies {
        let story = format!("\"{policy}\":");
        let used = STORIES.iter().any(|file| file.contains(&story));
        assert!(used, "no story uses {policy}");
    }
    Ok(())
}
