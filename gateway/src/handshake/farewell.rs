//! Gives a client its refusal, so that it arrives.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::refusal::Refusal;
use crate::transport::Transport;

/// How long a refused client may take to read its answer and go.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a refused client may still send before it is cut off.
const MOST_IGNORED: usize = 64 * 1024;

/// Writes the answer, then waits for the client to go. A socket that is closed with unread bytes
/// sends a reset, which can overtake the answer (RFC 9112 §9.6).
pub(super) async fn answer(client: Transport, refusal: &Refusal) {
    let mut client = match client {
        // The connection goes on, and sends what it was given.
        Transport::Http2(stream) => {
            let (response, body) = refusal.message();
            return stream.refuse(response, body);
        }
        client => client,
    };
    let bytes = refusal.encode();
    // Boxed, so that handshakes that are not refused have no room for it.
    let farewell = Box::pin(async {
        client.write_all(&bytes).await?;
        client.shutdown().await?;
        let mut ignored = 0;
        let mut scratch = [0; 512];
        while ignored < MOST_IGNORED {
            match client.read(&mut scratch).await? {
                0 => break,
                count => ignored += count,
            }
        }
        Ok::<_, std::io::Error>(())
    });
    // Whoever does not take it in time does without.
    let _ = timeout(PATIENCE, farewell).await;
}
