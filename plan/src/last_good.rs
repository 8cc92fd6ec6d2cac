//! What a broken object serves: the blast radius, decided in one place.
//!
//! - Nothing is broken: its latest version.
//! - Something is broken that does not decide who may pass (a header template, the backend's
//!   trust anchors, a client certificate): the last version that worked, provided that it lets
//!   pass exactly those whom the latest version wants to let pass.
//! - Anything else refuses every handshake: a broken check (a key that cannot be read, a
//!   condition that does not compile) must not let anybody in, and neither may the older checks of
//!   a version that its author has just replaced.
//!
//! An object that never worked is blocked too, rather than left out: without it, its path could
//! fall to another API with a wider path and other checks.

use tidegate_config::ApiConfig;

use crate::Serving;
use crate::policies::same_access;
use crate::problem::Problem;

/// How an object with these problems is served. `same_access`: is there a version that worked, and
/// does it let the same people pass?
pub(crate) fn serving(problems: &[Problem], same_access: Option<bool>) -> Serving {
    if problems.is_empty() {
        Serving::Current
    } else if problems.iter().any(|problem| problem.access) || same_access != Some(true) {
        Serving::Blocked
    } else {
        Serving::LastGood
    }
}

/// Do two versions of an API let the same people pass?
pub(crate) fn has_same_access(a: &ApiConfig, b: &ApiConfig) -> bool {
    a.subscription_required == b.subscription_required
        && a.subscription_key == b.subscription_key
        && a.protocols == b.protocols
        && a.allowed_origins == b.allowed_origins
        && a.live_access == b.live_access
        && same_access(&a.on_handshake, &b.on_handshake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_decides_between_the_last_good_version_and_refusal() {
        let harmless = || Problem::invalid("template");
        let access = || Problem::invalid("condition").concerning_access(true);
        for (name, problems, previous, expected) in [
            ("nothing broken", vec![], None, Serving::Current),
            (
                "nothing broken, other access",
                vec![],
                Some(false),
                Serving::Current,
            ),
            (
                "broken, worked before",
                vec![harmless()],
                Some(true),
                Serving::LastGood,
            ),
            (
                "broken, access changed",
                vec![harmless()],
                Some(false),
                Serving::Blocked,
            ),
            (
                "broken, never worked",
                vec![harmless()],
                None,
                Serving::Blocked,
            ),
            (
                "access broken",
                vec![harmless(), access()],
                Some(true),
                Serving::Blocked,
            ),
        ] {
            assert_eq!(serving(&problems, previous), expected, "{name}");
        }
    }
}
