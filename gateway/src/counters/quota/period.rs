//! Fixed periods of quotas, aligned to a first one. Pure.

use std::time::Duration;

use tidegate_config::{Duration as Length, Timestamp};

/// What never comes.
pub(super) const NEVER: i64 = i64::MAX;

/// How time is cut into periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Periods {
    /// Milliseconds; 0: there is only one period.
    length: i64,
    /// Milliseconds since 1970 at which one began.
    start: i64,
}

impl Periods {
    pub(crate) fn new(length: Length, first: Option<Timestamp>) -> Self {
        let first = first.unwrap_or(Timestamp::FIRST);
        Self {
            length: i64::try_from(length.get().as_millis()).unwrap_or(NEVER),
            start: first.unix_seconds() * 1000,
        }
    }

    /// What tells it from other cuts.
    pub(crate) fn id(self) -> String {
        format!("{}/{}", self.length, self.start)
    }

    /// Length of a period (0: there is only one) and a start of one, in milliseconds.
    pub(crate) fn cut(self) -> (i64, i64) {
        (self.length, self.start)
    }

    /// When the period ends that `now` is in, both in milliseconds since 1970.
    pub(crate) fn end(self, now: i64) -> i64 {
        if self.length == 0 {
            return NEVER;
        }
        let into = now.saturating_sub(self.start).rem_euclid(self.length);
        now.saturating_add(self.length - into)
    }
}

/// How long until then; `None`: for ever.
pub(super) fn until(end: i64, now: i64) -> Option<Duration> {
    let left = u64::try_from(end.saturating_sub(now)).unwrap_or_default();
    (end != NEVER).then(|| Duration::from_millis(left))
}

/// Whole seconds as `hh:mm:ss`, or `d.hh:mm:ss` from a day on.
pub(crate) fn clock(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hours, minutes, seconds) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let time = format!("{hours:02}:{minutes:02}:{seconds:02}");
    match days {
        0 => time,
        days => format!("{days}.{time}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().unix_seconds() * 1000
    }

    #[test]
    fn periods_follow_from_the_first_one() {
        let day = Length::from_secs(86_400);
        let noon = "2026-06-01T12:00:00Z".parse().ok();
        for (name, length, first, now, end) in [
            (
                "a day",
                day,
                None,
                "2026-03-04T05:06:07Z",
                "2026-03-05T00:00:00Z",
            ),
            (
                "its first moment",
                day,
                None,
                "2026-03-04T00:00:00Z",
                "2026-03-05T00:00:00Z",
            ),
            (
                "noon to noon",
                day,
                noon,
                "2026-06-09T11:59:59Z",
                "2026-06-09T12:00:00Z",
            ),
            (
                "before the first",
                day,
                noon,
                "2026-05-01T13:00:00Z",
                "2026-05-02T12:00:00Z",
            ),
            (
                "weeks begin on Monday",
                Length::from_secs(7 * 86_400),
                None,
                "2026-11-21T16:00:00Z",
                "2026-11-23T00:00:00Z",
            ),
        ] {
            let periods = Periods::new(length, first);
            assert_eq!(periods.end(millis(now)), millis(end), "{name}");
        }
    }

    #[test]
    fn a_period_of_zero_never_ends() {
        let periods = Periods::new(Length::ZERO, None);
        assert_eq!(until(periods.end(5), 5), None);
        assert_eq!(until(9, 5), Some(Duration::from_millis(4)));
    }

    #[test]
    fn clocks_have_days_only_when_needed() {
        for (seconds, text) in [
            (0, "00:00:00"),
            (59, "00:00:59"),
            (3_723, "01:02:03"),
            (86_399, "23:59:59"),
            (86_400, "1.00:00:00"),
            (30 * 86_400 + 1, "30.00:00:01"),
        ] {
            assert_eq!(clock(seconds), text);
        }
    }
}
