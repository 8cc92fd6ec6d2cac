//! Evaluates a handshake for `tidegate explain`.
//!
//! The same code decides as for live handshakes, with the same policies and services. Limits are checked, but
//! nothing is counted, reserved or stored, and no backend is dialled unless the question asks for it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tidegate_config::Rejected;
use tokio::runtime::Handle;

use super::StartError;
use crate::configuration::snapshot::{SharedRuntime, Snapshot};
use crate::configuration::update::Update;
use crate::connections::Connections;
use crate::handshake::{Explainer, InvalidQuestion, Question, Shared};
use crate::policy::Services;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::record::Recorder;
use crate::telemetry::trace::Trace;
use tidegate_tunnel::drain::Drain;
use tidegate_tunnel::session::Sessions;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The question has no answer.
    #[error(transparent)]
    Question(#[from] InvalidQuestion),
    /// The gateway cannot be set up.
    #[error("the gateway cannot be set up")]
    Start(#[from] StartError),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Explained {
    /// What happens to the handshake.
    pub trace: Trace,
    /// Objects of the configuration that did not compile.
    pub rejected: Vec<Rejected>,
}

/// Evaluates a handshake with a configuration, without serving it.
///
/// # Errors
/// [`ExplainError`]: the question is not valid, or the gateway cannot be set up.
pub async fn explain(update: Update, question: &Question) -> Result<Explained, ExplainError> {
    let (trigger, drain) = Drain::pair();
    let sessions = Sessions::new();
    let metrics = Metrics::new();
    let both = (drain.clone(), drain.clone());
    let services = Services::new(both, Handle::current(), Arc::clone(&sessions));
    let shared_runtime = SharedRuntime::new(Arc::clone(&services), Arc::clone(&metrics));
    let shared_runtime = shared_runtime.map_err(|source| StartError::Tls(Box::new(source)))?;
    let (snapshot, rejected) = Snapshot::compile(&Arc::new(update), None, &shared_runtime);
    let explainer = Explainer::new(Arc::new(Shared {
        snapshot: ArcSwap::new(Arc::new(snapshot)),
        services,
        connections: Connections::new(Arc::clone(&sessions), Arc::clone(&metrics), 1),
        sessions,
        recorder: Recorder::new(Arc::clone(&metrics)),
        metrics,
        traces: Arc::default(),
        drain,
    }));
    let trace = explainer.explain(question).await;
    trigger.insist();
    Ok(Explained {
        trace: trace?,
        rejected,
    })
}
