//! backendAuth: the gateway proves to the backend who it is.
//!
//! The client's own `Authorization` is taken away: it was meant for the gateway, and a backend must
//! not have to guess whose credentials it sees.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use jsonwebtoken::Header;
use serde_json::{Map, Value as Json};
use tidegate_config::SecretDataId;
use tidegate_config::policy;
use tidegate_expr::{Value, to_json};
use tidegate_keys::{SecretLength, SigningKey, library_name};

use super::Services;
use super::action::{Action, Compile, Later};
use super::call::{basic, caller, exchange_source, role_keys, token_source};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Text, expression_failed};
use super::set_header::header_value;
use crate::credentials::aws::{Signing, Sts};
use crate::credentials::renewed::Source;
use crate::credentials::token_source::{IssuedToken, TokenSource};
use crate::exchange::Exchange;
use crate::http_client::CallError;
use crate::refusal::{Origin, Reason, Refusal};
use tidegate_config::error_chain;

/// The policy, compiled.
#[derive(Debug)]
struct BackendAuth {
    header: HeaderName,
    credentials: Credentials,
}

#[derive(Debug)]
enum Credentials {
    Basic { username: Text, password: Text },
    Token(Arc<TokenSource>),
    Signed(Box<Signer>),
    Aws(AwsSigner),
}

/// Signs handshakes with the keys of a role.
#[derive(Debug)]
struct AwsSigner {
    keys: Arc<Source<Sts>>,
    region: Arc<str>,
    service: Arc<str>,
}

/// Signs tokens.
#[derive(Debug)]
struct Signer {
    claims: Vec<(String, Text)>,
    header: Header,
    key: SigningKey,
    /// In seconds.
    ttl: u64,
}

impl BackendAuth {
    fn compile(
        policy: &policy::BackendAuth,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            header: compiler.free_header("backendAuth.header", &policy.header)?,
            credentials: credentials(policy, compiler)?,
        })
    }
}

impl Compile for policy::BackendAuth {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        BackendAuth::compile(self, compiler).map(Action::later)
    }
}

impl Later for BackendAuth {
    const ASKS: bool = true;

    async fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let upstream = &mut exchange.upstream;
        upstream.headers.remove(AUTHORIZATION);
        upstream.signing = None;
        let value = match &self.credentials {
            Credentials::Basic { username, password } => basic(username, password, exchange)?,
            Credentials::Token(source) => {
                let token = source.token().await.map_err(|error| failed(&error))?;
                let value = token.header();
                hide(&value, exchange);
                let source = Arc::clone(source);
                exchange
                    .evaluation
                    .issued
                    .push(IssuedToken { source, token });
                value
            }
            Credentials::Signed(signer) => {
                let mut value = header_value(&self.header, &signer.bearer(exchange)?)?;
                value.set_sensitive(true);
                hide(&value, exchange);
                value
            }
            Credentials::Aws(signer) => return signer.prepare(exchange).await,
        };
        exchange.upstream.headers.insert(self.header.clone(), value);
        Ok(())
    }
}

impl AwsSigner {
    /// The handshake is signed when it is known which backend is asked.
    async fn prepare(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let keys = self.keys.token().await.map_err(|error| failed(&error))?;
        if let Some(token) = keys.value().session_token() {
            exchange.add_secret(token);
        }
        exchange.upstream.signing = Some(Signing {
            keys,
            region: Arc::clone(&self.region),
            service: Arc::clone(&self.service),
        });
        Ok(())
    }
}

/// From here on the token behind `Bearer` is masked.
fn hide(value: &HeaderValue, exchange: &mut Exchange) {
    let text = String::from_utf8_lossy(value.as_bytes());
    let token = text.split_once(' ').map_or(&*text, |(_, token)| token);
    exchange.add_secret(token);
}

fn failed(error: &CallError) -> Refusal {
    let status = if error.is_timeout() { 504 } else { 502 };
    let message = "Authentication to the backend failed";
    Refusal::new(status, Reason::BackendAuthFailed, Origin::Policy, message)
        .detail(error_chain(error))
}

fn credentials(
    policy: &policy::BackendAuth,
    compiler: &Compiler<'_>,
) -> Result<Credentials, InvalidPolicy> {
    let tls = policy.tls.as_ref();
    let caller = || caller(tls, None, "backendAuth", compiler);
    let mut found = Vec::new();
    if let Some(basic) = &policy.basic {
        found.push(Credentials::Basic {
            username: compiler.text("backendAuth.basic.username", &basic.username)?,
            password: compiler.text("backendAuth.basic.password", &basic.password)?,
        });
    }
    if let Some(client) = &policy.oauth2_client_credentials {
        let at = "backendAuth.oauth2ClientCredentials";
        let source = token_source(client, at, (&caller()?, compiler))?;
        found.push(Credentials::Token(source));
    }
    if let Some(exchange) = &policy.oauth2_token_exchange {
        let at = "backendAuth.oauth2TokenExchange";
        let source = exchange_source(exchange, at, (&caller()?, compiler))?;
        found.push(Credentials::Token(source));
    }
    if let Some(token) = &policy.service_account_token {
        let tokens = &compiler.context.services.calls.tokens;
        let source = tokens.of_service_account(&token.audience);
        found.push(Credentials::Token(source));
    }
    if let Some(jwt) = &policy.signed_jwt {
        let signer = Signer::new(jwt, compiler)?;
        found.push(Credentials::Signed(Box::new(signer)));
    }
    if let Some(aws) = &policy.aws_sig_v4 {
        found.push(Credentials::Aws(AwsSigner {
            keys: role_keys(aws, (caller()?, compiler))?,
            region: aws.region.as_str().into(),
            service: aws.service.as_str().into(),
        }));
    }
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => {
            let problem = "exactly one of basic, oauth2ClientCredentials, oauth2TokenExchange, serviceAccountToken, signedJwt, awsSigV4 must be set";
            Err(compiler.invalid("backendAuth", problem))
        }
    }
}

impl Signer {
    fn new(policy: &policy::SignedJwt, compiler: &Compiler<'_>) -> Result<Self, InvalidPolicy> {
        if let Some(name) = policy.clash() {
            let problem = format!("the claim {name} is there already");
            return Err(compiler.invalid("backendAuth.signedJwt.claims", problem));
        }
        let claims = policy.claims.iter().enumerate().map(|(i, claim)| {
            let field = format!("backendAuth.signedJwt.claims[{i}].value");
            Ok((claim.name.clone(), compiler.text(&field, &claim.value)?))
        });
        let field = "backendAuth.signedJwt.secretRef";
        let reference = &policy.secret_ref;
        let id = SecretDataId::of_secret_ref(compiler.context.namespace, reference);
        let bytes = compiler.context.secret_data.get(&id).ok_or_else(|| {
            let problem = format!("the Secret {} has no key {}", reference.name, reference.key);
            compiler.invalid(field, problem)
        })?;
        let mut header = Header::new(library_name(policy.algorithm));
        header.kid.clone_from(&policy.key_id);
        let length = SecretLength::allowing_short(policy.allow_short_secret);
        let key = SigningKey::parse(policy.algorithm, bytes, length)
            .map_err(|error| compiler.invalid(field, error.to_string()))?;
        Ok(Self {
            claims: claims.collect::<Result<_, _>>()?,
            header,
            key,
            ttl: policy.ttl.get().as_secs(),
        })
    }

    /// A fresh token, as the value of a header.
    fn bearer(&self, exchange: &mut Exchange) -> Result<String, Refusal> {
        let mut claims = Map::new();
        for (name, text) in &self.claims {
            // A claim without a value says nothing.
            let value = text.value(exchange)?;
            if value == Value::Null {
                continue;
            }
            let json = to_json(&value);
            let json = json.map_err(|error| expression_failed(format!("claim {name}: {error}")))?;
            claims.insert(name.clone(), json);
        }
        let now = jiff::Timestamp::now().as_second();
        let ttl = i64::try_from(self.ttl).unwrap_or(i64::MAX);
        claims.insert("iat".to_owned(), Json::from(now));
        claims.insert("exp".to_owned(), Json::from(now.saturating_add(ttl)));
        let token = jsonwebtoken::encode(&self.header, &claims, self.key.encoding_key());
        let token = token.map_err(|error| expression_failed(format!("signedJwt: {error}")))?;
        Ok(format!("Bearer {token}"))
    }
}

#[cfg(test)]
mod tests;
