//! The running gateways that a command asks: pods of a cluster, or the admin servers of named addresses.

use std::path::PathBuf;

use clap::Args;
use tidegate_config::ObjectKey;

use crate::admin_client::AdminServer;
use crate::cluster::ClusterArgs;
use crate::pod_forward::{Forward, gateway_pods};
use crate::state_dir;

/// Which running gateways, and where their token is.
#[derive(Clone, Debug, Args)]
pub struct RunningArgs {
    /// URL of a running gateway's admin server, for example http://127.0.0.1:9090, instead of the pods of a cluster.
    /// Repeat it for more.
    #[arg(long = "gateway", value_name = "URL")]
    pub urls: Vec<String>,
    /// Only this Gateway. Default: all Gateways of the namespace.
    #[arg(long, value_name = "[NAMESPACE/]NAME", conflicts_with = "urls")]
    pub on: Option<String>,
    /// File with the token of those gateways. Default: the token is looked up.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Directory where `tidegate run` keeps generated subscription keys and the token of its admin servers. Default:
    /// .tidegate in the working directory.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// A running gateway.
pub struct Running<'a> {
    /// Its admin server.
    pub server: AdminServer<'a>,
    /// The Gateway of a pod.
    pub gateway: Option<ObjectKey>,
    /// Keeps the way to its pod open.
    _forward: Option<Forward>,
}

impl RunningArgs {
    /// The running gateways, at least one. The way to a pod is opened with the first request.
    ///
    /// # Errors
    ///
    /// When the pods cannot be listed, or there is none.
    pub async fn find(&self) -> anyhow::Result<Vec<Running<'_>>> {
        if !self.urls.is_empty() {
            let servers = self.urls.iter();
            let servers = servers.map(|url| self.server(url.clone(), url.clone()));
            let running = servers.map(|server| Running {
                server,
                gateway: None,
                _forward: None,
            });
            return Ok(running.collect());
        }
        let cluster = self.cluster.connect().await?;
        let mut running = Vec::new();
        for pod in gateway_pods(&cluster, self.on.as_deref()).await? {
            let name = format!("pod {}", pod.key);
            let gateway = ObjectKey::new(&pod.key.namespace, &pod.gateway);
            let forward = Forward::open(cluster.client().clone(), pod).await?;
            running.push(Running {
                server: self.server(forward.url().to_owned(), name),
                gateway: Some(gateway),
                _forward: Some(forward),
            });
        }
        anyhow::ensure!(
            !running.is_empty(),
            "there is no running gateway pod in {}; name a namespace with -n or -A, or an admin server with --gateway",
            cluster.namespace().map_or_else(
                || "the cluster".to_owned(),
                |name| format!("namespace {name}")
            )
        );
        Ok(running)
    }

    fn server(&self, url: String, name: String) -> AdminServer<'_> {
        AdminServer {
            url,
            name,
            token_file: self.token_file.as_deref(),
            state_dir: state_dir::of(self.state_dir.as_deref(), &[]),
            cluster: &self.cluster,
        }
    }
}
