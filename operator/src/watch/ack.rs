//! Acknowledgements of gateway pods, read from their Leases. Pure.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tidegate_config::{
    ANNOTATION_CONFIG_ERROR, ANNOTATION_REJECTED, ANNOTATION_REVISION, ANNOTATION_UNREACHABLE,
    LABEL_GATEWAY, Rejected, Unreachable,
};
use tokio::time::Instant;

/// How long a Lease without a duration counts as live: a pod renews several times a minute.
const DEFAULT_DURATION: Duration = Duration::from_secs(40);

/// How long a Lease counts as live at most: a pod that is gone must not count as lagging for years.
const MAX_DURATION: Duration = Duration::from_secs(120);

/// One pod's acknowledgement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ack {
    /// Name of the Gateway, in the Lease's namespace.
    pub(crate) gateway: String,
    /// Revision that it serves; 0 for none.
    pub(crate) revision: u64,
    /// Objects that it rejected.
    pub(crate) rejected: Vec<Rejected>,
    /// Dependencies that it cannot reach.
    pub(crate) unreachable: Vec<Unreachable>,
    /// Why it cannot apply the latest revision.
    pub(crate) error: Option<String>,
    renewed: Option<MicroTime>,
    /// When the operator saw the Lease renewed: the clock of the pod may be wrong.
    seen: Instant,
    duration: Duration,
}

impl Ack {
    /// Reads a Lease that was received at `now`; `before` is what was known of it.
    pub(crate) fn of(lease: Lease, before: Option<&Self>, now: Instant) -> Self {
        let spec = lease.spec.unwrap_or_default();
        let text = |name: &str| lease.metadata.annotations.as_ref()?.get(name);
        let labels = lease.metadata.labels.as_ref();
        let gateway = labels.and_then(|labels| labels.get(LABEL_GATEWAY));
        let seen = match before {
            Some(before) if before.renewed == spec.renew_time => before.seen,
            Some(_) | None => now,
        };
        let seconds = spec
            .lease_duration_seconds
            .and_then(|s| u64::try_from(s).ok());
        // Annotations that cannot be parsed acknowledge nothing.
        let revision = text(ANNOTATION_REVISION).and_then(|text| text.parse().ok());
        let rejected = text(ANNOTATION_REJECTED).and_then(|text| serde_json::from_str(text).ok());
        let unreachable = text(ANNOTATION_UNREACHABLE);
        let unreachable = unreachable.and_then(|text| serde_json::from_str(text).ok());
        Self {
            unreachable: unreachable.unwrap_or_default(),
            gateway: gateway.cloned().unwrap_or_default(),
            revision: revision.unwrap_or_default(),
            rejected: rejected.unwrap_or_default(),
            error: text(ANNOTATION_CONFIG_ERROR).cloned(),
            renewed: spec.renew_time,
            seen,
            duration: seconds
                .map_or(DEFAULT_DURATION, Duration::from_secs)
                .min(MAX_DURATION),
        }
    }

    /// The same acknowledgement without a revision; `why` is its error.
    pub(crate) fn without_revision(&self, why: String) -> Self {
        Self {
            revision: 0,
            error: Some(why),
            ..self.clone()
        }
    }

    /// When the Lease expires, unless the pod renews it.
    pub(crate) fn expires(&self) -> Instant {
        self.seen + self.duration
    }

    /// Does the pod count as live?
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        now < self.expires()
    }

    /// Does `after` differ in anything that a status could show? A renewal alone does not, unless the
    /// Lease had expired.
    pub(crate) fn differs_from(&self, after: &Self) -> bool {
        self.gateway != after.gateway
            || self.revision != after.revision
            || self.rejected != after.rejected
            || self.error != after.error
            || self.unreachable != after.unreachable
            || self.is_live(after.seen) != after.is_live(after.seen)
    }
}

#[cfg(test)]
mod tests;
