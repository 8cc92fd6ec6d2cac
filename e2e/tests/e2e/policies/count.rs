//! Policies that count: rates, quotas, live tunnels.

use serde_json::json;
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

use crate::stage::echo_stage;

#[tokio::test]
async fn rate_limit_counts_each_subscription_for_itself() -> anyhow::Result<()> {
    let stage = echo_stage("subscribed", "").await?;
    for name in ["ann", "ben"] {
        let subscription = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription", "metadata": {"name": name},
            "spec": {"scope": {"api": "api"}},
        });
        stage.scene.apply(&subscription.to_string()).await?;
        stage.scene.programmed("Subscription", name).await?;
    }
    let limit = json!({
        "calls": 1, "period": "60s", "remainingHeader": "X-Remaining", "retryAfterVariable": "wait",
    });
    stage
        .policies(json!({
            "inbound": [{ "rateLimit": limit }],
            "onError": [{
                "when": "error.reason == 'rate_limit_exceeded'",
                "setHeader": {"name": "X-Wait", "values": ["${vars.wait}"]},
            }],
        }))
        .await?;
    for name in ["ann", "ben"] {
        let (key, _) = stage.scene.keys(name).await?;
        let request = || stage.request("").header("ocp-apim-subscription-key", &key);
        let client = request().open().await?;
        assert_eq!(client.header("x-remaining"), Some("0"), "{name}");
        let refused = request().refused_with(429).await?;
        assert_eq!(refused.header("x-wait"), refused.header("retry-after"));
    }
    stage.request("").open().await?;
    stage.request("").open().await?;
    Ok(())
}

#[tokio::test]
async fn rate_limit_by_key_counts_each_key_for_itself() -> anyhow::Result<()> {
    let stage = echo_stage("rate", "").await?;
    stage
        .in_force(json!([{"rateLimitByKey": {
            "key": "request.query('user', '')", "calls": 2, "period": "60s",
            "remainingHeader": "X-Remaining", "totalHeader": "X-Total",
        }}]))
        .await?;
    for remaining in ["1", "0"] {
        let client = stage.request("?user=a").open().await?;
        assert_eq!(client.header("x-remaining"), Some(remaining));
        assert_eq!(client.header("x-total"), Some("2"));
    }
    let refused = stage.request("?user=a").refused_with(429).await?;
    let seconds: u32 = refused.header("retry-after").unwrap_or("none").parse()?;
    assert!((1..=60).contains(&seconds), "{seconds}");
    let message = refused.message()?;
    assert_eq!(
        message,
        format!("Rate limit is exceeded. Try again in {seconds} seconds.")
    );
    stage.request("?user=b").open().await?;
    Ok(())
}

#[tokio::test]
async fn quota_counts_what_a_subscription_uses() -> anyhow::Result<()> {
    let stage = echo_stage("quota", "").await?;
    let subscription = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription", "metadata": {"name": "ann"},
        "spec": {"scope": {"api": "api"}},
    });
    stage.scene.apply(&subscription.to_string()).await?;
    stage.scene.programmed("Subscription", "ann").await?;
    stage
        .in_force(json!([{"quota": {"calls": 1, "period": "0"}}]))
        .await?;
    let (key, _) = stage.scene.keys("ann").await?;
    let request = || stage.request("").header("ocp-apim-subscription-key", &key);
    request().open().await?;
    let refused = request().refused_with(403).await?;
    assert_eq!(refused.message()?, "Out of call volume quota.");
    assert_eq!(refused.header("retry-after"), None);
    stage.request("").open().await?;
    Ok(())
}

#[tokio::test]
async fn quota_by_key_closes_tunnels_that_relay_too_much() -> anyhow::Result<()> {
    let stage = echo_stage("bandwidth", "").await?;
    stage
        .in_force(json!([{"quotaByKey": {
            "key": "request.query('user', '')", "bandwidthKb": 1, "period": "87600h",
            "closeOnExceed": true,
        }}]))
        .await?;
    let mut client = stage.request("?user=a").open().await?;
    client.echo(&"x".repeat(600)).await?;
    let (code, reason) = client.closed().await?;
    assert_eq!(code, 1008, "{reason}");
    let refused = stage.request("?user=a").refused_with(403).await?;
    let message = refused.message()?;
    let text = "Out of bandwidth quota. Quota will be replenished in ";
    assert!(message.starts_with(text), "{message}");
    stage.request("?user=b").open().await?;
    Ok(())
}

#[tokio::test]
async fn limit_connections_counts_live_tunnels_by_key() -> anyhow::Result<()> {
    let stage = echo_stage("live", "").await?;
    stage
        .in_force(json!([{"limitConnections": {"key": "request.query('user', '')", "max": 1}}]))
        .await?;
    let first = stage.request("?user=a").open().await?;
    let refused = stage.request("?user=a").refused_with(429).await?;
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(refused.message()?, "Too many connections for this key");
    let _other = stage.request("?user=b").open().await?;
    drop(first);
    eventually("the place of the lost tunnel", WAIT_TIMEOUT, async || {
        stage.request("?user=a").open().await.map(drop)
    })
    .await
}
