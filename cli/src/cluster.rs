//! A cluster, with the rights of a kubeconfig: which objects are meant, and what an error means to the user.

mod follow;
mod trouble;

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;

pub use follow::{Changes, Followed};
pub use trouble::Trouble;

/// How long the API server may take to answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Objects of one answer: a list of everything could be larger than the API server likes to send.
const PAGE: u32 = 500;

/// Which cluster, which rights, which namespace. Named as in kubectl.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// Namespace. Default: that of the kubeconfig's context.
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// All namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Kubeconfig file. Default: as kubectl, KUBECONFIG or ~/.kube/config; in a pod, its service account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// User to act as, if your rights allow that.
    #[arg(long = "as", value_name = "USER")]
    pub user: Option<String>,
}

/// A connection to the API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// `None`: all.
    namespace: Option<String>,
    default_namespace: String,
}

impl ClusterArgs {
    /// Prepares a connection. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When there is no kubeconfig, or it cannot be used.
    pub async fn connect(&self) -> anyhow::Result<Cluster> {
        let mut config = self.config().await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        if let Some(user) = &self.user {
            config.auth_info.impersonate = Some(user.clone());
        }
        let default_namespace = config.default_namespace.clone();
        let client = Client::try_from(config).context("failed to use the kubeconfig")?;
        Ok(self.with_client(client, default_namespace))
    }

    /// Namespace of objects that name none: as given, or of the kubeconfig's context; without one, `default`.
    pub async fn default_namespace(&self) -> String {
        if let Some(namespace) = &self.namespace {
            return namespace.clone();
        }
        let config = self.config().await;
        config.map_or_else(|_| "default".to_owned(), |config| config.default_namespace)
    }

    fn with_client(&self, client: Client, default_namespace: String) -> Cluster {
        let default_namespace = self.namespace.clone().unwrap_or(default_namespace);
        let namespace = (!self.all_namespaces).then(|| default_namespace.clone());
        Cluster {
            client,
            namespace,
            default_namespace,
        }
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        if let Some(path) = &self.kubeconfig {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("failed to read {}", path.display()))?;
            let config = Config::from_custom_kubeconfig(file, &options).await;
            return config.with_context(|| format!("failed to use {}", path.display()));
        }
        if self.context.is_some() {
            let config = Config::from_kubeconfig(&options).await;
            return config.context("failed to use the kubeconfig");
        }
        let config = Config::infer().await;
        config
            .context("there is no kubeconfig; name one with --kubeconfig, or manifests with --dir")
    }
}

impl Cluster {
    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The namespace that is meant; `None`: all.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Objects of a kind in the namespace that is meant, or in all.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Namespace and name of `[NAMESPACE/]NAME`.
    pub fn object_key(&self, name: &str) -> tidegate_config::ObjectKey {
        match name.split_once('/') {
            Some((namespace, name)) => tidegate_config::ObjectKey::new(namespace, name),
            None => tidegate_config::ObjectKey::new(&self.default_namespace, name),
        }
    }

    /// All objects of a kind that are meant and have these labels.
    ///
    /// # Errors
    ///
    /// [`Trouble`]: the API server refuses or does not answer.
    pub async fn list<K>(&self, labels: &str) -> Result<Vec<Arc<K>>, Trouble>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        list(&self.api(), labels, &K::kind(&())).await
    }
}

/// All objects behind `api` with these labels; `kind` is for errors.
///
/// # Errors
///
/// [`Trouble`]: the API server refuses or does not answer.
pub async fn list<K>(api: &Api<K>, labels: &str, kind: &str) -> Result<Vec<Arc<K>>, Trouble>
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut params = ListParams::default().limit(PAGE);
    if !labels.is_empty() {
        params = params.labels(labels);
    }
    let mut found = Vec::new();
    loop {
        let page = answer(api.list(&params)).await;
        let page = page.map_err(|trouble| trouble.about(&format!("list {kind}s")))?;
        found.extend(page.items.into_iter().map(Arc::new));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}

/// The API server's answer, in time.
///
/// # Errors
///
/// [`Trouble`]: it refuses or does not answer.
pub async fn answer<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(Trouble::from),
        Err(_) => Err(Trouble::timeout(REQUEST_TIMEOUT)),
    }
}

#[cfg(test)]
impl Cluster {
    /// With this client.
    pub(crate) fn of(client: Client, args: &ClusterArgs) -> Self {
        args.with_client(client, "default".to_owned())
    }
}
