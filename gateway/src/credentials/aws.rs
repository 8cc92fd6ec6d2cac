//! Signatures of AWS (Signature Version 4) over handshakes, with the temporary keys of a role.

mod sts;

use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningError, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::renewed::Issued;

pub(crate) use sts::{Roles, Sts};

/// Headers that only a signature sets. What a client sends in them would be taken for a part of it.
const OWN: [HeaderName; 4] = [
    AUTHORIZATION,
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
];

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotSign {
    #[error("the request cannot be signed")]
    Request(#[source] SigningError),
    #[error("the parameters of the signature are incomplete")]
    Parameters,
    #[error("the signature cannot stand in a header")]
    Header,
}

/// What signs a handshake.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    pub(crate) keys: Arc<Issued<Credentials>>,
    pub(crate) region: Arc<str>,
    pub(crate) service: Arc<str>,
}

impl Signing {
    /// Signs a GET of this path and query at this host, and puts the signature into the headers.
    ///
    /// # Errors
    /// [`CannotSign`]: host or path are not what a request can have.
    pub(crate) fn sign(
        &self,
        (host, path_and_query): (&str, &str),
        headers: &mut HeaderMap,
        now: SystemTime,
    ) -> Result<(), CannotSign> {
        for name in OWN {
            headers.remove(name);
        }
        for (name, value) in self.signature(host, path_and_query, now)? {
            headers.insert(name, value);
        }
        Ok(())
    }

    fn signature(
        &self,
        host: &str,
        path_and_query: &str,
        now: SystemTime,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, CannotSign> {
        let identity = self.keys.value().clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(now)
            .settings(SigningSettings::default())
            .build();
        let parameters = parameters.map_err(|_| CannotSign::Parameters)?.into();
        let url = format!("https://{host}{path_and_query}");
        let signed = [("host", host)].into_iter();
        let body = SignableBody::Bytes(&[]);
        let request =
            SignableRequest::new("GET", url, signed, body).map_err(CannotSign::Request)?;
        let output = sign(request, &parameters).map_err(CannotSign::Request)?;
        let (instructions, _) = output.into_parts();
        let headers = instructions.headers().map(|(name, value)| {
            let name = name.parse().map_err(|_| CannotSign::Header)?;
            let mut value = HeaderValue::from_str(value).map_err(|_| CannotSign::Header)?;
            value.set_sensitive(true);
            Ok((name, value))
        });
        headers.collect()
    }
}

#[cfg(test)]
mod tests;
