//! One meaning of "no limit" for all timeouts of a handshake.

use std::time::Duration;

/// A year: longer than any pod lives, and short enough to be added to any clock.
const NO_LIMIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// The time limit as a duration that can be added to the clock; `None` is no limit.
pub(super) fn or_no_limit(limit: Option<Duration>) -> Duration {
    limit.unwrap_or(NO_LIMIT)
}
