//! The client's address: the peer, or the client that a trusted proxy names. Pure.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies whose X-Forwarded-For is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

/// A text that is neither a CIDR nor an address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("trustedProxies: \"{0}\" is not a CIDR such as 10.0.0.0/8")]
pub(crate) struct InvalidCidr(String);

impl TrustedProxies {
    /// Parses CIDRs; a bare address is itself.
    ///
    /// # Errors
    /// [`InvalidCidr`]: the first text that is neither a CIDR nor an address.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, InvalidCidr> {
        let parse = |text: &String| {
            let network = text.parse::<IpNet>();
            network
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| InvalidCidr(text.clone()))
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Is this one of them?
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the peer's own or, when the peer is trusted, the last entry of
    /// X-Forwarded-For that is not a trusted proxy. Entries before it come from the client and are not trusted. An
    /// entry that is not an address ends the chain.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let mut client = peer;
        let lines = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
        let entries = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        for entry in entries {
            if !self.contains(client.ip()) {
                break;
            }
            let Some(address) = address_of(entry.trim()) else {
                break;
            };
            client = address;
        }
        client
    }
}

/// `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:5`.
fn address_of(entry: &str) -> Option<SocketAddr> {
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let (ip, port) = match bare.unwrap_or(entry).parse::<IpAddr>() {
        Ok(ip) => (ip, 0),
        Err(_) => {
            let address = entry.parse::<SocketAddr>().ok()?;
            (address.ip(), address.port())
        }
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&'static str]) -> String {
        let texts: Vec<_> = trusted.iter().map(|text| (*text).to_owned()).collect();
        let trusted = TrustedProxies::parse(&texts).unwrap();
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
        }
        trusted
            .client(peer.parse().unwrap(), &headers)
            .ip()
            .to_string()
    }

    const OURS: &[&str] = &["10.0.0.0/8", "2001:db8::/32"];

    #[test]
    fn only_trusted_proxies_are_believed() {
        type Case = (
            &'static [&'static str],
            &'static str,
            &'static [&'static str],
            &'static str,
        );
        let cases: [(&str, Case); 6] = [
            (
                "nobody is trusted",
                (&[], "10.0.0.1:1", &["1.1.1.1"], "10.0.0.1"),
            ),
            (
                "not this peer",
                (OURS, "9.9.9.9:1", &["1.1.1.1"], "9.9.9.9"),
            ),
            ("no header", (OURS, "10.0.0.1:1", &[], "10.0.0.1")),
            ("one proxy", (OURS, "10.0.0.1:1", &["1.1.1.1"], "1.1.1.1")),
            (
                "a chain of ours",
                (OURS, "10.0.0.1:1", &["1.1.1.1, 10.2.2.2"], "1.1.1.1"),
            ),
            (
                "two lines",
                (OURS, "10.0.0.1:1", &["1.1.1.1", "10.2.2.2"], "1.1.1.1"),
            ),
        ];
        for (name, (trusted, peer, forwarded, expected)) in cases {
            assert_eq!(client(trusted, peer, forwarded), expected, "{name}");
        }
    }

    #[test]
    fn what_nobody_trusted_wrote_is_not_read() {
        for (name, line, expected) in [
            ("an invented start", "6.6.6.6, 1.1.1.1", "1.1.1.1"),
            ("garbage ends the chain", "1.1.1.1, unknown", "10.0.0.1"),
            ("all are ours", "10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ] {
            assert_eq!(client(OURS, "10.0.0.1:1", &[line]), expected, "{name}");
        }
    }

    #[test]
    fn addresses_come_in_many_forms() {
        for (peer, line, expected) in [
            ("10.0.0.1:1", "1.1.1.1:99", "1.1.1.1"),
            ("[2001:db8::1]:1", "[2a00::1]:99", "2a00::1"),
            ("[2001:db8::1]:1", "[2a00::1]", "2a00::1"),
            ("[::ffff:10.0.0.1]:1", "::ffff:1.1.1.1", "1.1.1.1"),
        ] {
            assert_eq!(client(OURS, peer, &[line]), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_cidr_says_so() {
        let error = TrustedProxies::parse(&["10.0.0.0/33".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("10.0.0.0/33"));
    }
}
