//! What a verified token must say: times, issuer, audience, client, further claims.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tidegate_config::policy::ClaimMatch;

use super::Invalid;

/// A value quoted in a message is cut here: it comes from the token.
const MAX_QUOTED_CHARS: usize = 200;

/// Claims that name the client, by OpenID Connect (azp), Microsoft Entra (appid), RFC 8693
/// (client_id).
const CLIENT_CLAIMS: [&str; 3] = ["azp", "appid", "client_id"];

/// What a token must say, with all templates filled in.
#[derive(Debug, Default)]
pub(crate) struct ClaimRules<'a> {
    /// Accepted issuers; `None`: any.
    pub(crate) issuers: Option<Vec<Cow<'a, str>>>,
    /// Accepted audiences; empty: any.
    pub(crate) audiences: Vec<Cow<'a, str>>,
    pub(crate) claims: Vec<ClaimRule<'a>>,
    /// Accepted clients; empty: any.
    pub(crate) clients: &'a [String],
    /// Seconds of tolerance for exp and nbf.
    pub(crate) skew: i64,
    pub(crate) require_expiration: bool,
}

/// A claim that must be there, and what it must hold.
#[derive(Debug)]
pub(crate) struct ClaimRule<'a> {
    pub(crate) name: &'a str,
    pub(crate) values: Vec<Cow<'a, str>>,
    pub(crate) matching: ClaimMatch,
    pub(crate) separator: Option<&'a str>,
}

/// Checks the claims at `now` (seconds since 1970); gives when the token stops being valid.
///
/// # Errors
/// [`Invalid`]: the first claim that is missing or not allowed.
pub(crate) fn check_claims(
    claims: &Map<String, Value>,
    rules: &ClaimRules<'_>,
    now: i64,
) -> Result<Option<i64>, Invalid> {
    let expiry = check_times(claims, rules, now)?;
    let issuer = claims.get("iss").and_then(Value::as_str);
    let accepted = |issuers| issuer.is_some_and(|issuer| contains(issuers, issuer));
    if !rules.issuers.as_deref().is_none_or(accepted) {
        return Err(Invalid::IssuerNotAllowed);
    }
    let audiences = claims
        .get("aud")
        .map(|aud| texts(aud, None))
        .unwrap_or_default();
    if !rules.audiences.is_empty() && !audiences.iter().any(|aud| contains(&rules.audiences, aud)) {
        return Err(Invalid::AudienceNotAllowed);
    }
    let is_allowed = |name: &&str| {
        let client = claims.get(*name).and_then(Value::as_str);
        client.is_some_and(|client| rules.clients.iter().any(|allowed| allowed == client))
    };
    if !rules.clients.is_empty() && !CLIENT_CLAIMS.iter().any(is_allowed) {
        return Err(Invalid::ClientNotAllowed);
    }
    check_required(claims, &rules.claims)?;
    Ok(expiry)
}

/// RFC 7519 §4.1.4 and §4.1.5.
fn check_times(
    claims: &Map<String, Value>,
    rules: &ClaimRules<'_>,
    now: i64,
) -> Result<Option<i64>, Invalid> {
    let expiry = match date(claims, "exp")? {
        Some(exp) => Some(exp.saturating_add(rules.skew)),
        None if rules.require_expiration => return Err(Invalid::NoExpiration),
        None => None,
    };
    if expiry.is_some_and(|expiry| now >= expiry) {
        return Err(Invalid::Expired);
    }
    if date(claims, "nbf")?.is_some_and(|nbf| now.saturating_add(rules.skew) < nbf) {
        return Err(Invalid::NotYetValid);
    }
    Ok(expiry)
}

/// A NumericDate; it may have decimals, which are cut.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, Invalid> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            let whole = number
                .as_i64()
                .or_else(|| number.as_f64().map(|secs| secs as i64));
            Ok(whole)
        }
        Some(_) => Err(Invalid::Malformed("its exp or nbf is not a number")),
    }
}

fn check_required(claims: &Map<String, Value>, rules: &[ClaimRule<'_>]) -> Result<(), Invalid> {
    let present = |name: &str| claims.get(name).filter(|value| !value.is_null());
    let missing = rules.iter().filter(|rule| present(rule.name).is_none());
    let missing: Vec<String> = missing.map(|rule| rule.name.to_owned()).collect();
    if !missing.is_empty() {
        return Err(Invalid::ClaimsMissing(missing));
    }
    for rule in rules {
        let Some(claim) = present(rule.name) else {
            continue;
        };
        let found = texts(claim, rule.separator);
        let mut wanted = rule.values.iter();
        let holds = |value: &Cow<'_, str>| contains(&found, value);
        let satisfied = rule.values.is_empty()
            || match rule.matching {
                ClaimMatch::All => wanted.all(holds),
                ClaimMatch::Any => wanted.any(holds),
            };
        if !satisfied {
            return Err(Invalid::ClaimNotAllowed {
                claim: rule.name.to_owned(),
                value: quoted(claim),
            });
        }
    }
    Ok(())
}

fn contains(values: &[Cow<'_, str>], wanted: &str) -> bool {
    values.iter().any(|value| value == wanted)
}

/// The values of a claim: itself, its items, or its parts between separators.
fn texts<'a>(claim: &'a Value, separator: Option<&str>) -> Vec<Cow<'a, str>> {
    match claim {
        Value::Array(items) => items
            .iter()
            .flat_map(|item| texts(item, separator))
            .collect(),
        Value::String(text) => match separator {
            Some(separator) => {
                let parts = text.split(separator).map(str::trim);
                parts
                    .filter(|part| !part.is_empty())
                    .map(Cow::Borrowed)
                    .collect()
            }
            None => vec![Cow::Borrowed(text)],
        },
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec![Cow::Owned(claim.to_string())],
    }
}

fn quoted(claim: &Value) -> String {
    let text = match claim {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
