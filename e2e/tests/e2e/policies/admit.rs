//! Policies that decide by what the client is or sends.

use serde_json::json;

use crate::stage::echo_stage;

#[tokio::test]
async fn check_header_lets_pass_who_has_it() -> anyhow::Result<()> {
    let stage = echo_stage("check-header", "").await?;
    stage
        .in_force(json!([{"checkHeader": {
            "name": "X-Team", "values": ["red", "blue"], "ignoreCase": true,
        }}]))
        .await?;
    let with = |value: &str| stage.request("").header("x-team", value);
    with("RED").open().await?;
    let missing = stage.request("").refused_with(403).await?;
    assert!(missing.message()?.contains("X-Team"), "{missing:?}");
    with("green").refused_with(403).await?;
    with("red")
        .header("x-team", "blue")
        .refused_with(403)
        .await?;
    stage
        .in_force(json!([{"checkHeader": {"name": "X-Team", "status": 401, "message": "who?"}}]))
        .await?;
    with("green").open().await?;
    let refused = stage.request("").refused_with(401).await?;
    assert_eq!(refused.message()?, "who?");
    Ok(())
}

#[tokio::test]
async fn ip_filter_decides_by_the_clients_address() -> anyhow::Result<()> {
    let stage = echo_stage("ip-filter", "").await?;
    let cases = [
        (json!({"allow": ["127.0.0.0/8"]}), 101),
        (json!({"allow": ["10.0.0.0/8", "192.168.1.1"]}), 403),
        (json!({"forbid": ["127.0.0.1-127.0.0.9"]}), 403),
        (json!({"forbid": ["2001:db8::/32"]}), 101),
    ];
    for (filter, status) in cases {
        stage.in_force(json!([{ "ipFilter": filter }])).await?;
        let got = stage.request("").send().await?.status();
        assert_eq!(got, status, "{filter}");
    }
    Ok(())
}

#[tokio::test]
async fn a_trusted_proxys_word_about_the_client_counts() -> anyhow::Result<()> {
    let stage = echo_stage("proxies", "").await?;
    let filter = json!([{"ipFilter": {"allow": ["203.0.113.7"]}}]);
    stage.in_force(filter).await?;
    let through = || stage.request("").header("x-forwarded-for", "203.0.113.7");
    through().refused_with(403).await?; // nobody trusts 127.0.0.1 yet
    let trusted = json!({"trustedProxies": ["127.0.0.0/8"]});
    stage.patch("Gateway", "edge", &trusted).await?;
    through().open().await?;
    stage.request("").refused_with(403).await?;
    Ok(())
}
