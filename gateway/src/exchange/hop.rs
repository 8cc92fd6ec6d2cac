//! Where a request has been: a member of `Via` for each Tidegate that it passed (RFC 9110 §7.6.3), so that
//! one which comes back to the Gateway that sent it is refused (§7.6: an intermediary must not forward a
//! message to itself unless it is protected from an infinite loop). Pure.
//!
//! All pods of a Gateway share one name; no two Gateways do. Other members of `Via` are ignored. A client that
//! imitates a Gateway's member only has its own request refused.

use http::header::VIA;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};
use tidegate_config::GatewaySettings;

use crate::refusal::{Origin, Reason, Refusal};

/// Gateways that a request may have passed before this one. A chain of more is a loop whose members
/// change their names, or a mistake.
const MAX_HOPS: usize = 8;

/// What the name of every Tidegate begins with.
const PREFIX: &str = "tidegate-";

/// Bytes of the hash in a name: enough that two Gateways never share one by accident.
const HASH_BYTES: usize = 8;

/// The name of a Gateway in `Via`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    /// A pseudonym (RFC 9110 §7.6.3): a hash, so that names of namespaces are not revealed.
    name: String,
    field: HeaderValue,
}

impl Hop {
    /// Of the Gateway with these settings. Without a cluster it has no uid, and many are called
    /// `default/edge`: then `process`, a random number, tells it from those of other processes.
    pub(crate) fn new(settings: &GatewaySettings, process: u64) -> Self {
        let mut hash = Sha256::new();
        match &settings.uid {
            Some(uid) => hash.update(uid),
            None => {
                hash.update(settings.key.to_string());
                hash.update(process.to_be_bytes());
            }
        }
        let name = format!("{PREFIX}{}", hex::encode(&hash.finalize()[..HASH_BYTES]));
        let field = HeaderValue::from_maybe_shared(format!("1.1 {name}").into_bytes());
        Self {
            name,
            field: field.unwrap_or_else(|_| HeaderValue::from_static("1.1 tidegate-unnamed")),
        }
    }

    /// The member of `Via` for what this Gateway sends.
    pub(crate) fn field(&self) -> &HeaderValue {
        &self.field
    }

    /// Adds this Gateway to those that a request has passed. On a line of its own: whatever a client has
    /// written into another one, this one can be read.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        headers.append(VIA, self.field.clone());
    }

    /// Refuses a request that has been here, or at too many Gateways.
    ///
    /// # Errors
    /// The refusal (508): the request has been here, or at too many Gateways.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if !headers.contains_key(VIA) {
            return Ok(());
        }
        let passed: Vec<&str> = gateways(headers).collect();
        let is_own = |name: &&str| name.eq_ignore_ascii_case(&self.name);
        if let Some(at) = passed.iter().position(is_own) {
            let message = format!("Loop detected: the request has passed {} before", self.name);
            let detail = format!(
                "a backend or request of this Gateway leads back to it: Via names {}, hop {} of {}",
                self.name,
                at + 1,
                passed.len()
            );
            return Err(refusal(message).detail(detail));
        }
        if passed.len() > MAX_HOPS {
            let message = format!(
                "Loop detected: the request has passed {} gateways",
                passed.len()
            );
            let last = passed[passed.len() - 1];
            let detail = format!("more than {MAX_HOPS} Gateways in a row; the last one is {last}");
            return Err(refusal(message).detail(detail));
        }
        Ok(())
    }
}

fn refusal(message: String) -> Refusal {
    Refusal::new(508, Reason::LoopDetected, Origin::Gateway, message)
}

/// The Gateways that a request has passed, for what a policy sends on its behalf: it must not lead in a
/// circle either. What else is in `Via` is between the client and the backend.
pub(crate) fn chain(headers: &HeaderMap) -> Option<HeaderValue> {
    let members: Vec<String> = gateways(headers)
        .map(|name| format!("1.1 {name}"))
        .collect();
    let text = members.join(", ");
    HeaderValue::from_bytes(text.as_bytes())
        .ok()
        .filter(|_| !members.is_empty())
}

/// The names of all Gateways in `Via`, in their order. Read as bytes: a client could hide what stands on
/// a line by adding something that is not text.
fn gateways(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(VIA).into_iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    members.filter_map(|member| {
        let mut words = member.split(|byte| matches!(byte, b' ' | b'\t'));
        let mut words = words.by_ref().filter(|word| !word.is_empty());
        let name = std::str::from_utf8(words.nth(1)?).ok()?;
        let start = name.get(..PREFIX.len())?;
        start.eq_ignore_ascii_case(PREFIX).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::update::testing;

    fn hop(uid: Option<&str>, process: u64) -> Hop {
        let mut settings = testing::update(1).config.settings;
        settings.uid = uid.map(str::to_owned);
        Hop::new(&settings, process)
    }

    fn fields(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(VIA, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn pods_of_a_gateway_share_a_name_and_gateways_do_not() {
        let name = |uid, process| hop(uid, process).name;
        assert_eq!(name(Some("a"), 1), name(Some("a"), 2));
        assert_ne!(name(Some("a"), 1), name(Some("b"), 1));
        assert_eq!(name(None, 1), name(None, 1));
        assert_ne!(
            name(None, 1),
            name(None, 2),
            "default/edge of another machine"
        );
        assert!(!name(None, 1).contains("edge"));
    }

    #[test]
    fn a_request_that_has_been_here_is_refused_however_it_is_written() {
        let own = hop(Some("a"), 0);
        let text = own.field.to_str().unwrap().to_owned();
        let upper = text.to_ascii_uppercase();
        let http = text.replace("1.1", "HTTP/1.1");
        for (name, lines) in [
            ("alone", vec![text.clone().into_bytes()]),
            ("in upper case", vec![upper.into_bytes()]),
            ("with the protocol", vec![http.into_bytes()]),
            (
                "joined by a proxy",
                vec![format!("1.0 fred, {text} (comment),1.1 nginx").into_bytes()],
            ),
            (
                "behind what is not text",
                vec![[b"1.1 \xff, ".as_slice(), text.as_bytes()].concat()],
            ),
            (
                "on a line of its own",
                vec![b"\xff\xff".to_vec(), text.clone().into_bytes()],
            ),
        ] {
            let lines: Vec<_> = lines.iter().map(Vec::as_slice).collect();
            let refusal = own.check(&fields(&lines)).expect_err(name);
            assert_eq!(
                (refusal.status, refusal.reason),
                (508, Reason::LoopDetected)
            );
            assert!(refusal.message.contains(&own.name), "{}", refusal.message);
            let detail = refusal.detail.unwrap_or_default();
            assert!(detail.contains(&own.name), "{detail}");
        }
    }

    #[test]
    fn what_others_write_is_nobodys_loop() {
        let own = hop(Some("a"), 0);
        let many = vec![b"1.1 proxy.example:3128".as_slice(); 90];
        for (name, lines) in [
            ("nothing", vec![]),
            ("proxies", vec![b"1.0 fred, 1.1 p.example.net".as_slice()]),
            ("many proxies", many),
            ("an empty one", vec![b"".as_slice(), b", ,".as_slice()]),
            ("the prefix alone", vec![b"1.1 tidegate-".as_slice()]),
            ("a comment", vec![b"1.1 cache (tidegate-)".as_slice()]),
            ("not even a version", vec![own.name.as_bytes()]),
        ] {
            assert!(own.check(&fields(&lines)).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_a_policy_sends_has_passed_the_same_gateways_and_tells_nothing_else() {
        let (first, own) = (hop(Some("a"), 0), hop(Some("b"), 0));
        let mut headers = fields(&[b"1.1 secret.proxy", b"1.1 \xff"]);
        assert_eq!(chain(&headers), None);
        first.mark(&mut headers);
        own.mark(&mut headers);
        let told = chain(&headers).unwrap();
        let expected = format!("1.1 {}, 1.1 {}", first.name, own.name);
        assert_eq!(told.to_str().unwrap(), expected);
        assert!(first.check(&fields(&[told.as_bytes()])).is_err());
    }

    #[test]
    fn a_chain_of_gateways_has_an_end() {
        let own = hop(Some("a"), 0);
        let mut headers = HeaderMap::new();
        for number in 0..MAX_HOPS {
            hop(None, number as u64).mark(&mut headers);
        }
        assert!(own.check(&headers).is_ok());
        hop(None, MAX_HOPS as u64).mark(&mut headers);
        let refusal = own.check(&headers).unwrap_err();
        assert!(
            refusal.message.contains("9 gateways"),
            "{}",
            refusal.message
        );
    }
}
