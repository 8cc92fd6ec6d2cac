//! How long a backend asks not to be asked (`Retry-After`, RFC 9110 §10.2.3). Pure.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::head::only;

/// The time that an answer names; `None`: it names none, or not in a form that can be read.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = only(headers, &RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than fit are bounded like all others.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        for (values, expected) in [
            (&[][..], None),
            (&["20"], Some(20)),
            (&[" 0 "], Some(0)),
            (&["99999999999999999999999"], Some(u64::MAX)),
            (&["Sun, 06 Nov 1994 08:49:37 GMT"], Some(37)),
            (&["Sun, 06 Nov 1994 08:00:00 GMT"], Some(0)),
            (&["soon"], None),
            (&["-1"], None),
            (&["1.5"], None),
            (&[""], None),
            (&["20", "30"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(RETRY_AFTER, HeaderValue::from_static(value));
            }
            let found = retry_after(&headers, now);
            assert_eq!(found, expected.map(Duration::from_secs), "{values:?}");
        }
    }
}
