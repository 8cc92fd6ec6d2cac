//! What requests of policies need that outlives snapshots: connections, tokens, kept answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use tokio::runtime::Handle;

use super::super::per_namespace::PerNamespace;
use super::Answer;
use crate::backend::ClientTlsFactory;
use crate::credentials::aws::Roles;
use crate::credentials::token_source::TokenSources;
use crate::http_client::{Callers, Guard};
use tidegate_tunnel::drain::Drain;

/// Answers that are kept, of all steps of a namespace together, in bytes as [`Answer::weight`] tells them. What
/// was used least goes first.
const MAX_KEPT: u64 = 32 * 1024 * 1024;

/// SHA-256 of the step, its object and the key: keys may be secret, and long.
pub(in crate::policy) type AnswerKey = [u8; 32];

/// An answer that is kept.
#[derive(Clone, Debug)]
pub(in crate::policy) struct KeptAnswer {
    pub(in crate::policy) answer: Arc<Answer>,
    pub(in crate::policy) ttl: Duration,
}

/// The answers that a namespace keeps.
pub(in crate::policy) type Answers = Cache<AnswerKey, KeptAnswer>;

/// One per gateway.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) tls: Arc<ClientTlsFactory>,
    pub(in crate::policy) callers: Callers,
    pub(in crate::policy) tokens: TokenSources,
    pub(in crate::policy) roles: Roles,
    /// Each namespace has its own: no tenant pushes another one's out.
    pub(in crate::policy) answers: PerNamespace<Answers>,
}

impl Calls {
    pub(crate) fn new(drain: Drain, runtime: Handle, guard: Guard) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Self {
            tls: Arc::new(ClientTlsFactory::new(provider)),
            callers: Callers::new(drain.clone(), runtime.clone(), guard),
            tokens: TokenSources::new(drain.clone(), runtime.clone()),
            roles: Roles::new(drain, runtime),
            answers: PerNamespace::new(|| {
                Cache::builder()
                    .max_capacity(MAX_KEPT)
                    .weigher(|_, kept: &KeptAnswer| kept.answer.weight)
                    .expire_after(Age)
                    .build()
            }),
        }
    }

    /// From here on the service account's tokens are read in this directory.
    pub(crate) fn read_tokens_from(&self, directory: PathBuf) {
        self.tokens.read_from(directory);
    }

    /// Requests that were answered, and that were not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let counts = self.callers.counts();
        (counts.answered(), counts.failed())
    }
}

/// Each answer is kept as long as its step says.
struct Age;

impl Expiry<AnswerKey, KeptAnswer> for Age {
    fn expire_after_create(
        &self,
        _: &AnswerKey,
        kept: &KeptAnswer,
        _: Instant,
    ) -> Option<Duration> {
        Some(kept.ttl)
    }

    fn expire_after_update(
        &self,
        _: &AnswerKey,
        kept: &KeptAnswer,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.ttl)
    }
}
