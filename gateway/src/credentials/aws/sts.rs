//! AWS STS: temporary keys of a role for a token of the pods' service account (AssumeRoleWithWebIdentity).

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use roxmltree::Document;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use url::Url;
use url::form_urlencoded::Serializer;

use super::super::renewed::{Issue, Known, Source};
use super::super::token_source::AccountToken;
use crate::http_client::{Call, CallError, Caller, Reply, shown_url};
use tidegate_tunnel::drain::Drain;

/// For one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The version of its API.
const VERSION: &str = "2011-06-15";

/// All roles that some policy names.
#[derive(Debug)]
pub(crate) struct Roles(Known<Sts>);

impl Roles {
    pub(crate) fn new(drain: Drain, runtime: Handle) -> Self {
        Self(Known::new(drain, runtime))
    }

    /// The keys of a role, shared by all who ask for them.
    pub(crate) fn of(&self, sts: Sts) -> Arc<Source<Sts>> {
        let mut id = Sha256::new();
        sts.identify(&mut id);
        let origin = format!("{}, for {}", shown_url(&sts.url), sts.role);
        self.0.shared(id, sts, origin)
    }
}

/// A role, and where its keys come from.
pub(crate) struct Sts {
    pub(crate) url: Url,
    pub(crate) role: String,
    pub(crate) session: String,
    pub(crate) duration: Duration,
    pub(crate) account: AccountToken,
    pub(crate) caller: Arc<Caller>,
}

impl Sts {
    /// Hashes everything that makes it another one.
    fn identify(&self, id: &mut Sha256) {
        let duration = self.duration.as_secs().to_string();
        let audience = self.account.audience();
        let parts = [
            self.url.as_str(),
            &self.role,
            &self.session,
            &duration,
            audience,
        ];
        for part in parts {
            id.update(part.len().to_be_bytes());
            id.update(part);
        }
        // Other TLS settings may lead to another server.
        id.update((Arc::as_ptr(&self.caller) as usize).to_be_bytes());
    }

    fn request(&self, token: &str) -> Call {
        let mut form = Serializer::new(String::new());
        form.append_pair("Action", "AssumeRoleWithWebIdentity")
            .append_pair("Version", VERSION)
            .append_pair("RoleArn", &self.role)
            .append_pair("RoleSessionName", &self.session)
            .append_pair("DurationSeconds", &self.duration.as_secs().to_string())
            .append_pair("WebIdentityToken", token);
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        Call {
            via: None,
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body: Bytes::from(form.finish()),
            timeout: TIMEOUT,
        }
    }
}

impl Issue for Sts {
    type Value = Credentials;

    async fn issue(&self) -> Result<(Credentials, Duration), CallError> {
        let token = self.account.read().await?;
        self.caller.ask(self.request(&token), read).await
    }
}

/// What STS answered.
fn read(reply: Reply) -> Result<(Credentials, Duration), CallError> {
    let text = String::from_utf8_lossy(&reply.body);
    let document = Document::parse(&text).ok();
    let field = |name: &str| {
        let mut all = document.iter().flat_map(Document::descendants);
        let found = all.find(|node| node.tag_name().name() == name);
        found.and_then(|node| node.text()).map(str::to_owned)
    };
    if reply.status != 200 {
        // A code out of a small alphabet; anything else is not repeated.
        let is_plain = |code: &String| {
            code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let code = field("Code").filter(is_plain);
        let code = code.map(|code| format!(", {code}")).unwrap_or_default();
        return Err(CallError::Token(format!("answered {}{code}", reply.status)));
    }
    let unusable = || CallError::Token("issued no usable keys".to_owned());
    let required = |name: &str| {
        field(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(unusable)
    };
    let ends: Timestamp = required("Expiration")?.parse().map_err(|_| unusable())?;
    let left = ends.duration_since(Timestamp::now());
    let left = Duration::try_from(left).map_err(|_| unusable())?;
    let (key, secret) = (required("AccessKeyId")?, required("SecretAccessKey")?);
    let token = required("SessionToken")?;
    Ok((
        Credentials::new(key, secret, Some(token), None, "AWS STS"),
        left,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Reply {
        Reply {
            status,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn keys(ends: &str) -> String {
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>\
             <Credentials><SessionToken>session</SessionToken><SecretAccessKey>secret</SecretAccessKey>\
             <Expiration>{ends}</Expiration><AccessKeyId>ASIA1</AccessKeyId></Credentials>\
             </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
    }

    #[test]
    fn keys_are_read_with_the_time_they_have() {
        let ends = Timestamp::now() + Duration::from_secs(3600);
        let (found, life) = read(answer(200, &keys(&ends.to_string()))).unwrap();
        assert_eq!(found.access_key_id(), "ASIA1");
        assert_eq!(found.secret_access_key(), "secret");
        assert_eq!(found.session_token(), Some("session"));
        assert!(life > Duration::from_secs(3500) && life <= Duration::from_secs(3600));
        assert!(!format!("{found:?}").contains("secret\""), "{found:?}");
    }

    #[test]
    fn what_is_no_set_of_keys_is_named() {
        let past = keys("2020-01-01T00:00:00Z");
        let refused = "<ErrorResponse><Error><Code>ExpiredTokenException</Code><Message>m</Message></Error></ErrorResponse>";
        let odd = "<ErrorResponse><Error><Code>a b&lt;c</Code></Error></ErrorResponse>";
        for (name, status, body, wanted) in [
            (
                "refused",
                400,
                refused,
                "answered 400, ExpiredTokenException",
            ),
            ("an odd code", 403, odd, "answered 403"),
            ("no XML", 500, "oops", "answered 500"),
            ("ended", 200, &past, "issued no usable keys"),
            ("empty", 200, "<a/>", "issued no usable keys"),
            (
                "a declaration",
                200,
                "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
                "issued no usable keys",
            ),
        ] {
            let error = read(answer(status, body)).unwrap_err().to_string();
            assert_eq!(error, format!("the token endpoint {wanted}"), "{name}");
        }
    }
}
