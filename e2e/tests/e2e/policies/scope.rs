//! Where steps run: scopes, sections, the values that they read.

use serde_json::{Value, json};

use crate::stage::echo_stage;

/// Steps that leave a trace of where they ran.
fn trace(word: &str) -> Value {
    json!({"setHeader": {"name": "X-Trace", "values": [word], "ifExists": "Append"}})
}

#[tokio::test]
async fn scopes_run_from_wide_to_narrow_and_base_says_where() -> anyhow::Result<()> {
    let stage = echo_stage("scopes", "").await?;
    let product = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Product", "metadata": {"name": "open"},
        "spec": {
            "apis": [{"name": "api"}], "subscriptionRequired": false,
            "onHandshake": {"inbound": [trace("product")]},
        },
    });
    stage.scene.apply(&product.to_string()).await?;
    let global = json!({"onHandshake": {"inbound": [trace("gateway")]}});
    stage.patch("Gateway", "edge", &global).await?;
    stage.scene.programmed("Product", "open").await?;
    let skipped = {
        let mut step = trace("skipped");
        step["when"] = json!("request.path != '/api'");
        step
    };
    let cases = [
        (
            "no base: the wider scopes first",
            json!({"inbound": [trace("api")]}),
            "gateway, product, api",
        ),
        (
            "base in between",
            json!({"inbound": [trace("before"), {"base": {}}, skipped, trace("after")]}),
            "before, gateway, product, after",
        ),
        (
            "cut off",
            json!({"inherit": false, "inbound": [trace("alone")]}),
            "alone",
        ),
    ];
    for (case, policies, expected) in cases {
        let mut policies = policies;
        // A merge patch would leave the case before's in place.
        if policies.get("inherit").is_none() {
            policies["inherit"] = json!(true);
        }
        stage.policies(policies).await?;
        let got = stage.backend_header(stage.request(""), "x-trace").await?;
        let got = got.join(", ").replace(',', ", ").replace("  ", " ");
        assert_eq!(got, expected, "{case}");
    }
    Ok(())
}

#[tokio::test]
async fn outbound_and_on_error_shape_the_clients_answer() -> anyhow::Result<()> {
    let stage = echo_stage("outbound", "").await?;
    stage
        .policies(json!({
            "inbound": [{
                "when": "request.query('fail', '') != ''",
                "checkHeader": {"name": "X-Never"},
            }],
            "outbound": [
                {"setHeader": {"name": "X-Out", "values": ["${string(response.status)}"]}},
            ],
            "onError": [
                {"setHeader": {"name": "X-Reason", "values": ["${error.reason}"]}},
                {
                    "when": "request.query('fail') == 'replace'",
                    "returnResponse": {"status": 418, "message": "a teapot instead"},
                },
            ],
        }))
        .await?;
    let client = stage.request("").open().await?;
    assert_eq!(client.header("x-out"), Some("101"));
    assert_eq!(client.header("x-reason"), None);
    let refused = stage.request("?fail=plain").refused_with(403).await?;
    assert!(
        refused.header("x-reason").is_some_and(|r| !r.is_empty()),
        "{refused:?}"
    );
    assert_eq!(refused.header("x-out"), None);
    let replaced = stage.request("?fail=replace").refused_with(418).await?;
    assert_eq!(replaced.message()?, "a teapot instead");
    Ok(())
}

#[tokio::test]
async fn an_expression_that_fails_refuses_with_500() -> anyhow::Result<()> {
    let stage = echo_stage("fault", "").await?;
    stage
        .in_force(
            json!([{"setVariable": {"name": "n", "value": "1 / int(request.query('by', '1'))"}}]),
        )
        .await?;
    stage.request("?by=2").open().await?;
    let refused = stage.request("?by=0").refused_with(500).await?;
    let message = refused.message()?;
    assert!(
        !message.contains("request.query"),
        "the client learns no internals: {message}"
    );
    Ok(())
}

#[tokio::test]
async fn named_values_are_read_from_the_narrowest_scope() -> anyhow::Result<()> {
    let stage = echo_stage("values", "").await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault"},
        "stringData": {"password": "tell nobody"},
    });
    stage.scene.apply(&secret.to_string()).await?;
    let global = json!({"values": [
        {"name": "sea", "value": "north"}, {"name": "ship", "value": "ketch"},
    ]});
    stage.patch("Gateway", "edge", &global).await?;
    let api = json!({
        "values": [
            {"name": "sea", "value": "baltic"},
            {"name": "password", "secretKeyRef": {"name": "vault", "key": "password"}},
        ],
        "onHandshake": {"inbound": [{"setHeader": {
            "name": "X-Values",
            "values": ["${values.sea}/${values.ship}/${values.password}"],
        }}]},
    });
    stage.patch("WebSocketApi", "api", &api).await?;
    let got = stage.backend_header(stage.request(""), "x-values").await?;
    assert_eq!(got, ["baltic/ketch/tell nobody"]);
    for map in stage.scene.namespace().list("ConfigMap").await? {
        let text = map.to_string();
        assert!(
            !text.contains("tell nobody"),
            "a secret in a ConfigMap: {text}"
        );
    }
    Ok(())
}
