//! The keys of a policy: its own, and those of identity providers.

use std::borrow::Cow;
use std::sync::Arc;

use futures::future::join_all;
use tidegate_config::SecretDataId;
use tidegate_config::policy::{self, JwtAlgorithm};
use tidegate_keys::{SecretLength, VerificationKey};

use crate::credentials::jwks::{KeySet, KeySource, RemoteKeys, Trust};
use crate::credentials::jwt::{Invalid, Token};
use crate::policy::call::tls_settings;
use crate::policy::compile::{Compiler, InvalidPolicy};

/// Largest number of keys that are tried for one token. Each costs up to 0.2 ms, and any client can send a token
/// that names no key.
const MAX_TRIED: usize = 64;

/// All keys that may verify a token.
#[derive(Debug)]
pub(super) struct Keys {
    own: Vec<VerificationKey>,
    remote: Vec<Arc<RemoteKeys>>,
    /// Neither the policy nor a discovery document restricts issuers.
    pub(super) any_issuer: bool,
}

/// How a look for the key of a token ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Signed,
    /// The keys that the token names did not sign it.
    OtherSignature,
    /// The token names no key that is here, and none that is here signed it.
    NoKey,
}

impl Keys {
    pub(super) fn compile(
        policy: &policy::ValidateJwt,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let key = |(i, key): (usize, &policy::JwtKey)| {
            let field = format!("validateJwt.keys[{i}]");
            let compiled = compile_key(key, compiler, &field)?;
            let accepted = &policy.algorithms;
            if !accepted.is_empty() && !accepted.iter().any(|alg| compiled.fits(*alg)) {
                let problem = "none of the accepted algorithms can be used with this key";
                let mut short = accepted
                    .iter()
                    .filter_map(|alg| compiled.too_short_for(*alg));
                let problem = short
                    .next()
                    .map_or(problem.to_owned(), |why| why.to_string());
                return Err(compiler.invalid(&field, problem));
            }
            Ok(compiled)
        };
        let own = policy.keys.iter().enumerate().map(key);
        let own = own.collect::<Result<Vec<_>, _>>()?;
        let discovery = policy
            .openid_config
            .iter()
            .cloned()
            .map(KeySource::Discovery);
        let sources = discovery.chain(policy.jwks.iter().cloned().map(KeySource::Jwks));
        let sets = &compiler.context.services.keys;
        let tls = policy.tls.as_ref().map(|tls| {
            let settings = tls_settings(Some(tls), None, "validateJwt", compiler);
            settings.map(|(id, config)| Trust { id, config })
        });
        let tls = tls.transpose()?;
        let remote: Vec<_> = sources
            .map(|source| sets.at(source, tls.as_ref()))
            .collect();
        if own.is_empty() && remote.is_empty() && policy.require_signed {
            let problem = "at least one of openidConfig, jwks, keys must be set";
            return Err(compiler.invalid("validateJwt", problem));
        }
        Ok(Self {
            own,
            remote,
            any_issuer: policy.issuers.is_empty() && policy.openid_config.is_empty(),
        })
    }

    /// The issuers that discovery documents name, as far as they were read.
    pub(super) fn discovered_issuers(&self) -> impl Iterator<Item = String> {
        let sets = self.remote.iter().filter_map(|remote| remote.current());
        sets.filter_map(|set| set.issuer.clone())
    }

    /// Did one of the keys sign the token? `issuers` are those that the policy names.
    pub(super) async fn verify(
        &self,
        token: &Token<'_>,
        algorithm: JwtAlgorithm,
        issuers: &[Cow<'_, str>],
    ) -> Result<(), Invalid> {
        let sets = join_all(self.remote.iter().map(RemoteKeys::get)).await;
        let present: Vec<_> = sets.iter().flatten().collect();
        match self.look(&present, token, algorithm, issuers) {
            Found::Signed => return Ok(()),
            Found::OtherSignature => return Err(Invalid::WrongSignature),
            Found::NoKey => {}
        }
        let complete = sets.iter().all(Option::is_some);
        if complete && !self.accepts_issuer(token, issuers) {
            // More honest than an unknown key, and no reason to look for other keys.
            return Err(Invalid::IssuerNotAllowed);
        }
        let known = self.remote.iter().zip(&sets);
        let newer = known.filter_map(|(remote, set)| Some(remote.newer_than(set.as_ref()?)));
        let newer = join_all(newer).await;
        let newer: Vec<_> = newer.iter().flatten().collect();
        if self.look(&newer, token, algorithm, issuers) == Found::Signed {
            return Ok(());
        }
        Err(if !complete {
            Invalid::KeysUnavailable
        } else if token.key_id().is_some() {
            Invalid::KeyNotFound
        } else {
            Invalid::WrongSignature
        })
    }

    fn accepts_issuer(&self, token: &Token<'_>, issuers: &[Cow<'_, str>]) -> bool {
        let accepted = |issuer: &str| {
            issuers.iter().any(|name| name == issuer)
                || self.discovered_issuers().any(|name| name == issuer)
        };
        self.any_issuer || token.issuer().is_some_and(accepted)
    }

    fn look(
        &self,
        sets: &[&Arc<KeySet>],
        token: &Token<'_>,
        algorithm: JwtAlgorithm,
        issuers: &[Cow<'_, str>],
    ) -> Found {
        let remote = sets.iter().filter(|set| speaks_for(set, token, issuers));
        let keys = self.own.iter().chain(remote.flat_map(|set| &set.keys));
        let fitting: Vec<_> = keys.filter(|key| key.fits(algorithm)).collect();
        let is_named = |key: &VerificationKey| token.key_id().is_some_and(|id| key.has_id(id));
        let named: Vec<_> = fitting
            .iter()
            .copied()
            .filter(|key| is_named(key))
            .collect();
        let (tried, failed) = match named.is_empty() {
            true => (&fitting, Found::NoKey),
            false => (&named, Found::OtherSignature),
        };
        let mut tried = tried.iter().take(MAX_TRIED);
        match tried.any(|key| token.is_signed_by(key, algorithm)) {
            true => Found::Signed,
            false => failed,
        }
    }
}

/// May the set's keys sign for the token's issuer?
fn speaks_for(set: &KeySet, token: &Token<'_>, issuers: &[Cow<'_, str>]) -> bool {
    let Some(discovered) = &set.issuer else {
        return true;
    };
    let named = |issuer: &str| discovered == issuer || issuers.iter().any(|name| name == issuer);
    token.issuer().is_some_and(named)
}

fn compile_key(
    key: &policy::JwtKey,
    compiler: &Compiler<'_>,
    field: &str,
) -> Result<VerificationKey, InvalidPolicy> {
    let compiled = match (&key.secret_key_ref, &key.n, &key.e) {
        (Some(reference), None, None) => {
            let id = SecretDataId::of_secret_ref(compiler.context.namespace, reference);
            let bytes = compiler.context.secret_data.get(&id).ok_or_else(|| {
                let problem = format!("the Secret {} has no key {}", reference.name, reference.key);
                compiler.invalid(field, problem)
            })?;
            let length = SecretLength::allowing_short(key.allow_short_secret);
            VerificationKey::from_secret(key.id.clone(), bytes, length)
        }
        (None, Some(n), Some(e)) => VerificationKey::from_rsa(key.id.clone(), n, e),
        _ => return Err(compiler.invalid(field, "set either secretKeyRef or both n and e")),
    };
    compiled.map_err(|error| compiler.invalid(field, error.to_string()))
}
