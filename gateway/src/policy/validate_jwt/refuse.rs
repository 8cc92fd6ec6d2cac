//! What a client without a valid token is told.

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;

use super::ValidateJwt;
use crate::credentials::jwt::Invalid;
use crate::exchange::Exchange;
use crate::refusal::{Origin, Reason, Refusal};

impl ValidateJwt {
    /// The refusal, or the fault that rendering its message ended in.
    pub(super) fn refusal(
        &self,
        invalid: &Invalid,
        exchange: &mut Exchange,
    ) -> Result<Refusal, Refusal> {
        let (reason, failure) = describe(invalid);
        if *invalid == Invalid::KeysUnavailable {
            // The token could not be verified: the client may retry with the same one.
            return Ok(Refusal::new(503, reason, Origin::Gateway, failure));
        }
        let message = match &self.message {
            Some(message) => message.render(exchange)?.into_owned(),
            None => failure.clone(),
        };
        let refusal = Refusal::new(self.status, reason, Origin::Policy, message).detail(failure);
        if self.status != 401 {
            return Ok(refusal);
        }
        Ok(refusal.header(WWW_AUTHENTICATE, self.challenge(invalid, exchange)))
    }

    /// RFC 6750 §3: without a token no error code, otherwise `invalid_token`.
    fn challenge(&self, invalid: &Invalid, exchange: &Exchange) -> HeaderValue {
        let scheme = self.scheme.as_deref().unwrap_or("Bearer");
        let realm = &exchange.api.key.name;
        let error = match invalid {
            Invalid::NotPresent => "",
            _ => ", error=\"invalid_token\"",
        };
        let challenge = format!("{scheme} realm=\"{realm}\"{error}");
        HeaderValue::from_str(&challenge).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

/// Reason and message of each failure.
fn describe(invalid: &Invalid) -> (Reason, String) {
    let (reason, fact) = match invalid {
        Invalid::NotPresent => return (Reason::TokenMissing, "JWT not present.".to_owned()),
        Invalid::KeysUnavailable => {
            let message = "The keys that verify tokens are not available.";
            return (Reason::KeysUnavailable, message.to_owned());
        }
        Invalid::ClaimsMissing(names) => {
            let fact = format!(
                "JWT token is missing the following claims: {}",
                names.join(", ")
            );
            (Reason::TokenClaimMissing, fact)
        }
        Invalid::ClaimNotAllowed { claim, value } => {
            let fact = format!("Claim {claim} value of {value} is not allowed");
            (Reason::TokenClaimNotAllowed, fact)
        }
        Invalid::Malformed(why) => (Reason::TokenInvalid, format!("JWT is invalid: {why}")),
        Invalid::AlgorithmNotAllowed => {
            (Reason::TokenInvalid, "JWT algorithm is not allowed".into())
        }
        Invalid::KeyNotFound => (
            Reason::TokenSignatureInvalid,
            "JWT signature key was not found".into(),
        ),
        Invalid::WrongSignature => (
            Reason::TokenSignatureInvalid,
            "JWT signature is invalid".into(),
        ),
        Invalid::NoExpiration => (Reason::TokenInvalid, "JWT has no expiration time".into()),
        Invalid::Expired => (Reason::TokenExpired, "JWT is expired".into()),
        Invalid::NotYetValid => (Reason::TokenNotYetValid, "JWT is not yet valid".into()),
        Invalid::IssuerNotAllowed => (
            Reason::TokenIssuerNotAllowed,
            "JWT issuer is not allowed".into(),
        ),
        Invalid::AudienceNotAllowed => (
            Reason::TokenAudienceNotAllowed,
            "JWT audience is not allowed".into(),
        ),
        Invalid::ClientNotAllowed => (
            Reason::TokenClientNotAllowed,
            "JWT client is not allowed".into(),
        ),
    };
    (reason, format!("{fact}. Access denied."))
}
