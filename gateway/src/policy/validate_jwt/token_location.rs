//! Where a token stands in a request, and how it is taken out of the backend's.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate_config::policy;

use super::Failure;
use crate::credentials::jwt::Invalid;
use crate::exchange::{Exchange, Upstream, decoded_pairs, subprotocols};
use crate::policy::compile::{Compiler, InvalidPolicy};
use crate::policy::expression::Text;

/// Two tokens, of which we would check one and the backend perhaps read the other.
const SEVERAL: Invalid = Invalid::Malformed("there are several tokens");

/// Where the token stands.
#[derive(Debug)]
pub(super) enum TokenLocation {
    Header {
        name: HeaderName,
        /// Must stand before the token; only looked at in Authorization.
        scheme: Option<String>,
    },
    Query(String),
    /// Prefix of the subprotocol.
    Subprotocol(String),
    Cookie(String),
    Rendered(Text),
}

impl TokenLocation {
    pub(super) fn compile(
        policy: &policy::ValidateJwt,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let places = [
            policy.header.as_ref().map(|name| {
                Ok(Self::Header {
                    name: compiler.header("validateJwt.header", name)?,
                    scheme: policy.require_scheme.clone(),
                })
            }),
            policy.query.clone().map(|name| Ok(Self::Query(name))),
            policy
                .subprotocol
                .clone()
                .map(|prefix| Ok(Self::Subprotocol(prefix))),
            policy.cookie.clone().map(|name| Ok(Self::Cookie(name))),
            policy.token.as_ref().map(|source| {
                compiler
                    .text("validateJwt.token", source)
                    .map(Self::Rendered)
            }),
        ];
        let mut places: Vec<_> = places.into_iter().flatten().collect();
        match (places.pop(), places.is_empty()) {
            (Some(place), true) => place,
            (Some(_), false) => {
                let problem = "at most one of header, query, subprotocol, cookie, token may be set";
                Err(compiler.invalid("validateJwt", problem))
            }
            (None, _) => Ok(Self::Header {
                name: AUTHORIZATION,
                scheme: policy.require_scheme.clone(),
            }),
        }
    }

    /// The token, when there is one.
    pub(super) fn find(&self, exchange: &mut Exchange) -> Result<Option<String>, Failure> {
        let request = &exchange.request;
        let found: Vec<Cow<'_, str>> = match self {
            Self::Header { name, scheme } => {
                let values = texts(&request.headers, name);
                let scheme = scheme.as_deref().filter(|_| *name == AUTHORIZATION);
                values
                    .filter_map(|value| without_scheme(value, scheme))
                    .collect()
            }
            Self::Query(name) => {
                let query = request.raw_query.as_deref().unwrap_or_default();
                let named = decoded_pairs(query).filter(|(found, _)| found == name);
                named.map(|(_, value)| value).collect()
            }
            Self::Subprotocol(prefix) => {
                let offered = subprotocols(&request.headers).into_iter();
                let tokens =
                    offered.filter_map(|name| name.strip_prefix(prefix).map(str::to_owned));
                tokens.map(Cow::Owned).collect()
            }
            Self::Cookie(name) => {
                let cookies = texts(&request.headers, &COOKIE).flat_map(cookies);
                let named = cookies.filter(|(found, _)| found == name);
                named.map(|(_, value)| Cow::Owned(value)).collect()
            }
            Self::Rendered(text) => vec![Cow::Owned(text.render(exchange)?.into_owned())],
        };
        let mut found = found.into_iter().map(|token| token.trim().to_owned());
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(SEVERAL.into()),
            (token, None) => Ok(token.filter(|token| !token.is_empty())),
        }
    }

    /// Takes the token out of what the backend gets.
    pub(super) fn strip(&self, upstream: &mut Upstream) -> Result<(), Invalid> {
        match self {
            Self::Header { name, .. } => {
                upstream.headers.remove(name);
            }
            Self::Query(name) => upstream.query.remove(name),
            Self::Subprotocol(prefix) => return strip_subprotocol(&mut upstream.headers, prefix),
            Self::Cookie(name) => strip_cookie(&mut upstream.headers, name),
            // Where an expression found it, it cannot be found again.
            Self::Rendered(_) => {}
        }
        Ok(())
    }
}

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Cow<'a, str>> {
    let lines = headers.get_all(name).iter();
    lines.map(|line| String::from_utf8_lossy(line.as_bytes()))
}

/// The token behind its scheme (RFC 9110 §11.4: no case, then spaces); `None` when a scheme is
/// required and another one, or none, is there.
fn without_scheme<'a>(value: Cow<'a, str>, required: Option<&str>) -> Option<Cow<'a, str>> {
    let (scheme, token) = match value.trim().split_once(' ') {
        Some((scheme, token)) => (Some(scheme), token),
        None => (None, value.trim()),
    };
    let fits = required
        .is_none_or(|required| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(required)));
    fits.then(|| Cow::Owned(token.to_owned()))
}

/// Name and value of each cookie of a header line (RFC 6265 §4.2).
fn cookies(line: Cow<'_, str>) -> Vec<(String, String)> {
    let pairs = line.split(';').filter_map(|pair| pair.split_once('='));
    let pair = |(name, value): (&str, &str)| {
        let value = value.trim();
        let quoted = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        (name.trim().to_owned(), quoted.unwrap_or(value).to_owned())
    };
    pairs.map(pair).collect()
}

fn strip_cookie(headers: &mut HeaderMap, name: &str) {
    let lines: Vec<_> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for line in lines {
        let is_kept = |pair: &&[u8]| {
            let found = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            found.trim_ascii() != name.as_bytes() && !pair.is_empty()
        };
        let pairs = line
            .as_bytes()
            .split(|byte| *byte == b';')
            .map(<[u8]>::trim_ascii);
        let kept: Vec<&[u8]> = pairs.filter(is_kept).collect();
        if let (false, Ok(line)) = (
            kept.is_empty(),
            HeaderValue::from_bytes(&kept.join(&b"; "[..])),
        ) {
            headers.append(COOKIE, line);
        }
    }
}

/// A client that offered subprotocols must be answered with one of them, and not with its token.
fn strip_subprotocol(headers: &mut HeaderMap, prefix: &str) -> Result<(), Invalid> {
    let offered = subprotocols(headers).into_iter();
    let kept: Vec<String> = offered.filter(|name| !name.starts_with(prefix)).collect();
    let line = HeaderValue::from_str(&kept.join(", "));
    match (kept.is_empty(), line) {
        (false, Ok(line)) => {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, line);
            Ok(())
        }
        _ => Err(Invalid::Malformed("no subprotocol is offered besides it")),
    }
}
