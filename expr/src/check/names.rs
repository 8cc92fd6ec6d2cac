//! The nearest right name to a wrong one.

/// The candidate that a reader most likely meant: same but for case, or few typing errors away.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = wrong.to_lowercase();
    // One error in a short name, two in a longer one: more would be guessing.
    let allowed = if lower.chars().count() < 5 { 1 } else { 2 };
    candidates
        .into_iter()
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_close_or_none() {
        let names = ["request", "response", "client", "now", "api"];
        let cases = [
            ("reqest", Some("request")),
            ("Request", Some("request")),
            ("requets", Some("request")),
            ("responce", Some("response")),
            ("nwo", Some("now")),
            ("ap", Some("api")),
            ("context", None),
            ("", None),
        ];
        for (wrong, expected) in cases {
            assert_eq!(nearest(wrong, names).as_deref(), expected, "{wrong}");
        }
    }
}
