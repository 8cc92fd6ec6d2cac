//! The programs under test, started as a user would start them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use crate::http;
use crate::metrics::Scrape;
use crate::paths;
use crate::process::Process;
use crate::wait::{WAIT_TIMEOUT, eventually};

/// A command line of one of our programs, arguments still to come.
pub fn command(name: &str) -> anyhow::Result<Command> {
    let path = paths::programs()?.join(name);
    ensure!(
        path.exists(),
        "{} is missing: run `make build`",
        path.display()
    );
    let mut command = Command::new(path);
    // What the developer has set must not decide how a test goes.
    for name in ["KUBECONFIG", "RUST_LOG"] {
        command.env_remove(name);
    }
    Ok(command)
}

/// A running `tidegate-operator`.
#[derive(Debug)]
pub struct Operator {
    /// Its process.
    pub process: Process,
    /// Its admin address.
    pub admin: SocketAddr,
}

impl Operator {
    /// Starts one for a whole cluster and waits until it is ready.
    pub async fn start(kubeconfig: &Path) -> anyhow::Result<Self> {
        Self::start_with(kubeconfig, &[]).await
    }

    /// The same with more arguments.
    pub async fn start_with(kubeconfig: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let admin = local(paths::free_port()?);
        let replica = format!("operator-{}", admin.port());
        let mut command = command("tidegate-operator")?;
        command
            .env("KUBECONFIG", kubeconfig)
            .args(["--pod-name", &replica])
            .args(["--admin-address", &admin.to_string()])
            .args(arguments);
        let mut process = Process::spawn("operator", command)?;
        ready(&mut process, admin).await?;
        Ok(Self { process, admin })
    }

    /// Its metrics.
    pub async fn metrics(&self) -> anyhow::Result<Scrape> {
        Scrape::of(self.admin).await
    }
}

/// How to start a `tidegate-gateway`.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// Of the cluster.
    pub kubeconfig: PathBuf,
    /// Of the Gateway.
    pub namespace: String,
    /// The Gateway.
    pub gateway: String,
    /// As which pod.
    pub pod: String,
    /// For its last good configuration.
    pub state: PathBuf,
    /// Address on which its listeners bind.
    pub bind: String,
}

impl GatewayOptions {
    /// Where it looks for the token of its admin server; the test puts it there.
    pub fn admin_token_file(&self) -> PathBuf {
        self.state.with_extension("admin-token")
    }

    /// Where it looks for tokens of its service account; the test puts them there.
    pub fn token_dir(&self) -> PathBuf {
        self.state.with_extension("tokens")
    }
}

/// A running `tidegate-gateway`.
#[derive(Debug)]
pub struct Gateway {
    /// Its process.
    pub process: Process,
    /// Its admin address.
    pub admin: SocketAddr,
}

impl Gateway {
    /// Starts one; it is not ready before it has a configuration.
    pub fn spawn(options: &GatewayOptions) -> anyhow::Result<Self> {
        let admin = local(paths::free_port()?);
        let mut command = command("tidegate-gateway")?;
        command
            .env("KUBECONFIG", &options.kubeconfig)
            .args(["--gateway", &options.gateway])
            .args(["--namespace", &options.namespace])
            .args(["--pod-name", &options.pod])
            .args(["--bind-address", &options.bind])
            .args(["--admin-address", &admin.to_string()])
            .arg("--admin-token-file")
            .arg(options.admin_token_file())
            .arg("--token-dir")
            .arg(options.token_dir())
            .arg("--state-dir")
            .arg(&options.state);
        let process = Process::spawn(&options.pod, command)?;
        Ok(Self { process, admin })
    }

    /// Waits until it is ready.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        ready(&mut self.process, self.admin).await
    }

    /// Its metrics.
    pub async fn metrics(&self) -> anyhow::Result<Scrape> {
        Scrape::of(self.admin).await
    }

    /// Waits until a metric has a value.
    pub async fn metric(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) -> anyhow::Result<()> {
        let what = format!("{name} {labels:?} is {value}");
        eventually(&what, WAIT_TIMEOUT, async || {
            let found = self.metrics().await?.value(name, labels)?;
            ensure!(found == value, "it is {found}");
            Ok(())
        })
        .await
    }

    /// Asks it to drain and waits for its end.
    pub async fn stop(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.process.terminate()?;
        let status = self.process.ended(limit).await?;
        ensure!(status.success(), "the gateway ended with {status}");
        Ok(())
    }
}

async fn ready(process: &mut Process, admin: SocketAddr) -> anyhow::Result<()> {
    eventually(
        &format!("/readyz of {admin} says yes"),
        WAIT_TIMEOUT,
        async || {
            ensure!(process.is_running(), "the process has ended");
            let (status, body) = http::get(admin, "/readyz").await?;
            ensure!(status == 200, "{status} {body}");
            Ok(())
        },
    )
    .await
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
