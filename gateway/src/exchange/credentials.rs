//! The credentials in a request, which are masked in every text that leaves the gateway.

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};

use super::{Exchange, decoded_pairs};

impl Exchange {
    /// From here on the subscription key, credentials of `Authorization` and cookies are masked.
    /// Tokens elsewhere are known once validateJwt has read them.
    pub(crate) fn add_credentials(&mut self) {
        for secret in self.credentials() {
            self.add_secret(&secret);
        }
    }

    fn credentials(&self) -> Vec<String> {
        let names = &self.api.subscription_key;
        let headers = &self.request.headers;
        let texts = |name: &str| {
            let values = headers.get_all(name).iter();
            let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            texts.collect::<Vec<_>>()
        };
        let mut found = texts(&names.header);
        let offered = self.key_subprotocol.iter();
        found.extend(offered.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned()));
        for name in [AUTHORIZATION, PROXY_AUTHORIZATION] {
            let values = texts(name.as_str());
            found.extend(values.iter().map(|value| behind(value, ' ')));
        }
        for line in texts(COOKIE.as_str()) {
            found.extend(line.split(';').map(|cookie| behind(cookie, '=')));
        }
        let raw_query = self.request.raw_query.as_deref().unwrap_or_default();
        for pair in raw_query.split('&') {
            let key = decoded_pairs(pair).find(|(name, _)| *name == names.query);
            if let Some((_, value)) = key {
                found.push(value.into_owned());
                // `request.rawQuery` has it as it came.
                found.push(behind(pair, '='));
            }
        }
        found.retain(|text| !text.is_empty());
        found
    }
}

/// The text behind the first separator; all of it when there is none.
fn behind(text: &str, separator: char) -> String {
    let rest = text.split_once(separator).map_or(text, |(_, rest)| rest);
    rest.trim().to_owned()
}
