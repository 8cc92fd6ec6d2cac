//! What would become of a handshake: the answer to `tidegate explain`.
//!
//! The same code decides as for live handshakes, with the same policies and services. Limits are
//! asked, and nothing is counted, reserved or kept; no backend is dialled unless that is asked for.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tidegate_config::Rejected;
use tokio::runtime::Handle;

use super::StartError;
use crate::configuration::snapshot::{Lasting, Snapshot};
use crate::configuration::update::Update;
use crate::connections::Connections;
use crate::handshake::{Explainer, InvalidQuestion, Question, Shared};
use crate::policy::Services;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::record::Recorder;
use crate::telemetry::trace::Trace;
use tidegate_tunnel::drain::Drain;
use tidegate_tunnel::session::Sessions;

/// Why a configuration cannot be asked.
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
    /// What becomes of the handshake.
    pub trace: Trace,
    /// Objects of the configuration that did not compile.
    pub rejected: Vec<Rejected>,
}

/// What `update` would make of a handshake, without serving it.
pub async fn explain(update: Update, question: &Question) -> Result<Explained, ExplainError> {
    let (trigger, drain) = Drain::pair();
    let sessions = Sessions::new();
    let metrics = Metrics::new();
    let both = (drain.clone(), drain.clone());
    let services = Services::new(both, Handle::current(), Arc::clone(&sessions));
    let lasting = Lasting::new(Arc::clone(&services), Arc::clone(&metrics));
    let lasting = lasting.map_err(|source| StartError::Tls(Box::new(source)))?;
    let (snapshot, rejected) = Snapshot::compile(&Arc::new(update), None, &lasting);
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
