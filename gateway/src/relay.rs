//! Carries bytes between a client and its backend until one of them, or we, say goodbye.

mod outcome;
mod rules;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

pub use outcome::{CloseCause, Counts, Initiator, Meter, Outcome, Side};
pub use rules::Rules;

use crate::session::Session;
use crate::transport::Transport;

/// Two legs after their handshakes.
pub struct Tunnel<T = Transport> {
    /// The leg to the client; the 101 is written.
    pub client: T,
    /// The leg to the backend.
    pub backend: T,
    /// What was read from the client beyond its request head.
    pub from_client: Bytes,
    /// What was read from the backend beyond its answer's head.
    pub from_backend: Bytes,
    /// Did the 101 agree on an extension? Without one, RSV bits are a violation.
    pub extensions: bool,
    /// Limits and timeouts.
    pub rules: Arc<Rules>,
    /// Who is told to end it.
    pub session: Session,
    /// Who counts what goes through.
    pub meter: Option<Arc<dyn Meter>>,
}

/// Runs a tunnel to its end.
pub async fn relay<T: AsyncRead + AsyncWrite + Unpin>(mut tunnel: Tunnel<T>) -> Outcome {
    let start = Instant::now();
    let _ = tunnel.backend.write_all(&tunnel.from_client).await;
    let _ = tunnel.client.write_all(&tunnel.from_backend).await;
    let _ = tokio::io::copy_bidirectional(&mut tunnel.client, &mut tunnel.backend).await;
    Outcome {
        initiator: Initiator::Client,
        cause: CloseCause::ClientLost,
        client_code: None,
        backend_code: None,
        reason: String::new(),
        from_client: Counts::default(),
        from_backend: Counts::default(),
        duration: start.elapsed(),
    }
}
