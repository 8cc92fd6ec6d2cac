//! Headers that policies set.

use tidegate_config::policy::is_restricted_header;

use crate::problem::Problem;

/// What is wrong with a header that a policy sets.
pub(super) fn restricted(name: &str, path: &str) -> Option<Problem> {
    let text = format!("{name} belongs to the handshake and cannot be set by a policy");
    is_restricted_header(name).then(|| Problem::invalid(text).at(path))
}

/// The same for the headers in which a limit tells its numbers.
pub(super) fn restricted_of_limit(
    retry_after: &str,
    remaining: Option<&str>,
    total: Option<&str>,
    path: &str,
) -> Vec<Problem> {
    let names = [
        ("retryAfterHeader", Some(retry_after)),
        ("remainingHeader", remaining),
        ("totalHeader", total),
    ];
    let named = |(field, name): (&str, Option<&str>)| restricted(name?, &format!("{path}.{field}"));
    names.into_iter().filter_map(named).collect()
}
