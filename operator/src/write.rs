//! The only place that writes to the cluster, apart from the Lease of the leader election. Client required.
//!
//! Every write first checks that this replica still leads, and is bounded in time. What the API server
//! returned goes into the cache, so that the next pass does not write the same again before the watch has
//! delivered it.

mod key_secrets;
mod leases;
mod owned;
mod status;
mod subscription_requests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::PostParams;

use crate::FIELD_MANAGER;
use crate::leader_election::Leadership;
use crate::metrics::Metrics;
use crate::objects::OwnedKey;
use crate::watch::SharedCache;
use owned::AppliedManifests;

/// Time for one write. The API server itself allows 60 s; a pass must not wait that long for one object.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// Writes while this replica leads; clones share it.
#[derive(Clone)]
pub(crate) struct Writer {
    client: Client,
    leadership: Leadership,
    cache: SharedCache,
    metrics: Metrics,
    applied: Arc<AppliedManifests>,
}

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("this replica is not the leader")]
    NotLeading,
    #[error("{0} exists but is not managed by Tidegate: rename or delete it")]
    Foreign(OwnedKey),
    #[error("failed to {verb} {object}")]
    Request {
        verb: &'static str,
        object: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to {verb} {object}: the API server did not answer in time")]
    Timeout { verb: &'static str, object: String },
}

impl WriteError {
    /// The text for a status. It is the same for every attempt that fails in the same way.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Request {
                source: kube::Error::Api(status),
                ..
            } => format!("{self}: {}", status.message),
            Self::Request { .. } => format!("{self}: the API server cannot be reached"),
            Self::NotLeading | Self::Foreign(_) | Self::Timeout { .. } => self.to_string(),
        }
    }

    /// The namespace of the object is being deleted: the object and its owner will be gone soon.
    pub(crate) fn is_terminating(&self) -> bool {
        let Self::Request {
            source: kube::Error::Api(status),
            ..
        } = self
        else {
            return false;
        };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let mut reasons = causes.map(|cause| cause.reason.as_str());
        reasons.any(|reason| reason == "NamespaceTerminating")
    }

    /// Somebody else created or changed the object in between.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Request { source: kube::Error::Api(status), .. } if status.code == 409)
    }
}

impl Writer {
    pub(crate) fn new(
        client: Client,
        leadership: Leadership,
        cache: SharedCache,
        metrics: Metrics,
    ) -> Self {
        Self {
            client,
            leadership,
            cache,
            metrics,
            applied: Arc::default(),
        }
    }

    /// Sends one request if this replica leads.
    ///
    /// # Errors
    ///
    /// [`WriteError::NotLeading`] without a request; [`WriteError::Request`] and [`WriteError::Timeout`] when
    /// it failed.
    pub(crate) async fn send<T>(
        &self,
        verb: &'static str,
        object: &impl ToString,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        if !self.leadership.leads() {
            return Err(WriteError::NotLeading);
        }
        match tokio::time::timeout(WRITE_TIMEOUT, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(WriteError::Request {
                verb,
                object: object.to_string(),
                source,
            }),
            Err(_) => Err(WriteError::Timeout {
                verb,
                object: object.to_string(),
            }),
        }
    }
}

/// Parameters of a create or replace request.
fn post_params() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

#[cfg(test)]
mod tests;
