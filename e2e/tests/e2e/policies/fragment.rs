//! Fragments: from the object to the wire, changed, broken, gone and back.

use serde_json::{Value, json};

use crate::stage::{EchoStage, echo_stage};

fn fragment(name: &str, steps: &Value) -> String {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "PolicyFragment",
        "metadata": {"name": name}, "spec": {"steps": steps},
    })
    .to_string()
}

fn mark(value: &str) -> Value {
    json!({"setHeader": {"name": "X-Mark", "values": [value], "ifExists": "Append"}})
}

/// Waits until the backend gets these marks.
async fn marked(stage: &EchoStage, query: &str, marks: &str) -> anyhow::Result<()> {
    use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};
    let what = format!("the backend gets {marks}");
    eventually(&what, WAIT_TIMEOUT, async || {
        let got = stage.backend_header(stage.request(query), "x-mark").await?;
        anyhow::ensure!(got.join(",").replace(' ', "") == marks, "{got:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn include_fragment_runs_shared_steps_and_outlives_their_loss() -> anyhow::Result<()> {
    let stage = echo_stage("fragment", "").await?;
    let api = ("WebSocketApi", "api");
    stage
        .scene
        .apply(&fragment("inner", &json!([mark("inner")])))
        .await?;
    let outer = json!([mark("outer"), {"includeFragment": {"name": "inner"}}]);
    stage.scene.apply(&fragment("outer", &outer)).await?;
    stage
        .in_force(json!([
            mark("first"),
            {"when": "request.query('skip', '') == ''", "includeFragment": {"name": "outer"}},
            mark("last"),
        ]))
        .await?;
    marked(&stage, "", "first,outer,inner,last").await?;
    marked(&stage, "?skip=1", "first,last").await?;

    // A change reaches every object that includes it, without a change of theirs.
    stage
        .scene
        .apply(&fragment("inner", &json!([mark("changed")])))
        .await?;
    marked(&stage, "", "first,outer,changed,last").await?;

    // Broken: the last good version serves on, and both say what is wrong.
    let broken = json!([{"setHeader": {"name": "X-Mark", "values": ["${clinet.ip}"]}}]);
    stage.scene.apply(&fragment("inner", &broken)).await?;
    let said = stage.scene.condition(api, "Accepted", "False").await?;
    assert_eq!(said.reason, "InvalidExpression");
    let place = "spec.onHandshake.inbound[1].includeFragment: PolicyFragment inner, spec.steps[0]";
    assert!(said.message.starts_with(place), "{}", said.message);
    let own = ("PolicyFragment", "inner");
    stage.scene.condition(own, "Accepted", "False").await?;
    marked(&stage, "", "first,outer,changed,last").await?;

    // Gone: the same.
    stage.scene.kubectl().delete(&["wsfrag/inner"]).await?;
    let said = stage.scene.condition(api, "ResolvedRefs", "False").await?;
    assert_eq!(said.reason, "FragmentNotFound");
    marked(&stage, "", "first,outer,changed,last").await?;
    let outer = ("PolicyFragment", "outer");
    stage
        .scene
        .condition(outer, "ResolvedRefs", "False")
        .await?;

    stage
        .scene
        .apply(&fragment("inner", &json!([mark("back")])))
        .await?;
    stage.scene.condition(api, "ResolvedRefs", "True").await?;
    marked(&stage, "", "first,outer,back,last").await
}

#[tokio::test]
async fn a_fragment_in_the_wrong_section_or_in_itself_is_refused() -> anyhow::Result<()> {
    let stage = echo_stage("fragment-bad", "").await?;
    let api = ("WebSocketApi", "api");
    let check = json!([{"checkHeader": {"name": "X-App"}}]);
    stage.scene.apply(&fragment("check", &check)).await?;
    let itself = json!([{"includeFragment": {"name": "loop"}}]);
    stage.scene.apply(&fragment("loop", &itself)).await?;
    let patch = |policies: Value| json!({"spec": {"onHandshake": policies}});
    for (policies, reason) in [
        (
            json!({"outbound": [{"includeFragment": {"name": "check"}}]}),
            "checkHeader is not supported in outbound",
        ),
        (
            json!({"outbound": [], "inbound": [{"includeFragment": {"name": "loop"}}]}),
            "PolicyFragment loop includes itself: loop → loop",
        ),
    ] {
        let object = "wsapi/api";
        stage
            .scene
            .kubectl()
            .patch(object, &patch(policies))
            .await?;
        let what = format!("the API says: {reason}");
        tidegate_e2e::wait::eventually(&what, tidegate_e2e::wait::WAIT_TIMEOUT, async || {
            let said = stage.scene.condition(api, "Accepted", "False").await?;
            anyhow::ensure!(said.message.contains(reason), "{}", said.message);
            Ok(())
        })
        .await?;
        stage.edge.answers("/api", 503).await?;
    }
    stage.in_force(json!([])).await?;
    stage.edge.answers("/api", 101).await
}
