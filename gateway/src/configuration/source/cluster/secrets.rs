//! The Secrets of one Gateway, fetched by name. They never change, so each is fetched once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tidegate_config::{AssembleError, PartRef, SECRET_DATA_KEY, sha256};

use crate::configuration::source::Problem;
use tidegate_config::error_chain;

/// A request that hangs must not stop the watch from being read for long.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Secrets {
    api: Api<Secret>,
    kept: HashMap<String, Arc<str>>,
}

impl Secrets {
    pub(super) fn new(client: &Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            kept: HashMap::new(),
        }
    }

    /// The texts of `parts`, by name; forgets all others.
    ///
    /// A Secret that is not there, or that the Role does not name yet, is a problem that time
    /// cures: the operator writes Role and Secret before the index, but they may arrive later.
    pub(super) async fn fetch(
        &mut self,
        parts: &[PartRef],
    ) -> Result<HashMap<String, Arc<str>>, Problem> {
        let texts = try_join_all(parts.iter().map(|part| self.text(part))).await?;
        let names = parts.iter().map(|part| part.name.clone());
        self.kept = names.zip(texts).collect();
        Ok(self.kept.clone())
    }

    async fn text(&self, part: &PartRef) -> Result<Arc<str>, Problem> {
        if let Some(text) = self.kept.get(&part.name) {
            return Ok(Arc::clone(text));
        }
        let answer = tokio::time::timeout(TIMEOUT, self.api.get_opt(&part.name)).await;
        let secret = match answer {
            Ok(Ok(Some(secret))) => secret,
            Ok(Ok(None)) => return Err(Problem::from(&AssembleError::Missing(part.name.clone()))),
            Ok(Err(error)) => return Err(unreadable(part, &error_chain(&error))),
            Err(_) => return Err(unreadable(part, "the API server does not answer")),
        };
        let mut data = secret.data.unwrap_or_default();
        let bytes = data.remove(SECRET_DATA_KEY).map(|bytes| bytes.0);
        let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
        if sha256(&text) != part.sha256 {
            return Err(Problem::from(&AssembleError::Hash(part.name.clone())));
        }
        Ok(text.into())
    }
}

fn unreadable(part: &PartRef, why: &str) -> Problem {
    Problem {
        reason: "secret_unreadable",
        message: format!("failed to read Secret {}: {why}", part.name),
    }
}
