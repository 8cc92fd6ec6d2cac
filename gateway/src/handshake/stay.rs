//! Watches the client while others work for it: a client that leaves need not be dialled for, and
//! what it sends ahead of the answer is kept, bounded, and given to nobody.

use std::future::{Future, poll_fn};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use super::arrive::client_gone;
use crate::refusal::Refusal;

/// What is kept for a client that does not wait for its answer; it is not read beyond that.
const MOST_EARLY: usize = 64 * 1024;

/// Read at once, on the stack of one poll.
const STEP: usize = 4 * 1024;

/// The client is gone.
#[derive(Debug)]
pub(super) struct Gone;

impl From<Gone> for Refusal {
    fn from(Gone: Gone) -> Self {
        client_gone("the client left before it was answered")
    }
}

/// Does `work` for as long as the client is there. Pinned by the caller: taken by value, it would have
/// its place in memory twice.
pub(super) async fn while_connected<T>(
    client: &mut (impl AsyncRead + Unpin),
    early: &mut BytesMut,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Gone> {
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        poll_client(client, early, cx).map(Err)
    })
    .await
}

/// Takes what the client sends; ready when it is gone.
fn poll_client(
    client: &mut (impl AsyncRead + Unpin),
    early: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<Gone> {
    while early.len() < MOST_EARLY {
        let mut bytes = [MaybeUninit::uninit(); STEP];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        match Pin::new(&mut *client).poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                early.extend_from_slice(buffer.filled());
            }
            Poll::Ready(_) => return Poll::Ready(Gone),
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
        let (mut near, mut far) = tokio::io::duplex(4 * MOST_EARLY);
        far.write_all(&vec![7; 2 * MOST_EARLY]).await.unwrap();
        let mut early = BytesMut::from(&b"first"[..]);
        let work = async {
            tokio::task::yield_now().await;
            1
        };
        let done = while_connected(&mut near, &mut early, pin!(work)).await;
        assert_eq!(done.unwrap(), 1);
        assert!(early.starts_with(b"first\x07"));
        assert!(
            (MOST_EARLY..MOST_EARLY + STEP).contains(&early.len()),
            "{}",
            early.len()
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
