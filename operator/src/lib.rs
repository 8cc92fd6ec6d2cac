//! Tidegate's operator.
//!
//! One in-memory cache of everything that is watched, and one pass over it after every change:
//! `watch` (client) → `snapshot` (pure) → `tidegate_plan::plan` (pure) → `manifests` (pure) → `publish`
//! (client) → `status` (pure) → `work_queue` (client). `reconcile` makes the passes. All replicas watch; the
//! leader writes.
//!
//! The operator writes ConfigMaps and Secrets with the configuration of each Gateway, the objects that run
//! its pods, Secrets with subscription keys, statuses, and Events. A status follows from the cache alone,
//! never from an event.

mod admin;
mod drain;
mod keys;
mod leader_election;
mod manifests;
mod metrics;
mod objects;
mod publish;
mod reconcile;
mod run;
mod settings;
mod snapshot;
mod status;
#[cfg(test)]
mod testing;
mod watch;
mod work_queue;
mod write;

pub use admin::AdminError;
pub use run::{RunError, run};
pub use settings::Settings;

/// Manager of the fields that the operator applies.
pub(crate) const FIELD_MANAGER: &str = "tidegate-operator";

/// Name of the operator in Events.
pub(crate) const CONTROLLER: &str = "tidegate.dev/operator";

/// An error and all its causes on one line.
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    tidegate_config::error_chain_by(error, own_text)
}

/// The text of one error, without its causes. Of an answer of the API server only the message: the client
/// would print the whole answer.
fn own_text(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => status.message.clone(),
        Some(_) | None => match error.downcast_ref::<kube::core::Status>() {
            Some(status) => status.message.clone(),
            None => error.to_string(),
        },
    }
}
