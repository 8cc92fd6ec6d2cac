//! Where a command looks: a cluster, or the manifests that `tidegate run` serves.

use std::path::PathBuf;

use clap::Args;

use crate::cluster::{Cluster, ClusterArgs};
use crate::input::{Input, InputArgs};
use crate::planned::Manifests;
use crate::state_dir;

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
    /// Read the directories below those of --dir too, except those whose name begins with a dot.
    #[arg(long, short = 'R', requires = "paths")]
    pub recursive: bool,
    /// Directory where `tidegate run` keeps generated subscription keys. Default: .tidegate in the first directory of
    /// --dir, or beside the first file.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// What was opened.
pub enum Target {
    /// A cluster.
    Cluster(Cluster),
    /// Manifests.
    Manifests(Box<Manifests>),
}

impl TargetArgs {
    /// Opens the cluster or the manifests. No manifest is read yet.
    ///
    /// # Errors
    ///
    /// When there is no kubeconfig, or it cannot be used; when a path does not exist.
    pub async fn open(&self) -> anyhow::Result<Target> {
        if self.paths.is_empty() {
            return self.cluster.connect().await.map(Target::Cluster);
        }
        let input = Input::open(&InputArgs {
            paths: self.paths.clone(),
            recursive: self.recursive,
            namespace: String::new(),
        })?;
        let state_dir = state_dir::of(self.state_dir.as_deref(), &self.paths);
        let manifests = Manifests::new(input, &state_dir);
        Ok(Target::Manifests(Box::new(manifests)))
    }
}
