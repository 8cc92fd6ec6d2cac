//! What most tests start from: a namespace with an operator behind it, and gateways in it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::ensure;
use kube::config::{AuthInfo, Kubeconfig};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::client::Request;
use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::namespace::{Condition, Namespace};
use crate::paths;
use crate::program::{Gateway, GatewayOptions, Operator};
use crate::wait::{WAIT_TIMEOUT, eventually};

/// A namespace of the shared cluster, watched by the shared operator.
pub struct Scene {
    namespace: Namespace,
    kubeconfig: PathBuf,
    state: TempDir,
}

impl Scene {
    /// A new one whose namespace starts with `hint`.
    pub async fn new(hint: &str) -> anyhow::Result<Self> {
        let cluster = Cluster::shared().await?;
        shared_operator(cluster).await?;
        Self::on(cluster, hint).await
    }

    /// One on a cluster of the test's own, which starts its operators itself.
    pub async fn on(cluster: &Cluster, hint: &str) -> anyhow::Result<Self> {
        Ok(Self {
            namespace: Namespace::create(cluster, hint).await?,
            kubeconfig: cluster.kubeconfig().to_owned(),
            state: tempfile::tempdir()?,
        })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// kubectl in its namespace.
    pub fn kubectl(&self) -> &Kubectl {
        self.namespace.kubectl()
    }

    /// `kubectl apply -f -`.
    pub async fn apply(&self, manifest: &str) -> anyhow::Result<()> {
        self.kubectl().apply(manifest).await?;
        Ok(())
    }

    /// Applies a Gateway with one plain listener, whose process we run, and starts that.
    pub async fn gateway(&self, name: &str) -> anyhow::Result<Served> {
        let served = self.gateway_without_process(name, "").await?;
        self.start(served).await
    }

    /// The same with more fields in its spec (YAML, indented by two).
    pub async fn gateway_with(&self, name: &str, spec: &str) -> anyhow::Result<Served> {
        let served = self.gateway_without_process(name, spec).await?;
        self.start(served).await
    }

    /// Applies a Gateway that nobody runs: its port is free, its process to be spawned.
    pub async fn gateway_without_process(
        &self,
        name: &str,
        spec: &str,
    ) -> anyhow::Result<GatewayPlan> {
        let port = paths::free_port()?;
        self.apply(&format!(
            "apiVersion: tidegate.dev/v1alpha1
kind: Gateway
metadata:
  name: {name}
spec:
  deployment: {{managed: false}}
  listeners:
  - {{name: plain, port: {port}, protocol: WS}}
{spec}"
        ))
        .await?;
        Ok(self.plan(name, port))
    }

    /// How to run the process of a Gateway that was applied otherwise.
    pub fn plan(&self, name: &str, port: u16) -> GatewayPlan {
        let options = GatewayOptions {
            kubeconfig: self.kubeconfig.clone(),
            namespace: self.namespace.name().to_owned(),
            gateway: name.to_owned(),
            pod: format!("{name}-0"),
            state: self.state.path().join(name),
            bind: "127.0.0.1".to_owned(),
        };
        GatewayPlan { options, port }
    }

    /// Starts a gateway's process and waits until it is ready.
    pub async fn start(&self, plan: GatewayPlan) -> anyhow::Result<Served> {
        let mut gateway = Gateway::spawn(&plan.options)?;
        gateway.ready().await?;
        Ok(Served { gateway, plan })
    }

    /// Applies an API that needs no subscription, with more fields in its spec (YAML, indented by
    /// two), and waits until it is served.
    pub async fn open_api(
        &self,
        served: &Served,
        name: &str,
        backend: &str,
        spec: &str,
    ) -> anyhow::Result<()> {
        self.apply(&open_api(&served.plan.options.gateway, name, backend, spec))
            .await?;
        self.programmed("WebSocketApi", name).await
    }

    /// Waits until an object's newest generation is served everywhere.
    pub async fn programmed(&self, kind: &str, name: &str) -> anyhow::Result<()> {
        self.namespace
            .condition((kind, name), "Programmed", "True")
            .await?;
        Ok(())
    }

    /// Waits for a condition.
    pub async fn condition(
        &self,
        object: (&str, &str),
        condition: &str,
        status: &str,
    ) -> anyhow::Result<Condition> {
        self.namespace.condition(object, condition, status).await
    }

    /// The keys of a Subscription, primary and secondary, once they are there.
    pub async fn keys(&self, subscription: &str) -> anyhow::Result<(String, String)> {
        let name = format!("{subscription}-keys");
        let what = format!("keys in Secret {name}");
        eventually(&what, WAIT_TIMEOUT, async || {
            Ok((
                self.namespace.secret(&name, "primaryKey").await?,
                self.namespace.secret(&name, "secondaryKey").await?,
            ))
        })
        .await
    }

    /// The token of a gateway's admin server, which its process has from now on, as the kubelet would
    /// bring it.
    pub async fn admin_token(&self, served: &Served) -> anyhow::Result<String> {
        let options = &served.plan.options;
        let name = format!("{}-admin", options.gateway);
        let what = format!("the token in Secret {name}");
        let token = eventually(&what, WAIT_TIMEOUT, async || {
            self.namespace.secret(&name, "token").await
        })
        .await?;
        std::fs::write(options.admin_token_file(), &token)?;
        Ok(token)
    }

    /// The kubeconfig of its cluster's administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A port for a listener.
    pub fn free_port(&self) -> anyhow::Result<u16> {
        paths::free_port()
    }

    /// A kubeconfig with the rights of a ServiceAccount.
    pub async fn kubeconfig_of(&self, account: &str) -> anyhow::Result<PathBuf> {
        let token = self.kubectl().run(&["create", "token", account]).await?;
        let mut config = Kubeconfig::read_from(&self.kubeconfig)?;
        for user in &mut config.auth_infos {
            user.auth_info = Some(AuthInfo {
                token: Some(token.clone().into()),
                ..AuthInfo::default()
            });
        }
        let path = self.state.path().join(format!("{account}.kubeconfig"));
        std::fs::write(&path, serde_json::to_string(&config)?)?;
        Ok(path)
    }

    /// The status of an object.
    pub async fn status(&self, kind: &str, name: &str) -> anyhow::Result<Value> {
        Ok(self.namespace.get(kind, name).await?["status"].take())
    }
}

/// The manifest of an API that needs no subscription, at `/NAME`.
pub fn open_api(gateway: &str, name: &str, backend: &str, spec: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1
kind: WebSocketApi
metadata:
  name: {name}
spec:
  gateways: [{{name: {gateway}}}]
  path: /{name}
  backend: {{url: '{backend}'}}
  subscriptionRequired: false
{spec}"
    )
}

/// How to run a Gateway's process.
#[derive(Clone, Debug)]
pub struct GatewayPlan {
    /// Its command line.
    pub options: GatewayOptions,
    /// The port of its listener.
    pub port: u16,
}

/// A Gateway with its process.
#[derive(Debug)]
pub struct Served {
    /// Its process.
    pub gateway: Gateway,
    /// How it was started.
    pub plan: GatewayPlan,
}

impl Served {
    /// Host and port of its listener.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.plan.port)
    }

    /// The address of its listener.
    pub fn address(&self) -> std::net::SocketAddr {
        (std::net::Ipv4Addr::LOCALHOST, self.plan.port).into()
    }

    /// A URL on its listener.
    pub fn url(&self, target: &str) -> String {
        format!("ws://{}{target}", self.host())
    }

    /// A handshake with its listener.
    pub fn request(&self, target: &str) -> Request {
        Request::new(self.url(target))
    }

    /// Waits until the configuration that it keeps on its disk holds this text.
    pub async fn saved(&self, text: &str) -> anyhow::Result<()> {
        let state = &self.plan.options.state;
        let what = format!("{text} in a file below {}", state.display());
        eventually(&what, WAIT_TIMEOUT, async || {
            ensure!(holds(state, text)?, "not yet");
            Ok(())
        })
        .await
    }

    /// Waits until a handshake gets this status; 101 for a tunnel.
    pub async fn answers(&self, target: &str, status: u16) -> anyhow::Result<()> {
        let what = format!("{target} answers {status}");
        eventually(&what, WAIT_TIMEOUT, async || {
            let got = self.request(target).send().await?.status();
            ensure!(got == status, "it answers {got}");
            Ok(())
        })
        .await
    }
}

fn holds(directory: &Path, text: &str) -> anyhow::Result<bool> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            holds(&path, text)?
        } else {
            std::fs::read_to_string(&path)?.contains(text)
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The end of the shared operator's log stands in each test that fails.
impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(operator) = SHARED_OPERATOR.get() {
            let namespace = self.namespace.name();
            let log = operator.process.stderr() + &operator.process.stdout();
            let about_us: Vec<_> = log.lines().filter(|l| l.contains(namespace)).collect();
            let start = about_us.len().saturating_sub(40);
            println!(
                "==> the shared operator on {namespace}\n{}",
                about_us[start..].join("\n")
            );
        }
    }
}

static SHARED_OPERATOR: OnceLock<Operator> = OnceLock::new();

async fn shared_operator(cluster: &Cluster) -> anyhow::Result<()> {
    static STARTED: OnceCell<()> = OnceCell::const_new();
    STARTED
        .get_or_try_init(async || {
            let operator = Operator::start(cluster.kubeconfig()).await?;
            let _only_once = SHARED_OPERATOR.set(operator);
            Ok(())
        })
        .await
        .copied()
}
