//! Where a command looks: a cluster, or the manifests that `tidegate run` serves.

use std::path::PathBuf;

use clap::Args;

use crate::cluster::{Cluster, ClusterArgs};
use crate::planned::Manifests;

/// A cluster, or manifests.
#[derive(Clone, Debug, Args)]
pub struct TargetArgs {
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Use these manifests, which `tidegate run` serves, and not a cluster. Repeat it for more.
    #[arg(
        long = "dir",
        value_name = "PATH",
        conflicts_with_all = ["namespace", "all_namespaces", "kubeconfig", "context", "user"],
    )]
    pub paths: Vec<PathBuf>,
    /// Directory where `tidegate run` keeps generated subscription keys and the token of its admin servers.
    #[arg(long, default_value = ".tidegate", value_name = "DIR")]
    pub state_dir: PathBuf,
}

/// What was opened.
pub enum Target {
    /// A cluster.
    Cluster(Cluster),
    /// Manifests.
    Manifests(Box<Manifests>),
}

impl TargetArgs {
    /// Opens the cluster or the manifests. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// When there is no kubeconfig, or it cannot be used.
    pub async fn open(&self) -> anyhow::Result<Target> {
        if self.paths.is_empty() {
            return self.cluster.connect().await.map(Target::Cluster);
        }
        let manifests = Manifests::new(self.paths.clone(), &self.state_dir);
        Ok(Target::Manifests(Box::new(manifests)))
    }
}
