//! What gateway pods say of themselves, read from their Leases. Pure.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tidegate_config::{
    ANNOTATION_CONFIG_ERROR, ANNOTATION_REJECTED, ANNOTATION_REVISION, ANNOTATION_UNREACHABLE,
    LABEL_GATEWAY, Rejected, Unreachable,
};
use tokio::time::Instant;

/// A Lease without a duration is believed this long: a pod renews several times a minute.
const DEFAULT_DURATION: Duration = Duration::from_secs(40);

/// No Lease is believed longer: a pod that is gone must not count as lagging for years.
const MAX_DURATION: Duration = Duration::from_secs(120);

/// One pod's acknowledgement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ack {
    /// Name of the Gateway, in the Lease's namespace.
    pub(crate) gateway: String,
    /// Revision that it serves; 0: none yet.
    pub(crate) revision: u64,
    /// Objects that it could not take over.
    pub(crate) rejected: Vec<Rejected>,
    /// What it needs and cannot reach.
    pub(crate) unreachable: Vec<Unreachable>,
    /// Why it cannot take over the newest revision.
    pub(crate) error: Option<String>,
    renewed: Option<MicroTime>,
    /// When *we* saw the Lease renewed. The pod's clock may be wrong.
    seen: Instant,
    duration: Duration,
}

impl Ack {
    /// Reads a Lease that was seen at `now`; `before` is what was known of it.
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
        // Unreadable annotations count as "nothing acknowledged": never as more than was said.
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

    /// The same, with nothing acknowledged, and why.
    pub(crate) fn without_revision(&self, why: String) -> Self {
        Self {
            revision: 0,
            error: Some(why),
            ..self.clone()
        }
    }

    /// When it stops counting, unless renewed.
    pub(crate) fn expires(&self) -> Instant {
        self.seen + self.duration
    }

    /// Does the pod count as alive?
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        now < self.expires()
    }

    /// Does `after` say anything that a status could show? A mere renewal does not, unless the pod
    /// was dead before.
    pub(crate) fn is_news(&self, after: &Self) -> bool {
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
