//! Changes to headers: of the backend's handshake at once, of the client's answer when it is known.

use http::header::{
    COOKIE, DATE, EXPIRES, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
    PROXY_AUTHENTICATE, RETRY_AFTER, SET_COOKIE, USER_AGENT, WARNING, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate_config::policy::IfExists;

/// Headers whose values hold commas of their own: each value gets its own line.
const LINE_EACH: [HeaderName; 12] = [
    USER_AGENT,
    WWW_AUTHENTICATE,
    PROXY_AUTHENTICATE,
    COOKIE,
    SET_COOKIE,
    WARNING,
    DATE,
    EXPIRES,
    LAST_MODIFIED,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    RETRY_AFTER,
];

/// Sets, adds to or removes the header `name`.
pub(crate) fn change_headers(
    headers: &mut HeaderMap,
    name: &HeaderName,
    values: &[HeaderValue],
    if_exists: IfExists,
) {
    let mut lines: Vec<HeaderValue> = match if_exists {
        IfExists::Delete => {
            headers.remove(name);
            return;
        }
        IfExists::Skip if headers.contains_key(name) => return,
        IfExists::Skip | IfExists::Override => Vec::new(),
        IfExists::Append => headers.get_all(name).iter().cloned().collect(),
    };
    lines.extend(values.iter().cloned());
    headers.remove(name);
    if LINE_EACH.contains(name) {
        for line in lines {
            headers.append(name, line);
        }
    } else if let Some(line) = joined(&lines) {
        headers.insert(name, line);
    }
}

/// Values as one line (RFC 9110 §5.3); `None` when there is none.
fn joined(values: &[HeaderValue]) -> Option<HeaderValue> {
    if let [] | [_] = values {
        return values.first().cloned();
    }
    let parts: Vec<&[u8]> = values.iter().map(HeaderValue::as_bytes).collect();
    HeaderValue::from_bytes(&parts.join(&b", "[..])).ok()
}

/// Changes to the client's answer in the order in which policies asked for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnswerHeaders(Vec<Change>);

#[derive(Clone, Debug)]
struct Change {
    name: HeaderName,
    values: Vec<HeaderValue>,
    if_exists: IfExists,
}

impl AnswerHeaders {
    /// One more change.
    pub(crate) fn push(&mut self, name: HeaderName, values: Vec<HeaderValue>, if_exists: IfExists) {
        self.0.push(Change {
            name,
            values,
            if_exists,
        });
    }

    /// Bytes of the values to set or add.
    pub(crate) fn size(&self) -> usize {
        let values = self.0.iter().flat_map(|change| &change.values);
        values.map(HeaderValue::len).sum()
    }

    /// The changes that came after those of `before`, of which this is a continuation.
    pub(crate) fn since(
        &self,
        before: &Self,
    ) -> impl Iterator<Item = (&HeaderName, &[HeaderValue], IfExists)> {
        let new = self.0.iter().skip(before.0.len());
        new.map(|change| (&change.name, &change.values[..], change.if_exists))
    }

    /// Changes the headers of an answer: of the 101, or of a refusal.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for change in &self.0 {
            change_headers(headers, &change.name, &change.values, change.if_exists);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_change_as_asked() {
        use IfExists::{Append, Delete, Override, Skip};
        for (name, header, old, (new, if_exists), expected) in [
            (
                "override",
                "x-a",
                &["1", "2"][..],
                (&["3"][..], Override),
                &["3"][..],
            ),
            (
                "several are joined",
                "x-a",
                &[],
                (&["1", "2"], Override),
                &["1, 2"],
            ),
            (
                "several lines where commas mean something",
                "set-cookie",
                &["a"],
                (&["b", "c"], Override),
                &["b", "c"],
            ),
            ("append", "x-a", &["1"], (&["2"], Append), &["1, 2"]),
            (
                "append lines",
                "www-authenticate",
                &["Basic"],
                (&["Bearer"], Append),
                &["Basic", "Bearer"],
            ),
            ("skip", "x-a", &["1"], (&["2"], Skip), &["1"]),
            ("skip what is new", "x-a", &[], (&["2"], Skip), &["2"]),
            ("delete", "x-a", &["1", "2"], (&[], Delete), &[]),
        ] {
            let mut headers = HeaderMap::new();
            let header = HeaderName::from_static(header);
            for value in old {
                headers.append(&header, HeaderValue::from_static(value));
            }
            let new: Vec<_> = new.iter().copied().map(HeaderValue::from_static).collect();
            change_headers(&mut headers, &header, &new, if_exists);
            let lines: Vec<_> = headers.get_all(&header).iter().collect();
            assert_eq!(lines, expected, "{name}");
        }
    }
}
