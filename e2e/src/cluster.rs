//! A real control plane: the one of KUBECONFIG, or our own started by the scripts in `cluster/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::kubectl::{Kubectl, script};
use crate::{keeper, paths};

/// A control plane with Tidegate's kinds installed.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    kubectl: Kubectl,
    /// Where its state lies when it is ours.
    work: Option<PathBuf>,
}

impl Cluster {
    /// The one that all tests of this process share. Nobody may break it.
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED
            .get_or_try_init(async || match std::env::var_os("KUBECONFIG") {
                Some(given) => Self::given(given.into()).await,
                None => Self::start().await,
            })
            .await
    }

    /// One of one's own, to break. Dropping it takes it down.
    pub async fn start() -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let work = keeper::directory()?.join(format!("cluster-{number}"));
        let started = work.clone();
        spawn_blocking(move || {
            script(&paths::own("cluster/build.sh"), &[])?;
            up(&started)
        })
        .await??;
        let cluster = Self {
            kubeconfig: work.join("kubeconfig"),
            kubectl: Kubectl::new(program("kubectl").await?, work.join("kubeconfig")),
            work: Some(work),
        };
        cluster.install_kinds().await?;
        Ok(cluster)
    }

    async fn given(kubeconfig: PathBuf) -> anyhow::Result<Self> {
        let cluster = Self {
            kubectl: Kubectl::new(program("kubectl").await?, kubeconfig.clone()),
            kubeconfig,
            work: None,
        };
        cluster.install_kinds().await?;
        Ok(cluster)
    }

    /// Its kubeconfig, with all rights.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// kubectl for it.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// A client for reading; valid in the runtime of the test that asks for it.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        let file = kube::config::Kubeconfig::read_from(&self.kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await?;
        Ok(kube::Client::try_from(config)?)
    }

    /// Kills the API server. Only for a cluster of one's own.
    pub async fn stop_api_server(&self) -> anyhow::Result<()> {
        self.member("stop").await
    }

    /// Starts the API server again.
    pub async fn start_api_server(&self) -> anyhow::Result<()> {
        self.member("start").await
    }

    async fn member(&self, verb: &'static str) -> anyhow::Result<()> {
        let work = self.work.clone().context("this cluster is not ours")?;
        spawn_blocking(move || {
            let work = work.to_string_lossy();
            let arguments = [verb, "kube-apiserver", &work];
            script(&paths::own("cluster/member.sh"), &arguments)
        })
        .await??;
        Ok(())
    }

    async fn install_kinds(&self) -> anyhow::Result<()> {
        let crds = paths::tree().join("crds");
        let crds = crds.to_string_lossy();
        self.kubectl
            .run(&["apply", "--server-side", "--force-conflicts", "-f", &crds])
            .await?;
        let established = ["wait", "--for=condition=Established", "--timeout=20s"];
        self.kubectl
            .run(&[&established[..], &["-f", &crds]].concat())
            .await?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(work) = &self.work {
            let _ = Command::new(paths::own("cluster/down.sh"))
                .arg(work)
                .status();
        }
    }
}

/// Tries again when another process took one of the ports between our look and its use.
fn up(work: &Path) -> anyhow::Result<()> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let output = Command::new(paths::own("cluster/up.sh"))
            .arg(work)
            .env("API_PORT", paths::free_port()?.to_string())
            .env("STORE_PORT", paths::free_port()?.to_string())
            .env("PEER_PORT", paths::free_port()?.to_string())
            .output()?;
        let log = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return Ok(());
        }
        ensure!(attempts < 3, "the control plane did not start: {log}");
    }
}

async fn program(name: &'static str) -> anyhow::Result<PathBuf> {
    if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") {
        let path = Path::new(&assets).join(name);
        if path.exists() {
            return Ok(path);
        }
    }
    let build = || script(&paths::own("cluster/build.sh"), &[name]);
    Ok(Path::new(&spawn_blocking(build).await??).join(name))
}
