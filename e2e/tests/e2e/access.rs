//! Subscriptions: who gets in, and whose tunnels end.

use serde_json::{Value, json};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::Client;
use tidegate_e2e::scene::{Scene, Served};
use tidegate_e2e::token::Signer;

const MISSING: &str = "Access denied due to missing subscription key. Make sure to include \
                       subscription key when making requests to an API.";
const INVALID: &str = "Access denied due to invalid subscription key. Make sure to provide a \
                       valid key for an active subscription.";
const HEADER: &str = "ocp-apim-subscription-key";

/// Two protected APIs, `red` and `blue`; the product `paint` holds `red`.
struct Shop {
    echo: Echo,
    edge: Served,
    scene: Scene,
}

impl Shop {
    async fn open(hint: &str) -> anyhow::Result<Self> {
        let scene = Scene::new(hint).await?;
        let echo = Echo::start().await?;
        let edge = scene.gateway("edge").await?;
        let api = |name: &str| {
            json!({
                "apiVersion": "tidegate.dev/v1alpha1", "kind": "WebSocketApi",
                "metadata": {"name": name},
                "spec": {
                    "gateways": [{"name": "edge"}], "path": format!("/{name}"),
                    "backend": {"url": echo.url()},
                },
            })
        };
        let product = object("Product", "paint", &json!({"apis": [{"name": "red"}]}));
        for object in [api("red"), api("blue"), product] {
            scene.apply(&object.to_string()).await?;
        }
        for api in ["red", "blue"] {
            scene.programmed("WebSocketApi", api).await?;
        }
        scene.programmed("Product", "paint").await?;
        Ok(Self { echo, edge, scene })
    }

    /// A subscription in effect, and its keys.
    async fn subscribe(&self, name: &str, spec: &Value) -> anyhow::Result<(String, String)> {
        let subscription = object("Subscription", name, spec);
        self.scene.apply(&subscription.to_string()).await?;
        self.scene.programmed("Subscription", name).await?;
        self.scene.keys(name).await
    }

    async fn tunnel(&self, api: &str, key: &str) -> anyhow::Result<Client> {
        let mut client = self.edge.request(&format!("/{api}")).header(HEADER, key);
        client = client.header("origin", "https://e2e.example");
        let mut client = client.open().await?;
        client.echo("in").await?;
        Ok(client)
    }

    async fn refused(&self, api: &str, key: &str, message: &str) -> anyhow::Result<()> {
        let request = self.edge.request(&format!("/{api}")).header(HEADER, key);
        let refused = request.refused_with(401).await?;
        assert_eq!(refused.message()?, message, "{api}");
        Ok(())
    }

    async fn patch(&self, object: &str, spec: Value) -> anyhow::Result<()> {
        let patch = json!({ "spec": spec });
        self.scene.kubectl().patch(object, &patch).await
    }
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name}, "spec": spec,
    })
}

fn product() -> Value {
    json!({"scope": {"product": "paint"}})
}

#[tokio::test]
async fn a_key_opens_by_header_or_query_and_stays_at_the_gateway() -> anyhow::Result<()> {
    let shop = Shop::open("keys").await?;
    let (primary, secondary) = shop.subscribe("alice", &product()).await?;
    assert_ne!(primary, secondary);
    for key in [&primary, &secondary] {
        shop.tunnel("red", key).await?;
        let head = shop.echo.last_head()?;
        assert_eq!(head.get(HEADER), None);

        let target = format!("/red?a=1&subscription-key={key}&b=2");
        shop.edge.request(&target).open().await?.echo("in").await?;
        assert_eq!(shop.echo.last_head()?.target(), "/?a=1&b=2");
    }
    // The header decides when both are there.
    let target = format!("/red?subscription-key={primary}");
    let both = shop.edge.request(&target).header(HEADER, "wrong");
    assert_eq!(both.refused_with(401).await?.message()?, INVALID);
    Ok(())
}

#[tokio::test]
async fn without_a_valid_key_the_answer_says_which_is_missing_or_wrong() -> anyhow::Result<()> {
    let shop = Shop::open("no-keys").await?;
    let refused = shop.edge.request("/red").refused_with(401).await?;
    assert_eq!(refused.message()?, MISSING);
    assert!(refused.header("www-authenticate").is_some(), "{refused:?}");
    shop.refused("red", "made-up-made-up-made-up", INVALID)
        .await?;
    assert!(
        shop.echo.heads().is_empty(),
        "none of these reached the backend"
    );
    let labels = [("reason", "subscription_key_invalid")];
    let metrics = shop.edge.gateway.metrics().await?;
    assert_eq!(metrics.value("tidegate_handshakes_total", &labels)?, 1.0);
    Ok(())
}

#[tokio::test]
async fn a_scope_opens_what_it_names_and_nothing_else() -> anyhow::Result<()> {
    let shop = Shop::open("scopes").await?;
    let cases = [
        ("by-product", json!({"product": "paint"}), true, false),
        ("by-api", json!({"api": "blue"}), false, true),
        ("by-gateway", json!({"gateway": "edge"}), true, true),
    ];
    for (name, scope, red, blue) in cases {
        let (key, _) = shop.subscribe(name, &json!({ "scope": scope })).await?;
        for (api, opens) in [("red", red), ("blue", blue)] {
            if opens {
                shop.tunnel(api, &key).await?;
            } else {
                shop.refused(api, &key, INVALID).await?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_open_product_needs_no_key() -> anyhow::Result<()> {
    let shop = Shop::open("open-product").await?;
    shop.patch("wsprod/paint", json!({"subscriptionRequired": false}))
        .await?;
    shop.edge.answers("/red", 101).await?;
    shop.edge.answers("/blue", 401).await?;
    // A key that opens nothing is not better than none: it is wrong.
    shop.refused("blue", "made-up-made-up-made-up", INVALID)
        .await
}

#[tokio::test]
async fn names_of_the_key_are_the_apis_choice() -> anyhow::Result<()> {
    let shop = Shop::open("key-names").await?;
    let names = json!({"header": "Api-Key", "query": "api-key", "keep": true});
    shop.patch("wsapi/red", json!({ "subscriptionKey": names }))
        .await?;
    let (key, _) = shop.subscribe("alice", &product()).await?;
    shop.scene.programmed("WebSocketApi", "red").await?;
    let request = shop.edge.request("/red").header("api-key", &*key);
    request.open().await?.echo("in").await?;
    assert_eq!(shop.echo.last_head()?.get("api-key"), Some(&*key));
    let target = format!("/red?api-key={key}");
    shop.edge.request(&target).open().await?.echo("in").await?;
    shop.refused("red", &key, MISSING).await
}

#[tokio::test]
async fn a_renewed_key_ends_the_tunnels_of_the_old_one_alone() -> anyhow::Result<()> {
    let shop = Shop::open("rotation").await?;
    let (primary, secondary) = shop.subscribe("alice", &product()).await?;
    let mut by_primary = shop.tunnel("red", &primary).await?;
    let mut by_secondary = shop.tunnel("red", &secondary).await?;
    shop.patch("wssub/alice", json!({"keys": {"primaryGeneration": 2}}))
        .await?;
    assert_eq!(by_primary.closed().await?.0, 1008);
    shop.scene.programmed("Subscription", "alice").await?;
    let (renewed, same) = shop.scene.keys("alice").await?;
    assert_ne!(renewed, primary);
    assert_eq!(same, secondary);
    by_secondary.echo("still in").await?;
    shop.refused("red", &primary, INVALID).await?;
    shop.tunnel("red", &renewed).await?;
    Ok(())
}

#[tokio::test]
async fn whatever_ends_access_ends_its_tunnels() -> anyhow::Result<()> {
    let shop = Shop::open("endings").await?;
    let (bystander, _) = shop
        .subscribe("bystander", &json!({"scope": {"api": "red"}}))
        .await?;
    let mut bystander = shop.tunnel("red", &bystander).await?;
    let cases = [
        (
            "suspended",
            "wssub/alice",
            json!({"state": "Suspended"}),
            json!({"state": "Active"}),
        ),
        (
            "unpublished",
            "wsprod/paint",
            json!({"state": "NotPublished"}),
            json!({"state": "Published"}),
        ),
        (
            "taken out of the product",
            "wsprod/paint",
            json!({"apis": [{"name": "blue"}]}),
            json!({"apis": [{"name": "red"}]}),
        ),
    ];
    let (key, _) = shop.subscribe("alice", &product()).await?;
    for (case, object, end, restore) in cases {
        let mut tunnel = shop.tunnel("red", &key).await?;
        shop.patch(object, end).await?;
        let (code, reason) = tunnel.closed().await?;
        assert_eq!(code, 1008, "{case}: {reason}");
        shop.refused("red", &key, INVALID).await?;
        shop.patch(object, restore).await?;
        let target = format!("/red?subscription-key={key}");
        shop.edge.answers(&target, 101).await?;
    }
    let mut tunnel = shop.tunnel("red", &key).await?;
    shop.scene.kubectl().delete(&["wssub/alice"]).await?;
    assert_eq!(tunnel.closed().await?.0, 1008, "deleted");
    bystander.echo("never noticed").await
}

#[tokio::test]
async fn an_expired_subscription_ends_its_tunnels_on_time() -> anyhow::Result<()> {
    let shop = Shop::open("expiry").await?;
    let (key, _) = shop.subscribe("alice", &product()).await?;
    let mut tunnel = shop.tunnel("red", &key).await?;
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4);
    let soon = soon.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    shop.patch("wssub/alice", json!({ "expiresAt": soon }))
        .await?;
    tunnel.echo("still in").await?;
    assert_eq!(tunnel.closed().await?.0, 1008);
    shop.refused("red", &key, INVALID).await?;
    let what = "the status says Expired";
    tidegate_e2e::wait::eventually(what, std::time::Duration::from_secs(20), async || {
        let status = shop.scene.status("Subscription", "alice").await?;
        anyhow::ensure!(status["state"] == "Expired", "{status}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_api_that_is_gone_takes_its_tunnels_along() -> anyhow::Result<()> {
    let shop = Shop::open("gone").await?;
    let (key, _) = shop
        .subscribe("alice", &json!({"scope": {"gateway": "edge"}}))
        .await?;
    let mut red = shop.tunnel("red", &key).await?;
    let mut blue = shop.tunnel("blue", &key).await?;
    shop.scene.kubectl().delete(&["wsapi/red"]).await?;
    assert_eq!(red.closed().await?.0, 1001);
    shop.edge.answers("/red", 404).await?;
    blue.echo("never noticed").await
}

#[tokio::test]
async fn keys_that_the_user_supplies_are_used_as_they_are() -> anyhow::Result<()> {
    let shop = Shop::open("own-keys").await?;
    let secret = |first: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"},
            "stringData": {"primaryKey": first, "secondaryKey": "my-very-own-second-key"},
        })
        .to_string()
    };
    shop.scene.apply(&secret("my-very-own-first-key")).await?;
    let spec = json!({"scope": {"product": "paint"}, "keys": {"secretName": "mine"}});
    let alice = object("Subscription", "alice", &spec);
    shop.scene.apply(&alice.to_string()).await?;
    shop.scene.programmed("Subscription", "alice").await?;
    for key in ["my-very-own-first-key", "my-very-own-second-key"] {
        shop.tunnel("red", key).await?;
    }
    shop.scene.apply(&secret("short")).await?;
    let what = "a condition says that the key is too short";
    tidegate_e2e::wait::eventually(what, std::time::Duration::from_secs(20), async || {
        let status = shop.scene.status("Subscription", "alice").await?;
        let conditions = status["conditions"].to_string();
        anyhow::ensure!(conditions.contains("16 characters"), "{conditions}");
        Ok(())
    })
    .await?;
    shop.refused("red", "short", INVALID).await
}

#[tokio::test]
async fn a_product_may_ask_for_approval() -> anyhow::Result<()> {
    let shop = Shop::open("approval").await?;
    shop.patch("wsprod/paint", json!({"approvalRequired": true}))
        .await?;
    let alice = object("Subscription", "alice", &product());
    shop.scene.apply(&alice.to_string()).await?;
    let (key, _) = shop.scene.keys("alice").await?;
    let state = async |state: &str| {
        let what = format!("alice is {state}");
        tidegate_e2e::wait::eventually(&what, std::time::Duration::from_secs(20), async || {
            let status = shop.scene.status("Subscription", "alice").await?;
            anyhow::ensure!(status["state"] == state, "{status}");
            Ok(())
        })
        .await
    };
    state("Submitted").await?;
    shop.refused("red", &key, INVALID).await?;
    shop.patch("wssub/alice", json!({"approval": "Approved"}))
        .await?;
    state("Active").await?;
    let target = format!("/red?subscription-key={key}");
    shop.edge.answers(&target, 101).await?;
    shop.patch("wssub/alice", json!({"approval": "Rejected"}))
        .await?;
    state("Rejected").await?;
    shop.edge.answers(&target, 401).await
}

#[tokio::test]
async fn an_expired_token_ends_its_tunnel() -> anyhow::Result<()> {
    let shop = Shop::open("token-expiry").await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "jwt"},
        "stringData": {"hmac": "a secret of the test, 32 bytes or more"},
    });
    shop.scene.apply(&secret.to_string()).await?;
    let keys = json!([{"secretKeyRef": {"name": "jwt", "key": "hmac"}}]);
    let policy = json!({"validateJwt": {"query": "token", "keys": keys}});
    let spec = json!({"subscriptionRequired": false, "onHandshake": {"inbound": [policy]}});
    shop.patch("wsapi/blue", spec).await?;
    shop.scene.programmed("WebSocketApi", "blue").await?;
    let signer = Signer::hs256("a secret of the test, 32 bytes or more");
    let open = async |seconds| {
        let token = signer.token(seconds, &json!({}))?;
        shop.edge
            .request(&format!("/blue?token={token}"))
            .open()
            .await
    };
    let mut long = open(3600).await?;
    let mut short = open(3).await?;
    short.echo("in").await?;
    assert_eq!(short.closed().await?.0, 1008);
    long.echo("still in").await
}
