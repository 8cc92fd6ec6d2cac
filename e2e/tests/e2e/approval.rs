//! Who may approve a subscription, and what an approval covers: the kind's schema, the chart's
//! admission policy and the operator agree.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::cluster::Cluster;
use tidegate_e2e::program::Operator;
use tidegate_e2e::scene::{Scene, Served};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

pub(crate) const HEADER: &str = "ocp-apim-subscription-key";

/// May create and change subscriptions, not approve them.
pub(crate) const CONSUMER: &str = "consumer";
/// May do both.
pub(crate) const APPROVER: &str = "approver";

/// The chart's policy for one namespace.
fn policy(namespace: &str) -> String {
    let chart = include_str!("../../../charts/tidegate/templates/approvalpolicy.yaml");
    filled(chart, &format!("approval-{namespace}"), namespace)
}

/// A policy of the chart, its few templates filled in.
pub(crate) fn filled(chart: &str, name: &str, namespace: &str) -> String {
    let line = |line: &str| {
        let text = line.trim_start();
        if text.starts_with("{{- include \"tidegate.metadata\"") {
            format!("  name: {name}\n")
        } else if text.starts_with("{{") {
            String::new()
        } else if text.starts_with("policyName:") {
            format!("  policyName: {name}\n")
        } else if text.starts_with("values: {{") {
            format!("        values: [{namespace}]\n")
        } else if text.starts_with("failurePolicy:") {
            "  failurePolicy: Fail\n".to_owned()
        } else {
            format!("{line}\n")
        }
    };
    chart.lines().map(line).collect()
}

/// Two APIs, each in a product that asks for approval; the users' rights; a subscription to `trial`.
pub(crate) struct Market {
    pub(crate) edge: Served,
    pub(crate) scene: Scene,
    _echo: Echo,
}

impl Market {
    pub(crate) async fn open(scene: Scene) -> anyhow::Result<Self> {
        let echo = Echo::start().await?;
        let edge = scene.gateway("edge").await?;
        for name in ["trial", "payments"] {
            let api = json!({"gateways": [{"name": "edge"}], "path": format!("/{name}"),
                "backend": {"url": echo.url()}});
            let product = json!({"apis": [{"name": name}], "approvalRequired": true});
            for (kind, spec) in [("WebSocketApi", api), ("Product", product)] {
                scene.apply(&object(kind, name, &spec)).await?;
            }
            scene.programmed("Product", name).await?;
        }
        for (user, verbs) in [
            (CONSUMER, json!(["get", "create", "update", "patch"])),
            (
                APPROVER,
                json!(["get", "create", "update", "patch", "approve"]),
            ),
        ] {
            let role = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": user},
                "rules": [{"apiGroups": ["tidegate.dev"], "resources": ["subscriptions"], "verbs": verbs}],
            });
            scene.apply(&role.to_string()).await?;
            let (role, user) = (format!("--role={user}"), format!("--user={user}"));
            let name = user.trim_start_matches("--user=").to_owned();
            let arguments = [
                "create",
                "rolebinding",
                name.as_str(),
                role.as_str(),
                user.as_str(),
            ];
            scene.kubectl().run(&arguments).await?;
        }
        eventually("the rights have come", WAIT_TIMEOUT, async || {
            for user in [CONSUMER, APPROVER] {
                let may = ["auth", "can-i", "patch", "wssub", "--as", user];
                scene.kubectl().run(&may).await?;
            }
            Ok(())
        })
        .await?;
        let spec = json!({"scope": {"product": "trial"}, "owner": "ann", "expiresAt": "2040-01-01T00:00:00Z"});
        scene.apply(&object("Subscription", "mine", &spec)).await?;
        Ok(Self {
            edge,
            scene,
            _echo: echo,
        })
    }

    /// A merge patch of the subscription by a user; what the API server says when it refuses.
    async fn patch(&self, user: &str, spec: Value) -> Result<(), String> {
        let patch = json!({ "spec": spec }).to_string();
        let arguments = [
            "patch",
            "wssub/mine",
            "--type",
            "merge",
            "-p",
            &patch,
            "--as",
            user,
        ];
        let done = self.scene.kubectl().run(&arguments).await;
        done.map(drop).map_err(|error| error.to_string())
    }

    /// Applies the chart's policy, and waits until it is in effect, a moment later.
    pub(crate) async fn guard(&self, decision: &Value) -> anyhow::Result<()> {
        let namespace = self.scene.namespace().name();
        self.scene.apply(&policy(namespace)).await?;
        let patch = json!({ "spec": decision }).to_string();
        let attempt = ["patch", "wssub/mine", "--type", "merge", "-p", &patch];
        let attempt = [&attempt[..], &["--as", CONSUMER, "--dry-run=server"]].concat();
        eventually("a consumer may not approve", WAIT_TIMEOUT, async || {
            let said = self.scene.kubectl().run(&attempt).await.err();
            let said = said.context("it was taken")?.to_string();
            ensure!(said.contains("may not set spec.approval"), "{said}");
            Ok(())
        })
        .await
    }

    pub(crate) async fn opens(&self, api: &str, status: u16) -> anyhow::Result<()> {
        let (key, _) = self.scene.keys("mine").await?;
        eventually(
            &format!("/{api} answers {status}"),
            WAIT_TIMEOUT,
            async || {
                let request = self.edge.request(&format!("/{api}")).header(HEADER, &key);
                let found = request.send().await?.status();
                ensure!(found == status, "it answers {found}");
                Ok(())
            },
        )
        .await
    }

    async fn state(&self, wanted: &str) -> anyhow::Result<()> {
        eventually(
            &format!("the subscription is {wanted}"),
            WAIT_TIMEOUT,
            async || {
                let object = self.scene.namespace().get("Subscription", "mine").await?;
                let status = &object["status"];
                ensure!(
                    status["observedGeneration"] == object["metadata"]["generation"],
                    "{status}"
                );
                ensure!(status["state"] == wanted, "{status}");
                Ok(())
            },
        )
        .await
    }
}

fn object(kind: &str, name: &str, spec: &Value) -> String {
    crate::apply::object(kind, name, spec).to_string()
}

/// What asks for more than was approved.
fn widened() -> [(&'static str, Value); 6] {
    [
        ("another product", json!({"scope": {"product": "payments"}})),
        (
            "one API",
            json!({"scope": {"product": null, "api": "payments"}}),
        ),
        ("another owner", json!({"owner": "bob"})),
        ("a later end", json!({"expiresAt": "2041-01-01T00:00:00Z"})),
        ("no end", json!({"expiresAt": null})),
        ("tracing", json!({"allowTracing": true})),
    ]
}

#[tokio::test]
async fn an_approval_holds_for_what_was_approved() -> anyhow::Result<()> {
    let market = Market::open(Scene::new("approval-terms").await?).await?;
    let approved = json!({"approval": "Approved"});
    market.guard(&approved).await?;
    market.state("Submitted").await?;
    market.opens("trial", 401).await?;

    market
        .patch(APPROVER, approved.clone())
        .await
        .map_err(anyhow::Error::msg)?;
    market.state("Active").await?;
    market.opens("trial", 101).await?;
    for (name, spec) in widened() {
        let said = market.patch(CONSUMER, spec.clone()).await.err();
        let said = said.with_context(|| format!("{name} was taken"))?;
        assert!(said.contains("raise approvalGeneration"), "{name}: {said}");
        let mut raised = spec.clone();
        raised["approvalGeneration"] = json!(2);
        let said = market.patch(CONSUMER, raised).await.err();
        let said = said.with_context(|| format!("{name} was approved by a consumer"))?;
        assert!(said.contains("may not set spec.approval"), "{name}: {said}");
        let said = market.patch(APPROVER, spec).await.err();
        let said = said.with_context(|| format!("{name} was taken without a new approval"))?;
        assert!(said.contains("raise approvalGeneration"), "{name}: {said}");
    }
    market.opens("trial", 101).await?;

    // Less than was approved, and asking anew, take no right.
    let less = json!({"expiresAt": "2039-01-01T00:00:00Z", "displayName": "Ann's"});
    market
        .patch(CONSUMER, less)
        .await
        .map_err(anyhow::Error::msg)?;
    let anew = json!({"scope": {"product": "payments"}, "approval": null});
    market
        .patch(CONSUMER, anew)
        .await
        .map_err(anyhow::Error::msg)?;
    market.state("Submitted").await?;
    market.opens("payments", 401).await?;
    market
        .patch(APPROVER, approved)
        .await
        .map_err(anyhow::Error::msg)?;
    market.opens("payments", 101).await?;
    // Both at once.
    let back = json!({"scope": {"product": "trial"}, "approvalGeneration": 2});
    market
        .patch(APPROVER, back)
        .await
        .map_err(anyhow::Error::msg)?;
    market.opens("trial", 101).await?;
    market.opens("payments", 401).await
}

/// The kind as an older release has it: no rule looks at what changes.
async fn without_rules(cluster: &Cluster) -> anyhow::Result<String> {
    let get = ["get", "crd", "subscriptions.tidegate.dev", "-o", "json"];
    let mut crd: Value = serde_json::from_str(&cluster.kubectl().run(&get).await?)?;
    crd["metadata"] = json!({"name": "subscriptions.tidegate.dev"});
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let spec = schema["properties"]["spec"].as_object_mut();
    let rules = spec.and_then(|spec| spec.remove("x-kubernetes-validations"));
    ensure!(rules.is_some(), "there was no rule to remove");
    Ok(crd.to_string())
}

#[tokio::test]
async fn each_guard_of_an_approval_holds_without_the_others() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    cluster
        .kubectl()
        .apply_large(&without_rules(&cluster).await?)
        .await?
        .map_err(anyhow::Error::msg)?;
    let _operator = Operator::start(cluster.kubeconfig()).await?;
    let market = Market::open(Scene::on(&cluster, "guards").await?).await?;
    let approved = json!({"approval": "Approved"});
    market
        .patch(APPROVER, approved)
        .await
        .map_err(anyhow::Error::msg)?;
    market.opens("trial", 101).await?;

    // Neither rule nor policy: the operator compares with what was approved.
    let moved = json!({"scope": {"product": "payments"}});
    eventually("the rule is gone", WAIT_TIMEOUT, async || {
        let moved = market.patch(CONSUMER, moved.clone()).await;
        moved.map_err(anyhow::Error::msg)
    })
    .await?;
    market.state("Submitted").await?;
    market.opens("payments", 401).await?;
    let accepted = market
        .scene
        .condition(("Subscription", "mine"), "Accepted", "False")
        .await?;
    assert_eq!(accepted.reason, "ApprovalOutdated");
    assert!(
        accepted.message.contains("was given for product trial"),
        "{accepted:?}"
    );
    let back = json!({"scope": {"product": "trial"}});
    market
        .patch(CONSUMER, back)
        .await
        .map_err(anyhow::Error::msg)?;
    market.opens("trial", 101).await?;

    // No rule: the policy wants the right for each such change.
    market.guard(&json!({"approval": "Rejected"})).await?;
    let again = json!({"approval": "Approved", "approvalGeneration": 2});
    market
        .patch(APPROVER, again)
        .await
        .map_err(anyhow::Error::msg)?;
    for (name, spec) in widened() {
        let said = market.patch(CONSUMER, spec).await.err();
        let said = said.with_context(|| format!("{name} was taken"))?;
        assert!(
            said.contains("of an approved subscription"),
            "{name}: {said}"
        );
    }
    Ok(())
}
