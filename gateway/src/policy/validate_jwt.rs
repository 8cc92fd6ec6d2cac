//! validateJwt: the client must present a valid token.
//!
//! Signature first, then claims, so that nothing unverified is ever reported or kept. Keys that came
//! from a discovery document verify only tokens of its issuer, or of one that the policy names: one
//! provider cannot sign for another.

mod keys;
mod refuse;
mod token_location;

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_config::policy;
use tidegate_config::policy::{ClaimMatch, JwtAlgorithm};

use self::keys::Keys;
use self::token_location::TokenLocation;
use super::Services;
use super::action::{Action, Compile, Later};
use super::compile::{Compiler, InvalidPolicy, REFUSING};
use super::expression::{Text, render_all};
use crate::credentials::jwt::{ClaimRule, ClaimRules, Invalid, Signed, Token, check_claims};
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
struct ValidateJwt {
    place: TokenLocation,
    keys: Keys,
    /// Accepted algorithms; empty: all that fit the key.
    algorithms: Vec<JwtAlgorithm>,
    issuers: Vec<Text>,
    audiences: Vec<Text>,
    claims: Vec<RequiredClaim>,
    clients: Vec<String>,
    skew: i64,
    require_expiration: bool,
    require_signed: bool,
    status: u16,
    message: Option<Text>,
    strip: bool,
    close_on_expiry: bool,
    variable: Option<String>,
    scheme: Option<String>,
}

#[derive(Debug)]
struct RequiredClaim {
    name: String,
    values: Vec<Text>,
    matching: ClaimMatch,
    separator: Option<String>,
}

/// Why there is no valid token: the token, or something of ours.
enum Failure {
    Invalid(Invalid),
    Refused(Refusal),
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl ValidateJwt {
    fn compile(
        policy: &policy::ValidateJwt,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let claim = |(i, claim): (usize, &policy::RequiredClaim)| {
            let field = format!("validateJwt.requiredClaims[{i}].values");
            Ok(RequiredClaim {
                name: claim.name.clone(),
                values: compiler.texts(&field, &claim.values)?,
                matching: claim.matching,
                separator: claim.separator.clone(),
            })
        };
        let claims = policy.required_claims.iter().enumerate().map(claim);
        Ok(Self {
            place: TokenLocation::compile(policy, compiler)?,
            keys: Keys::compile(policy, compiler)?,
            algorithms: policy.algorithms.clone(),
            issuers: compiler.texts("validateJwt.issuers", &policy.issuers)?,
            audiences: compiler.texts("validateJwt.audiences", &policy.audiences)?,
            claims: claims.collect::<Result<_, _>>()?,
            clients: policy.allowed_clients.clone(),
            skew: i64::try_from(policy.clock_skew.get().as_secs()).unwrap_or(i64::MAX),
            require_expiration: policy.require_expiration,
            require_signed: policy.require_signed,
            status: compiler.status("validateJwt.status", policy.status, REFUSING)?,
            message: compiler.optional_text("validateJwt.message", policy.message.as_ref())?,
            strip: policy.strip,
            close_on_expiry: policy.close_on_expiry,
            variable: policy.variable.clone(),
            scheme: policy.require_scheme.clone(),
        })
    }

    async fn validate(&self, exchange: &mut Exchange) -> Result<(), Failure> {
        let text = self.place.find(exchange)?.ok_or(Invalid::NotPresent)?;
        exchange.add_secret(&text);
        let token = Token::parse(&text)?;
        let issuers = render_all(&self.issuers, exchange)?;
        self.verify(&token, &issuers).await?;
        let rules = self.rules(issuers, exchange)?;
        let expiry = check_claims(&token.claims, &rules, now())?;
        if self.close_on_expiry {
            let earlier = [expiry, exchange.token_expiry].into_iter().flatten().min();
            exchange.token_expiry = earlier;
        }
        if self.strip {
            self.place.strip(&mut exchange.upstream)?;
        }
        let Token { header, claims, .. } = token;
        exchange.set_token(header, claims, self.variable.as_deref());
        Ok(())
    }

    /// Was it signed by one of the keys, with an algorithm that is accepted?
    async fn verify(&self, token: &Token<'_>, issuers: &[Cow<'_, str>]) -> Result<(), Invalid> {
        let algorithm = match token.signed {
            Signed::With(algorithm) => algorithm,
            Signed::Not if !self.require_signed && token.has_no_signature() => return Ok(()),
            Signed::Not => return Err(Invalid::AlgorithmNotAllowed),
        };
        if !self.algorithms.is_empty() && !self.algorithms.contains(&algorithm) {
            return Err(Invalid::AlgorithmNotAllowed);
        }
        self.keys.verify(token, algorithm, issuers).await
    }

    fn rules<'a>(
        &'a self,
        mut issuers: Vec<Cow<'a, str>>,
        exchange: &mut Exchange,
    ) -> Result<ClaimRules<'a>, Refusal> {
        issuers.extend(self.keys.discovered_issuers().map(Cow::Owned));
        // A discovery document that could not be read yet must not make every issuer acceptable.
        let issuers = (!self.keys.any_issuer).then_some(issuers);
        let claim = |claim: &'a RequiredClaim| {
            Ok(ClaimRule {
                name: &claim.name,
                values: render_all(&claim.values, exchange)?,
                matching: claim.matching,
                separator: claim.separator.as_deref(),
            })
        };
        let claims = self
            .claims
            .iter()
            .map(claim)
            .collect::<Result<Vec<_>, Refusal>>()?;
        Ok(ClaimRules {
            issuers,
            audiences: render_all(&self.audiences, exchange)?,
            claims,
            clients: &self.clients,
            skew: self.skew,
            require_expiration: self.require_expiration,
        })
    }
}

impl Compile for policy::ValidateJwt {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        ValidateJwt::compile(self, compiler).map(Action::later)
    }
}

impl Later for ValidateJwt {
    const ASKS: bool = true;

    async fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        match self.validate(exchange).await {
            Ok(()) => Ok(()),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(Failure::Invalid(invalid)) => Err(self.refusal(&invalid, exchange)?),
        }
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests;
