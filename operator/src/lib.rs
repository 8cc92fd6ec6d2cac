//! Tidegate's operator.
//!
//! One in-memory index of everything watched, one pass over it after every change:
//! `gather` (client) → `tidegate_plan::plan` (pure) → `render` (pure) → `publish` (client) →
//! `status` (pure) → `chores` (client). All replicas watch; the one that leads writes.
//!
//! What is written: ConfigMaps and Secrets with each Gateway's configuration, the objects that run
//! its pods, Secrets with subscription keys, statuses, Events. What stands in a status follows from
//! the index alone, never from an event.

mod admin;
mod chores;
mod drain;
mod gather;
mod keys;
mod lease;
mod metrics;
mod names;
mod objects;
mod owned;
mod pass;
mod publish;
mod published;
mod render;
mod run;
mod settings;
mod status;
#[cfg(test)]
mod testing;
mod turn;
mod write;

pub use admin::AdminError;
pub use run::{RunError, run};
pub use settings::Settings;

/// Owner of the fields that the operator applies.
pub(crate) const FIELD_MANAGER: &str = "tidegate-operator";

/// Name of the operator in Events.
pub(crate) const CONTROLLER: &str = "tidegate.dev/operator";

/// An error and all its causes in one line.
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    tidegate_config::error_chain_by(error, level)
}

/// One error's own text. What the API server says is its message; the client would print the whole
/// answer.
fn level(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => status.message.clone(),
        Some(_) | None => match error.downcast_ref::<kube::core::Status>() {
            Some(status) => status.message.clone(),
            None => error.to_string(),
        },
    }
}
