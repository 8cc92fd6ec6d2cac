//! What would become of a handshake: the answer to `tidegate explain`.
//!
//! The same code decides as for live handshakes, with the same policies and services. Limits are
//! asked, and nothing is counted, reserved or kept; no backend is dialled unless that is asked for.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tidegate_config::Rejected;
use tokio::runtime::Handle;

use crate::connections::Connections;
use crate::drain::Drain;
use crate::gateway::{Shared, StartError};
use crate::handshake::Explainer;
use crate::metrics::Metrics;
use crate::policy::Services;
use crate::record::Recorder;
use crate::session::Sessions;
use crate::snapshot::{Lasting, Snapshot};
use crate::trace::Trace;
use crate::update::Update;

/// A handshake that nobody has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Question {
    /// `ws://` or `wss://`.
    pub url: String,
    /// Headers that the client sends besides those of every handshake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Subscription key, sent in the header that the API reads it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The client's address. Default: 127.0.0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Ask the backend, too, and hang up at once.
    #[serde(default)]
    pub dial: bool,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidQuestion {
    /// No `ws://` or `wss://` URL.
    #[error("\"{0}\" is not a ws:// or wss:// URL")]
    Url(String),
    /// A header that no client can send.
    #[error("\"{0}\" is not a header that can be sent")]
    Header(String),
    /// What is asked makes no request.
    #[error("this makes no request: {0}")]
    Request(String),
    /// No listener at all.
    #[error("the gateway has no listener")]
    NoListener,
}

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
