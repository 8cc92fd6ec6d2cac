//! A namespace of a test's own, and looks at what is in it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kube::Client;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::wait::eventually;

/// A namespace; gone after the test.
pub struct Namespace {
    name: String,
    kubectl: Kubectl,
    client: Client,
    delete: Command,
}

impl Namespace {
    /// A new one whose name starts with `hint`.
    pub async fn create(cluster: &Cluster, hint: &str) -> anyhow::Result<Self> {
        let name = format!("{hint}-{:06x}", rand::random_range(0..1 << 24));
        cluster
            .kubectl()
            .run(&["create", "namespace", &name])
            .await?;
        let kubectl = cluster.kubectl().namespaced(&name);
        let mut delete = kubectl.command();
        delete.args(["delete", "namespace", "--wait=false", &name]);
        Ok(Self {
            client: cluster.client().await?,
            name,
            kubectl,
            delete,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// kubectl in it.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// An object in it; `None` when it is not there.
    pub async fn find(&self, kind: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let path = format!("{}/{name}", self.path(kind)?);
        match self.request(&path).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// An object in it.
    pub async fn get(&self, kind: &str, name: &str) -> anyhow::Result<Value> {
        let object = self.find(kind, name).await?;
        object.with_context(|| format!("no {kind} {name}"))
    }

    /// All objects of a kind in it.
    pub async fn list(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        let list = self.request(&self.path(kind)?).await?;
        let items = list["items"].as_array().context("a list without items")?;
        Ok(items.clone())
    }

    /// Waits until an object's condition has a status, for the newest generation. Its message.
    pub async fn condition(
        &self,
        (kind, name): (&str, &str),
        condition: &str,
        status: &str,
    ) -> anyhow::Result<Condition> {
        let what = format!("{kind}/{name} is {condition}={status}");
        eventually(&what, Duration::from_secs(20), async || {
            let object = self.get(kind, name).await?;
            let found = Condition::of(&object, condition)?;
            ensure!(found.status == status, "{}", object["status"]);
            Ok(found)
        })
        .await
    }

    /// The decoded value of a Secret's key.
    pub async fn secret(&self, name: &str, key: &str) -> anyhow::Result<String> {
        use base64::Engine;
        let secret = self.get("Secret", name).await?;
        let value = secret["data"][key].as_str();
        let value = value.with_context(|| format!("no key {key} in Secret {name}"))?;
        let value = base64::engine::general_purpose::STANDARD.decode(value)?;
        Ok(String::from_utf8(value)?)
    }

    async fn request(&self, path: &str) -> Result<Value, kube::Error> {
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }

    fn path(&self, kind: &str) -> anyhow::Result<String> {
        let base = match kind {
            "Gateway"
            | "WebSocketApi"
            | "Product"
            | "Subscription"
            | "SubscriptionRequest"
            | "PolicyFragment" => "apis/tidegate.dev/v1alpha1",
            "ConfigMap" | "Secret" | "Service" | "ServiceAccount" | "Event" => "api/v1",
            "Deployment" => "apis/apps/v1",
            "Role" | "RoleBinding" => "apis/rbac.authorization.k8s.io/v1",
            "PodDisruptionBudget" => "apis/policy/v1",
            "HorizontalPodAutoscaler" => "apis/autoscaling/v2",
            "Lease" => "apis/coordination.k8s.io/v1",
            unknown => bail!("where does the kind {unknown} lie?"),
        };
        let plural = format!("{}s", kind.to_lowercase());
        Ok(format!("/{base}/namespaces/{}/{plural}", self.name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody waits for it: the namespace's controller does the rest.
        let _ = self.delete.output();
    }
}

/// A condition of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// True, False or Unknown.
    pub status: String,
    /// Why, for programs.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

impl Condition {
    /// The condition `kind` of an object, if it is about the object's newest generation.
    pub fn of(object: &Value, kind: &str) -> anyhow::Result<Self> {
        let conditions = object["status"]["conditions"].as_array();
        let conditions = conditions.context("no conditions yet")?;
        let found = conditions.iter().find(|c| c["type"] == kind);
        let found = found.with_context(|| format!("no condition {kind} in {conditions:?}"))?;
        ensure!(
            found["observedGeneration"] == object["metadata"]["generation"],
            "about generation {}, the object is at {}",
            found["observedGeneration"],
            object["metadata"]["generation"]
        );
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
        })
    }
}
