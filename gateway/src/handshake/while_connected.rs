//! Watches the client while its handshake is decided: the work stops when the client leaves. What it sends
//! before the 101 is kept, up to a limit, and not forwarded yet.

use std::future::{Future, poll_fn};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use super::receive::client_gone;
use crate::refusal::Refusal;

/// Bytes that are kept of a client that sends before its answer; nothing is read beyond that.
const MAX_READ_AHEAD: usize = 64 * 1024;

/// Read at once, on the stack of one poll.
const STEP: usize = 4 * 1024;

/// The client is gone.
#[derive(Debug)]
pub(super) struct ClientLeft;

impl From<ClientLeft> for Refusal {
    fn from(ClientLeft: ClientLeft) -> Self {
        client_gone("the client left before it was answered")
    }
}

/// Runs `work` as long as the client is connected. The caller pins it: passed by value, it would be in
/// memory twice.
///
/// # Errors
/// [`ClientLeft`]: the client left before the work was done.
pub(super) async fn while_connected<T>(
    client: &mut (impl AsyncRead + Unpin),
    read_ahead: &mut BytesMut,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, ClientLeft> {
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        poll_client(client, read_ahead, cx).map(Err)
    })
    .await
}

/// Reads what the client sends; ready when the client is gone.
fn poll_client(
    client: &mut (impl AsyncRead + Unpin),
    read_ahead: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<ClientLeft> {
    while read_ahead.len() < MAX_READ_AHEAD {
        let mut bytes = [MaybeUninit::uninit(); STEP];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        match Pin::new(&mut *client).poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                read_ahead.extend_from_slice(buffer.filled());
            }
            Poll::Ready(_) => return Poll::Ready(ClientLeft),
        }
    }
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn early_bytes_are_kept_up_to_a_bound() {
        let (mut near, mut far) = tokio::io::duplex(4 * MAX_READ_AHEAD);
        far.write_all(&vec![7; 2 * MAX_READ_AHEAD]).await.unwrap();
        let mut read_ahead = BytesMut::from(&b"first"[..]);
        let work = async {
            tokio::task::yield_now().await;
            1
        };
        let done = while_connected(&mut near, &mut read_ahead, pin!(work)).await;
        assert_eq!(done.unwrap(), 1);
        assert!(read_ahead.starts_with(b"first\x07"));
        assert!(
            (MAX_READ_AHEAD..MAX_READ_AHEAD + STEP).contains(&read_ahead.len()),
            "{}",
            read_ahead.len()
        );
    }

    #[tokio::test]
    async fn work_for_a_client_that_left_is_dropped() {
        let (mut near, far) = tokio::io::duplex(64);
        drop(far);
        let done = while_connected(&mut near, &mut BytesMut::new(), pin!(pending::<()>())).await;
        assert!(done.is_err());
    }

    #[tokio::test]
    async fn work_that_is_done_counts_though_the_client_left() {
        let (mut near, far) = tokio::io::duplex(64);
        drop(far);
        let done = while_connected(&mut near, &mut BytesMut::new(), pin!(ready(1))).await;
        assert_eq!(done.unwrap(), 1);
    }
}
