//! `maxHandshakesPerSecond`: how many handshakes a pod accepts in one second.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts within the current second, for all workers: the upper 32 bits are the second, the lower the count.
#[derive(Debug, Default)]
pub(super) struct HandshakeRate(AtomicU64);

impl HandshakeRate {
    /// Counts one more handshake in this `second`. False: there were `limit` already; 0 is no limit.
    pub(super) fn admit(&self, limit: u32, second: u64) -> bool {
        if limit == 0 {
            return true;
        }
        let second = second & u64::from(u32::MAX);
        let next = |state: u64| {
            let count = if state >> 32 == second {
                state & u64::from(u32::MAX)
            } else {
                0
            };
            (count < u64::from(limit)).then_some(second << 32 | (count + 1))
        };
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own_handshakes() {
        let rate = HandshakeRate::default();
        let admitted: Vec<bool> = [7, 7, 7, 8, 8, 8]
            .map(|second| rate.admit(2, second))
            .to_vec();
        assert_eq!(admitted, [true, true, false, true, true, false]);
        assert!(rate.admit(0, 8));
    }
}
