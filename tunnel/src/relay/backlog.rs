//! Bytes that could not be passed on yet.

/// An empty backlog gives its memory back above this many bytes: enough for the part of a frame
/// that is held (header 14 + control payload 125), which then costs no allocation each time.
const KEEP: usize = 256;

/// Bytes in order, taken from the front.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    taken: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
    }

    /// Takes `count` bytes from the front.
    pub(super) fn take(&mut self, count: usize) {
        // Nothing is moved to the front: a slow reader takes 64 KiB in many small pieces.
        self.taken += count;
        debug_assert!(self.taken <= self.bytes.len());
        if self.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        self.taken = 0;
        if self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

impl From<&[u8]> for Backlog {
    fn from(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            taken: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order() {
        let mut backlog = Backlog::from(&b"abc"[..]);
        backlog.take(1);
        backlog.push(b"de");
        assert_eq!(backlog.as_slice(), b"bcde");
        backlog.take(4);
        assert!(backlog.is_empty());
    }

    #[test]
    fn an_empty_backlog_keeps_little_memory() {
        let mut backlog = Backlog::default();
        backlog.push(&[0; 100_000]);
        backlog.take(100_000);
        assert_eq!(backlog.bytes.capacity(), 0);
        backlog.push(&[0; 100]);
        backlog.take(100);
        assert!((1..=KEEP).contains(&backlog.bytes.capacity()));
    }
}
