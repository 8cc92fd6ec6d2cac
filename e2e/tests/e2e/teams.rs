//! A team subscribes to another team's product: it asks, the owner decides, and neither sees the other's namespace.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::Client;
use tidegate_e2e::scene::{Scene, Served};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

use crate::approval::HEADER;

/// Subscribes in its own namespace, and has no right elsewhere.
const CONSUMER: &str = "team-consumer";
/// Decides in the product's namespace, and has no right elsewhere.
const OWNER: &str = "shop-owner";
/// May change everything in the product's namespace but decide.
const EDITOR: &str = "shop-editor";

/// A product of one namespace, and another namespace that asks for it.
struct Teams {
    edge: Served,
    shop: Scene,
    team: Scene,
    _echo: Echo,
}

impl Teams {
    async fn open(hint: &str) -> anyhow::Result<Self> {
        let (shop, team) = (Scene::new(hint).await?, Scene::new(hint).await?);
        let echo = Echo::start().await?;
        let edge = shop.gateway("edge").await?;
        let api = json!({"gateways": [{"name": "edge"}], "path": "/chat", "backend": {"url": echo.url()}});
        shop.apply(&object("WebSocketApi", "chat", &api)).await?;
        shop.apply(&object(
            "Product",
            "gold",
            &product(team.namespace().name()),
        ))
        .await?;
        shop.programmed("Product", "gold").await?;
        let subscriptions = rule("subscriptions", &["get", "create", "patch", "delete"]);
        let secrets = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
        grant(&team, CONSUMER, &[subscriptions, secrets]).await?;
        let decide = rule("subscriptionrequests", &["get", "list", "patch", "approve"]);
        grant(&shop, OWNER, &[decide]).await?;
        let edit = rule(
            "subscriptionrequests",
            &["get", "list", "create", "patch", "delete"],
        );
        grant(&shop, EDITOR, &[edit]).await?;
        Ok(Self {
            edge,
            shop,
            team,
            _echo: echo,
        })
    }

    /// The consumer subscribes; gives the name of the request in the shop.
    async fn subscribe(&self) -> anyhow::Result<String> {
        let shop = self.shop.namespace().name();
        let spec = json!({"scope": {"namespace": shop, "product": "gold"}, "owner": "ann"});
        let mine = object("Subscription", "app", &spec);
        self.team.kubectl().apply_as(CONSUMER, &mine).await?;
        self.request().await
    }

    async fn request(&self) -> anyhow::Result<String> {
        eventually(
            "the subscription names its request",
            WAIT_TIMEOUT,
            async || {
                let status = self.team.status("Subscription", "app").await?;
                let name = status["request"].as_str().context("not yet")?;
                let found = self
                    .shop
                    .namespace()
                    .find("SubscriptionRequest", name)
                    .await?;
                found.context("it is not there yet")?;
                Ok(name.to_owned())
            },
        )
        .await
    }

    async fn decide(&self, user: &str, request: &str, approval: Value) -> Result<(), String> {
        let patch = json!({"spec": {"approval": approval}}).to_string();
        let object = format!("wsreq/{request}");
        let arguments = [
            "patch", &object, "--type", "merge", "-p", &patch, "--as", user,
        ];
        let done = self.shop.kubectl().run(&arguments).await;
        done.map(drop).map_err(|error| error.to_string())
    }

    async fn state(&self, wanted: &str) -> anyhow::Result<()> {
        let what = format!("the subscription and its request are {wanted}");
        eventually(&what, WAIT_TIMEOUT, async || {
            let status = self.team.status("Subscription", "app").await?;
            ensure!(status["state"] == wanted, "{status}");
            let name = status["request"].as_str().unwrap_or_default();
            let request = self.shop.status("SubscriptionRequest", name).await?;
            ensure!(request["state"] == wanted, "{request}");
            Ok(())
        })
        .await
    }

    /// A tunnel with the key from the consumer's own Secret.
    async fn tunnel(&self) -> anyhow::Result<Client> {
        let (key, _) = self.team.keys("app").await?;
        eventually("the key opens a tunnel", WAIT_TIMEOUT, async || {
            let client = self.edge.request("/chat").header(HEADER, &key);
            let mut client = client.open().await?;
            client.echo("in").await?;
            Ok(client)
        })
        .await
    }

    async fn refused(&self) -> anyhow::Result<()> {
        let (key, _) = self.team.keys("app").await?;
        let request = self.edge.request("/chat").header(HEADER, &key);
        request.refused_with(401).await?;
        Ok(())
    }

    /// The chart's policy, once it is in effect.
    async fn guard(&self, request: &str) -> anyhow::Result<()> {
        let namespace = self.shop.namespace().name();
        self.shop.apply(&policy(namespace)).await?;
        eventually("an editor may not approve", WAIT_TIMEOUT, async || {
            let patch = r#"{"spec":{"approval":"Approved"}}"#;
            let object = format!("wsreq/{request}");
            let attempt = [
                "patch", &object, "--type", "merge", "-p", patch, "--as", EDITOR,
            ];
            let attempt = [&attempt[..], &["--dry-run=server"]].concat();
            let said = self.shop.kubectl().run(&attempt).await.err();
            let said = said.context("it was taken")?.to_string();
            ensure!(said.contains("may not set spec.approval"), "{said}");
            Ok(())
        })
        .await
    }

    /// What each may not do.
    async fn nobody_else_decides(&self, request: &str) -> anyhow::Result<()> {
        let said = self
            .decide(CONSUMER, request, json!("Approved"))
            .await
            .err();
        assert!(
            said.context("the consumer decided")?
                .contains("cannot get resource")
        );
        let said = self.decide(EDITOR, request, json!("Approved")).await.err();
        assert!(
            said.context("an editor decided")?
                .contains("may not set spec.approval")
        );
        let own = json!({"spec": {"approval": "Approved"}}).to_string();
        let own = [
            "patch",
            "wssub/app",
            "--type",
            "merge",
            "-p",
            &own,
            "--as",
            CONSUMER,
        ];
        let said = self.team.kubectl().run(&own).await.err();
        let said = said.context("the consumer approved itself")?.to_string();
        assert!(
            said.contains("the owner approves in the SubscriptionRequest"),
            "{said}"
        );
        let terms = json!({"spec": {"terms": {"owner": "eve"}}}).to_string();
        let name = format!("wsreq/{request}");
        let terms = [
            "patch", &name, "--type", "merge", "-p", &terms, "--as", OWNER,
        ];
        let said = self.shop.kubectl().run(&terms).await.err();
        let said = said.context("the terms were changed")?.to_string();
        assert!(said.contains("cannot be changed"), "{said}");
        Ok(())
    }
}

/// The chart's policy for one namespace.
fn policy(namespace: &str) -> String {
    let chart = include_str!("../../../charts/tidegate/templates/requestapprovalpolicy.yaml");
    crate::approval::filled(chart, &format!("requests-{namespace}"), namespace)
}

fn product(team: &str) -> Value {
    let label = json!({"kubernetes.io/metadata.name": team});
    json!({
        "apis": [{"name": "chat"}], "approvalRequired": true,
        "subscriptionNamespaces": {"from": "Selector", "selector": {"matchLabels": label}},
    })
}

fn rule(resource: &str, verbs: &[&str]) -> Value {
    json!({"apiGroups": ["tidegate.dev"], "resources": [resource], "verbs": verbs})
}

async fn grant(scene: &Scene, user: &str, rules: &[Value]) -> anyhow::Result<()> {
    let group = "rbac.authorization.k8s.io";
    let metadata = json!({"name": user});
    let role = json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata, "rules": rules});
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": user},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    });
    scene.apply(&role.to_string()).await?;
    scene.apply(&binding.to_string()).await
}

fn object(kind: &str, name: &str, spec: &Value) -> String {
    crate::apply::object(kind, name, spec).to_string()
}

#[tokio::test]
async fn one_team_asks_the_other_decides_and_withdrawn_consent_closes_tunnels() -> anyhow::Result<()>
{
    let teams = Teams::open("teams").await?;
    let request = teams.subscribe().await?;
    teams.state("Submitted").await?;
    teams.refused().await?;
    teams.guard(&request).await?;

    teams.nobody_else_decides(&request).await?;
    teams
        .decide(OWNER, &request, json!("Approved"))
        .await
        .map_err(anyhow::Error::msg)?;
    teams.state("Active").await?;
    let keys = teams.shop.namespace().find("Secret", "app-keys").await?;
    assert!(keys.is_none(), "the keys lie in the owner's namespace");

    // Withdrawn consent, a withdrawn decision, and a deleted product end it each time.
    let mut client = teams.tunnel().await?;
    let closed = json!({"spec": {"subscriptionNamespaces": {"from": "Same", "selector": null}}});
    teams.shop.kubectl().patch("wsprod/gold", &closed).await?;
    assert_eq!(client.closed().await?.0, 1008);
    teams.state("Submitted").await?;
    teams.refused().await?;
    let open = json!({"spec": {"subscriptionNamespaces": {"from": "All"}}});
    teams.shop.kubectl().patch("wsprod/gold", &open).await?;
    let mut client = teams.tunnel().await?;
    teams
        .decide(OWNER, &request, Value::Null)
        .await
        .map_err(anyhow::Error::msg)?;
    assert_eq!(client.closed().await?.0, 1008);
    teams.state("Submitted").await?;
    teams
        .decide(OWNER, &request, json!("Approved"))
        .await
        .map_err(anyhow::Error::msg)?;
    let mut client = teams.tunnel().await?;
    teams.shop.kubectl().run(&["delete", "wsprod/gold"]).await?;
    assert_eq!(client.closed().await?.0, 1008);
    Ok(())
}

#[tokio::test]
async fn other_terms_are_asked_for_anew_and_a_request_goes_with_its_subscription()
-> anyhow::Result<()> {
    let teams = Teams::open("terms").await?;
    let first = teams.subscribe().await?;
    teams
        .decide(OWNER, &first, json!("Approved"))
        .await
        .map_err(anyhow::Error::msg)?;
    teams.state("Active").await?;
    let tracing = json!({"spec": {"allowTracing": true}});
    teams.team.kubectl().patch("wssub/app", &tracing).await?;
    teams.state("Submitted").await?;
    let second = teams.request().await?;
    assert_ne!(first, second);
    let requests = teams.shop.namespace();
    eventually("the first request is gone", WAIT_TIMEOUT, async || {
        let found = requests.find("SubscriptionRequest", &first).await?;
        ensure!(found.is_none(), "{found:?}");
        Ok(())
    })
    .await?;
    teams.team.kubectl().run(&["delete", "wssub/app"]).await?;
    eventually("the second request is gone", WAIT_TIMEOUT, async || {
        let found = requests.find("SubscriptionRequest", &second).await?;
        ensure!(found.is_none(), "{found:?}");
        Ok(())
    })
    .await
}
