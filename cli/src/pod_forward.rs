//! Reaches the admin servers of gateway pods through the API server, as `kubectl port-forward` does: a listener on the
//! loopback address, each connection of which becomes one to the pod's own loopback address.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _};
use tidegate_config::{LABEL_GATEWAY, ObjectKey, error_chain};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::cluster::{Cluster, Trouble};

/// Name of the admin port of a pod that the operator runs.
const ADMIN: &str = "admin";

/// Port of the admin server of a pod that names none.
const ADMIN_PORT: u16 = 9090;

/// A running pod of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayPod {
    /// The pod.
    pub key: ObjectKey,
    /// Name of its Gateway.
    pub gateway: String,
    /// Port of its admin server.
    pub admin_port: u16,
}

/// The running pods of the Gateways that are meant, sorted by name; `on` names one Gateway, `[NAMESPACE/]NAME`.
///
/// # Errors
///
/// [`Trouble`]: the API server refuses or does not answer.
pub async fn gateway_pods(cluster: &Cluster, on: Option<&str>) -> Result<Vec<GatewayPod>, Trouble> {
    let (api, labels) = match on.map(|name| cluster.object_key(name)) {
        None => (cluster.api(), LABEL_GATEWAY.to_owned()),
        Some(key) => {
            let api = Api::namespaced(cluster.client().clone(), &key.namespace);
            (api, format!("{LABEL_GATEWAY}={}", key.name))
        }
    };
    let pods: Vec<Arc<Pod>> = crate::cluster::list(&api, &labels, "Pod").await?;
    let mut found: Vec<_> = pods.iter().filter_map(|pod| running(pod)).collect();
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// `None` for a pod that does not run, or that goes.
fn running(pod: &Pod) -> Option<GatewayPod> {
    let phase = pod.status.as_ref()?.phase.as_deref();
    if phase != Some("Running") || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let admin = ports.find(|port| port.name.as_deref() == Some(ADMIN));
    let admin = admin.and_then(|port| u16::try_from(port.container_port).ok());
    Some(GatewayPod {
        key: ObjectKey::new(pod.namespace().unwrap_or_default(), pod.name_any()),
        gateway: pod.labels().get(LABEL_GATEWAY)?.clone(),
        admin_port: admin.unwrap_or(ADMIN_PORT),
    })
}

/// A way to a pod's admin server. It ends when this is dropped.
pub struct Forward {
    url: String,
    _tasks: JoinSet<()>,
}

impl Forward {
    /// Opens a way. The pod is reached with the first connection.
    ///
    /// # Errors
    ///
    /// When no port of the loopback address is free.
    pub async fn open(client: Client, pod: GatewayPod) -> anyhow::Result<Self> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.context("failed to listen on the loopback address")?;
        let port = listener.local_addr()?.port();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, client, pod));
        Ok(Self {
            url: format!("http://127.0.0.1:{port}"),
            _tasks: tasks,
        })
    }

    /// Where the admin server answers.
    pub fn url(&self) -> &str {
        &self.url
    }
}

async fn accept(listener: TcpListener, client: Client, pod: GatewayPod) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (client, pod) = (client.clone(), pod.clone());
        connections.spawn(async move {
            if let Err(error) = connect(stream, client, &pod).await {
                let why = error_chain(error.as_ref());
                eprintln!("pod {}: failed to forward a port: {why}", pod.key);
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(mut stream: TcpStream, client: Client, pod: &GatewayPod) -> anyhow::Result<()> {
    let pods = Api::<Pod>::namespaced(client, &pod.key.namespace);
    let forwarding = pods.portforward(&pod.key.name, &[pod.admin_port]).await;
    let mut forwarder = forwarding.map_err(Trouble::from)?;
    let port = pod.admin_port;
    let (Some(mut far), Some(failed)) = (forwarder.take_stream(port), forwarder.take_error(port))
    else {
        return Ok(());
    };
    tokio::select! {
        Some(failure) = failed => anyhow::bail!("{failure}"),
        // Either side may go away whenever it likes.
        _ = tokio::io::copy_bidirectional(&mut stream, &mut far) => {}
    }
    drop(far);
    let _ = forwarder.join().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::ClusterArgs;
    use crate::testing::client;

    fn pod(name: &str, phase: &str, ports: Value) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop", "labels": {LABEL_GATEWAY: "edge"}},
            "spec": {"containers": [{"name": "gateway", "ports": ports}]}, "status": {"phase": phase}})
    }

    #[tokio::test]
    async fn running_pods_of_the_gateway_are_found_with_their_admin_port() {
        let named = json!([{"name": "plain", "containerPort": 9090}, {"name": "admin", "containerPort": 9091}]);
        let mut going = pod("going", "Running", json!([]));
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let items = json!([
            pod("b", "Running", named),
            pod("a", "Running", json!([])),
            pod("c", "Pending", json!([])),
            going
        ]);
        let list = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items});
        let (client, requests) = client(move |_, _| (200, list.clone()));
        let cluster = Cluster::of(client, &ClusterArgs::default());
        let found = gateway_pods(&cluster, Some("shop/edge")).await.unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|pod| (pod.key.to_string(), pod.admin_port))
            .collect();
        let expected = [("shop/a".to_owned(), 9090), ("shop/b".to_owned(), 9091)];
        assert_eq!(found, expected);
        let request = requests.lock().unwrap()[0].0.clone();
        assert!(request.contains("/namespaces/shop/pods?"), "{request}");
        assert!(
            request.contains("labelSelector=tidegate.dev%2Fgateway%3Dedge"),
            "{request}"
        );
    }
}
