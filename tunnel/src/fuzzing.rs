//! What fuzz targets share: how a fuzzer's bytes become a stream that comes in pieces, and how the
//! kept inputs are run again.
//!
//! An input begins with choices (its first byte) and with the sizes of the pieces in which the
//! rest arrives, so that the fuzzer finds unlucky splits as it finds unlucky bytes.

mod replay;

pub use replay::{input, replay};

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// What a fuzzer's bytes say.
pub struct Input<'a> {
    /// Bits that a target may use as it likes.
    pub choices: u8,
    /// How large the pieces are in which `stream` comes, over and over; never 0, never empty.
    pub pieces: Vec<usize>,
    /// The bytes under test.
    pub stream: &'a [u8],
}

impl<'a> Input<'a> {
    /// `None`: too short to say anything.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let (&choices, data) = data.split_first()?;
        let (&count, data) = data.split_first()?;
        let (sizes, stream) = data.split_at_checked(usize::from(count % 8))?;
        let mut pieces: Vec<usize> = sizes.iter().map(|size| usize::from(*size) + 1).collect();
        if pieces.is_empty() {
            pieces.push(1);
        }
        Some(Self {
            choices,
            pieces,
            stream,
        })
    }

    /// Is this bit of the choices set?
    pub fn chose(&self, bit: u32) -> bool {
        self.choices >> bit & 1 == 1
    }

    /// The stream as a peer that sends it in these pieces and leaves.
    pub fn in_pieces(&self) -> Arriving<'_> {
        Arriving::new(self.stream, &self.pieces)
    }

    /// The stream as a peer that sends all of it at once.
    pub fn at_once(&self) -> Arriving<'_> {
        Arriving::new(self.stream, &[usize::MAX])
    }
}

/// A peer that has sent everything, of which a read sees one piece at a time.
pub struct Arriving<'a> {
    left: &'a [u8],
    sizes: &'a [usize],
    next: usize,
}

impl<'a> Arriving<'a> {
    /// These bytes, in pieces of these sizes, over and over.
    pub fn new(left: &'a [u8], sizes: &'a [usize]) -> Self {
        let next = 0;
        Self { left, sizes, next }
    }

    /// What was not read.
    pub fn left(&self) -> &'a [u8] {
        self.left
    }
}

impl AsyncRead for Arriving<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = self.sizes[self.next % self.sizes.len()];
        self.next += 1;
        let size = size.min(self.left.len()).min(buf.remaining());
        let (now, later) = self.left.split_at(size);
        buf.put_slice(now);
        self.left = later;
        Poll::Ready(Ok(()))
    }
}
