//! Host names, exact (`a.example`) or with a wildcard for one or more labels (`*.example`).

/// The host that stands for all hosts.
pub(crate) const ANY: &str = "*";

/// Host names that both lists cover; `None` when there is none. An empty list covers all, and the
/// result `["*"]` stands for all.
pub(crate) fn intersection(listener: &[String], api: &[String]) -> Option<Vec<String>> {
    let mut hosts: Vec<String> = match (listener, api) {
        ([], []) => vec![ANY.to_owned()],
        ([], some) | (some, []) => some.to_vec(),
        (listener, api) => {
            let pairs = listener
                .iter()
                .flat_map(|l| api.iter().map(move |a| (l, a)));
            pairs.filter_map(|(l, a)| narrower(l, a)).cloned().collect()
        }
    };
    hosts.sort();
    hosts.dedup();
    (!hosts.is_empty()).then_some(hosts)
}

/// Of two host names that overlap, the one that the other contains.
fn narrower<'a>(a: &'a String, b: &'a String) -> Option<&'a String> {
    if contains(a, b) {
        Some(b)
    } else if contains(b, a) {
        Some(a)
    } else {
        None
    }
}

/// Is every host that `inner` means one that `outer` means?
fn contains(outer: &str, inner: &str) -> bool {
    match outer.strip_prefix('*') {
        None => outer == inner,
        Some(suffix) => {
            outer == inner
                || inner.strip_prefix('*').unwrap_or(inner).ends_with(suffix)
                    && inner.len() > suffix.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_two_lists_have_in_common() {
        let cases: [(&[&str], &[&str], &[&str]); 10] = [
            (&[], &[], &["*"]),
            (&[], &["a.example"], &["a.example"]),
            (&["a.example"], &[], &["a.example"]),
            (&["a.example"], &["a.example", "b.example"], &["a.example"]),
            (
                &["*.example"],
                &["b.example", "a.example"],
                &["a.example", "b.example"],
            ),
            (&["*.example"], &["*.deep.example"], &["*.deep.example"]),
            (&["a.b.example"], &["*.example"], &["a.b.example"]),
            (&["*.example"], &["example"], &[]),
            (&["*.example"], &["badexample"], &[]),
            (&["a.example"], &["b.example"], &[]),
        ];
        for (listener, api, expected) in cases {
            let found = intersection(&owned(listener), &owned(api)).unwrap_or_default();
            assert_eq!(found, owned(expected), "{listener:?} and {api:?}");
        }
    }
}
