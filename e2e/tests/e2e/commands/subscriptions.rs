//! `tidegate subscriptions` and `tidegate keys` with the rights of those who use them.

use serde_json::{Value, json};
use tidegate_e2e::scene::Scene;

use super::tidegate;
use crate::approval::{APPROVER, CONSUMER, HEADER, Market};

/// The row of the only subscription in this state.
async fn row(scene: &Scene, state: &str) -> anyhow::Result<Value> {
    let list = ["subscriptions", "list", "--state", state, "-o", "json"];
    let rows = tidegate(scene, &list).await?.ended(0)?.json()?;
    Ok(rows[0].clone())
}

#[tokio::test]
async fn a_subscription_is_approved_with_the_charts_rights_alone() -> anyhow::Result<()> {
    let market = Market::open(Scene::new("decide").await?).await?;
    market.guard(&json!({"approval": "Approved"})).await?;
    let scene = &market.scene;
    let submitted = row(scene, "Submitted").await?;
    assert_eq!(submitted["name"], "mine");
    assert_eq!(submitted["scope"], "product trial");
    assert_eq!(submitted["owner"], "ann");
    assert_eq!(submitted["expiresAt"], "2040-01-01T00:00:00Z");

    let approve = async |user: &str| {
        tidegate(scene, &["subscriptions", "approve", "mine", "--as", user]).await
    };
    let said = approve(CONSUMER).await?.ended(2)?;
    assert!(
        said.stderr.contains("may not set spec.approval"),
        "{said:?}"
    );
    let said = approve(APPROVER).await?.ended(0)?;
    let approved = "subscription.tidegate.dev/mine approved: Active\n";
    assert_eq!(said.stdout, approved);
    market.opens("trial", 101).await?;
    let said = approve(APPROVER).await?.ended(0)?;
    let unchanged = "subscription.tidegate.dev/mine unchanged: is approved already\n";
    assert_eq!(said.stdout, unchanged);
    assert_eq!(row(scene, "Active").await?["approval"], "Approved");
    Ok(())
}

#[tokio::test]
async fn each_decision_is_in_effect_when_its_command_ends() -> anyhow::Result<()> {
    let market = Market::open(Scene::new("states").await?).await?;
    let scene = &market.scene;
    let (key, _) = scene.keys("mine").await?;
    for (verb, state, done, status) in [
        ("approve", "Active", "approved", 101),
        ("suspend", "Suspended", "suspended", 401),
        ("resume", "Active", "resumed", 101),
        ("reject", "Rejected", "rejected", 401),
        ("approve", "Active", "approved", 101),
        ("cancel", "Cancelled", "cancelled", 401),
    ] {
        let request = || market.edge.request("/trial").header(HEADER, &key);
        let open = match status {
            401 => Some(request().open().await?),
            _ => None,
        };
        let said = tidegate(scene, &["subscriptions", verb, "mine"]).await?;
        let said = said.ended(0)?.stdout;
        let expected = format!("subscription.tidegate.dev/mine {done}: {state}\n");
        assert_eq!(said, expected);
        assert_eq!(row(scene, state).await?["state"], state);
        // The command waits until every pod serves it: the next handshake obeys.
        assert_eq!(request().send().await?.status(), status, "{verb}");
        if let Some(mut tunnel) = open {
            assert_eq!(tunnel.closed().await?.0, 1008, "{verb}");
        }
    }
    let said = tidegate(scene, &["subscriptions", "resume", "mine"]).await?;
    let said = said.ended(1)?.stderr;
    assert!(
        said.contains("is Cancelled, which is meant to be final"),
        "{said}"
    );
    let said = tidegate(scene, &["subscriptions", "suspend", "nobody"]).await?;
    let said = said.ended(2)?.stderr;
    assert!(said.contains("failed to read Subscription"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_key_is_renewed_and_shown_and_its_tunnels_end() -> anyhow::Result<()> {
    let market = Market::open(Scene::new("rotate").await?).await?;
    let scene = &market.scene;
    tidegate(scene, &["subscriptions", "approve", "mine"])
        .await?
        .ended(0)?;
    let (primary, secondary) = scene.keys("mine").await?;
    let open = async |key: &str| {
        let request = market.edge.request("/trial").header(HEADER, key);
        request.open().await
    };
    let (mut first, mut second) = (open(&primary).await?, open(&secondary).await?);
    let said = tidegate(scene, &["keys", "show", "mine"]).await?.ended(0)?;
    assert_eq!(said.stdout.trim_end(), primary);

    let said = tidegate(scene, &["keys", "rotate", "mine", "--primary"])
        .await?
        .ended(0)?;
    assert_eq!(
        said.stdout,
        "subscription.tidegate.dev/mine primary key renewed: Active\n"
    );
    assert_eq!(first.closed().await?.0, 1008);
    second.echo("the other key stays").await?;
    let shown = tidegate(scene, &["keys", "show", "mine", "-o", "json"])
        .await?
        .ended(0)?
        .json()?;
    let renewed = shown["value"].as_str().unwrap_or_default().to_owned();
    assert_ne!(renewed, primary);
    open(&renewed).await?.echo("the new key opens").await?;

    let keys = tidegate(scene, &["keys", "list", "-o", "json"])
        .await?
        .ended(0)?;
    assert!(
        ![&renewed, &secondary]
            .iter()
            .any(|key| keys.stdout.contains(*key)),
        "{keys:?}"
    );
    let keys = keys.json()?;
    assert_eq!(keys[0]["key"], "primary");
    assert_eq!(keys[0]["generation"], 2);
    assert_eq!(keys[1]["generation"], 1);

    // Who may not read the Secret sees no key.
    let denied = ["keys", "show", "mine", "--as", CONSUMER];
    let said = tidegate(scene, &denied).await?.ended(2)?;
    assert!(said.stderr.contains("you may not read Secret"), "{said:?}");
    Ok(())
}
