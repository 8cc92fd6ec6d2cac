//! Objects of a cluster that are kept up to date, for `--watch`.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::reflector::{self, Lookup, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{Cluster, Trouble, list};

/// Groups changes that come together.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Tells when something that is followed has changed.
#[derive(Debug)]
pub struct Changes {
    sender: watch::Sender<()>,
    receiver: watch::Receiver<()>,
}

impl Default for Changes {
    fn default() -> Self {
        let (sender, receiver) = watch::channel(());
        Self { sender, receiver }
    }
}

impl Changes {
    /// Waits for the next change, and for those that come with it.
    pub async fn next(&mut self) {
        // The sender lives as long as `self`.
        let _ = self.receiver.changed().await;
        tokio::time::sleep(DEBOUNCE).await;
        self.receiver.mark_unchanged();
    }
}

/// All objects of a kind, as they are now.
pub enum Followed<K: Lookup + 'static>
where
    K::DynamicType: Eq + std::hash::Hash,
{
    /// As they were when they were listed.
    Listed(Vec<Arc<K>>),
    /// As the API server told last.
    Watched(Store<K>),
}

impl<K> Followed<K>
where
    K: Lookup<DynamicType = ()> + Clone + 'static,
{
    /// The objects.
    pub fn objects(&self) -> Vec<Arc<K>> {
        match self {
            Self::Listed(objects) => objects.clone(),
            Self::Watched(store) => store.state(),
        }
    }
}

impl Cluster {
    /// All objects of a kind that are meant and have these labels; kept up to date with `changes`.
    ///
    /// # Errors
    ///
    /// [`Trouble`]: the API server refuses or does not answer. Later errors are retried.
    pub async fn follow<K>(
        &self,
        labels: &str,
        changes: Option<&Changes>,
    ) -> Result<Followed<K>, Trouble>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let api: Api<K> = self.api();
        let Some(changes) = changes else {
            return Ok(Followed::Listed(list(&api, labels, &K::kind(&())).await?));
        };
        // Asks once, so that a missing right is an error and not retried for ever.
        list(&api, labels, &K::kind(&())).await?;
        let mut config = watcher::Config::default();
        if !labels.is_empty() {
            config = config.labels(labels);
        }
        let (store, writer) = reflector::store();
        let changed = changes.sender.clone();
        #[expect(clippy::disallowed_methods, reason = "the process ends with it")]
        tokio::spawn(async move {
            let stream = watcher(api, config).default_backoff().reflect(writer);
            let mut stream = std::pin::pin!(stream);
            while stream.next().await.is_some() {
                changed.send_replace(());
            }
        });
        let ready = store.wait_until_ready().await;
        ready.map_err(|_| Trouble::Away("the watch ended".to_owned()))?;
        Ok(Followed::Watched(store))
    }
}
