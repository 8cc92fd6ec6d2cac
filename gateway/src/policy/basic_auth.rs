//! basicAuth: the client must name a user and the user's password (RFC 7617).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::json;
use tidegate_config::SecretDataId;
use tidegate_config::htpasswd::{self, PasswordHash};
use tidegate_config::policy;
use tidegate_expr::from_json;

use super::Services;
use super::action::{Action, Compile, Later};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::Text;
use crate::credentials::password::{Busy, Passwords, Question};
use crate::exchange::Exchange;
use crate::refusal::{Origin, Reason, Refusal};

/// The policy, compiled.
#[derive(Debug)]
struct BasicAuth {
    users: BTreeMap<String, PasswordHash>,
    /// Hash for users who do not exist, so that the time of an answer does not reveal which users exist. `None`: no
    /// check of this file takes long.
    decoy: Option<String>,
    realm: Option<Text>,
    strip: bool,
    variable: String,
}

/// What a client has sent.
struct Credentials {
    user: String,
    password: String,
}

impl BasicAuth {
    fn compile(policy: &policy::BasicAuth, compiler: &Compiler<'_>) -> Result<Self, InvalidPolicy> {
        let field = "basicAuth.usersSecretRef";
        let reference = &policy.users_secret_ref;
        let id = SecretDataId::of_secret_ref(compiler.context.namespace, reference);
        let bytes = compiler.context.secret_data.get(&id).ok_or_else(|| {
            let problem = format!("the Secret {} has no key {}", reference.name, reference.key);
            compiler.invalid(field, problem)
        })?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| compiler.invalid(field, "the users are not UTF-8 text"))?;
        let users =
            htpasswd::parse(text).map_err(|error| compiler.invalid(field, error.to_string()))?;
        let decoy = users.values().find_map(|hash| match hash {
            PasswordHash::Bcrypt(hash) => Some(hash.clone()),
            PasswordHash::Sha1(_) => None,
        });
        Ok(Self {
            users,
            decoy,
            realm: compiler.optional_text("basicAuth.realm", policy.realm.as_ref())?,
            strip: policy.strip,
            variable: policy.variable.clone(),
        })
    }

    async fn is_right(&self, sent: &Credentials, passwords: &Passwords) -> Result<bool, Busy> {
        let asked = |user, hash| {
            passwords.is_right(Question {
                user,
                hash,
                password: &sent.password,
            })
        };
        match (self.users.get(&sent.user), &self.decoy) {
            (Some(PasswordHash::Bcrypt(hash)), _) => asked(&sent.user, hash).await,
            (Some(PasswordHash::Sha1(hash)), _) => {
                let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, sent.password.as_bytes());
                Ok(verify_slices_are_equal(sum.as_ref(), hash).is_ok())
            }
            (None, Some(decoy)) => asked(&sent.user, decoy).await.map(|_| false),
            (None, None) => Ok(false),
        }
    }

    fn welcome(&self, user: &str, exchange: &mut Exchange) {
        exchange.set_var(&self.variable, from_json(json!(user)));
        if self.strip {
            exchange.upstream.headers.remove(AUTHORIZATION);
        }
    }

    /// The refusal, or the fault that rendering the realm ended in.
    fn refusal(
        &self,
        reason: Reason,
        message: &str,
        exchange: &mut Exchange,
    ) -> Result<Refusal, Refusal> {
        let realm = match &self.realm {
            Some(realm) => realm.render(exchange)?.into_owned(),
            None => exchange.api.key.name.clone(),
        };
        let mut quoted = String::with_capacity(realm.len());
        for c in realm.chars() {
            if matches!(c, '"' | '\\') {
                quoted.push('\\');
            }
            quoted.push(if c.is_control() { ' ' } else { c });
        }
        let challenge = format!("Basic realm=\"{quoted}\", charset=\"UTF-8\"");
        let challenge = HeaderValue::from_str(&challenge);
        let challenge = challenge.unwrap_or(HeaderValue::from_static("Basic realm=\"api\""));
        let refusal = Refusal::new(401, reason, Origin::Policy, message);
        Ok(refusal.header(WWW_AUTHENTICATE, challenge))
    }
}

impl Compile for policy::BasicAuth {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        BasicAuth::compile(self, compiler).map(Action::later)
    }
}

impl Later for BasicAuth {
    async fn run(&self, exchange: &mut Exchange, services: &Services) -> Result<(), Refusal> {
        let passwords = &services.passwords;
        let mut lines = exchange.request.headers.get_all(AUTHORIZATION).iter();
        let (first, second) = (lines.next(), lines.next());
        let Some(line) = first else {
            let message = "Credentials are missing. Access denied.";
            return Err(self.refusal(Reason::CredentialsMissing, message, exchange)?);
        };
        let credentials = second.is_none().then(|| read(line)).flatten();
        if let Some(credentials) = credentials {
            exchange.add_secret(&credentials.password);
            let right = self.is_right(&credentials, passwords).await;
            if right.map_err(busy)? {
                self.welcome(&credentials.user, exchange);
                return Ok(());
            }
        }
        let message = "User name or password is wrong. Access denied.";
        Err(self.refusal(Reason::CredentialsInvalid, message, exchange)?)
    }
}

/// RFC 7617 §2: the scheme in any case; the name ends at the first colon; no control characters.
fn read(line: &HeaderValue) -> Option<Credentials> {
    let (scheme, encoded) = line.to_str().ok()?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    (!decoded.contains(char::is_control)).then(|| Credentials {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

/// The password could not be checked: the client may retry with the same one.
fn busy(busy: Busy) -> Refusal {
    let message = "Too many passwords wait to be checked.";
    let refusal = Refusal::new(503, Reason::CredentialsUnchecked, Origin::Gateway, message);
    refusal
        .detail(busy.to_string())
        .header(http::header::RETRY_AFTER, HeaderValue::from_static("5"))
}
