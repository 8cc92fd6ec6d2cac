//! Reads from a cluster what the checks judge. What may not be read is a fact too.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use serde_json::Value;
use tidegate_api::{GROUP, LABEL_MANAGED_BY, MANAGED_BY, VERSION};
use tidegate_config::LABEL_GATEWAY;

use super::operators::OperatorFacts;
use super::rights;
use crate::cluster::{Cluster, Trouble, answer, list};
use crate::status::{StatusView, observe};

/// Labels of the operator's Deployment in the chart.
const OPERATOR_LABELS: &str =
    "app.kubernetes.io/part-of=tidegate,app.kubernetes.io/component=operator";

/// An operator, and the rights that it lacks.
pub(super) type CheckedOperator = (OperatorFacts, Result<Vec<String>, Trouble>);

/// What was read.
pub(super) struct Facts {
    /// Version of the API server.
    pub(super) server: Result<String, Trouble>,
    /// The OpenAPI document of the group; `None`: there is no such group.
    pub(super) kinds: Result<Option<Value>, Trouble>,
    /// The operators, and the rights that each lacks.
    pub(super) operators: Result<Vec<CheckedOperator>, Trouble>,
    pub(super) leases: Result<Vec<Arc<Lease>>, Trouble>,
    /// Deployments of gateways.
    pub(super) gateways: Result<Vec<Arc<Deployment>>, Trouble>,
    /// Pods of gateways and operators.
    pub(super) pods: Result<Vec<Arc<Pod>>, Trouble>,
    /// Gateways, pods and objects that are not well.
    pub(super) view: Result<StatusView, Trouble>,
}

pub(super) async fn collect(cluster: &Cluster) -> Facts {
    let client = cluster.client();
    Facts {
        server: version(client).await,
        kinds: kinds(client).await,
        operators: operators(client).await,
        leases: list(&Api::<Lease>::all(client.clone()), "", "Lease").await,
        gateways: gateways(cluster).await,
        pods: pods(cluster).await,
        view: observe(cluster).await,
    }
}

async fn version(client: &Client) -> Result<String, Trouble> {
    let version = answer(client.apiserver_version()).await;
    Ok(version
        .map_err(|trouble| trouble.about("read the version"))?
        .git_version)
}

/// Everybody who is known to the API server may read this, unlike the definitions themselves.
async fn kinds(client: &Client) -> Result<Option<Value>, Trouble> {
    let request = http::Request::get(format!("/openapi/v3/apis/{GROUP}/{VERSION}"));
    let request = request.body(Vec::new()).map_err(kube::Error::HttpError)?;
    match answer(client.request::<Value>(request)).await {
        Ok(document) => Ok(Some(document)),
        Err(Trouble::NoKind { .. } | Trouble::NotFound { .. }) => Ok(None),
        Err(trouble) => Err(trouble.about("read the kinds")),
    }
}

async fn operators(client: &Client) -> Result<Vec<CheckedOperator>, Trouble> {
    let api = Api::<Deployment>::all(client.clone());
    let mut operators = Vec::new();
    for deployment in list(&api, OPERATOR_LABELS, "Deployment").await? {
        let operator = OperatorFacts::of(&deployment);
        let missing = rights::missing(client, &operator).await;
        operators.push((operator, missing));
    }
    Ok(operators)
}

async fn gateways(cluster: &Cluster) -> Result<Vec<Arc<Deployment>>, Trouble> {
    let labels = format!("{LABEL_GATEWAY},{LABEL_MANAGED_BY}={MANAGED_BY}");
    list(&cluster.api(), &labels, "Deployment").await
}

async fn pods(cluster: &Cluster) -> Result<Vec<Arc<Pod>>, Trouble> {
    let mut pods = list::<Pod>(&cluster.api(), LABEL_GATEWAY, "Pod").await?;
    let operators = Api::<Pod>::all(cluster.client().clone());
    pods.extend(list(&operators, OPERATOR_LABELS, "Pod").await?);
    Ok(pods)
}
