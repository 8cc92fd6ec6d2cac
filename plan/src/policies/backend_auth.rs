//! backendAuth: can its secrets be used?

use tidegate_config::SecretDataId;
use tidegate_config::policy::{BackendAuth, SignedJwt};
use tidegate_keys::{KeyFamily, SecretLength, SigningKey, family_of};

use super::{call, free_header, unusable_key};
use crate::problem::Problem;
use crate::references::References;

pub(super) fn check(
    namespace: &str,
    policy: &BackendAuth,
    path: &str,
    references: &mut References<'_>,
) -> Vec<Problem> {
    let header = free_header(&policy.header, &format!("{path}.header"));
    let mut problems: Vec<_> = header.into_iter().collect();
    if let Some(client) = &policy.oauth2_client_credentials {
        let at = format!("{path}.oauth2ClientCredentials");
        problems.extend(call::client_credentials(namespace, client, &at, references));
    }
    problems.extend(call::tls(namespace, policy.tls.as_ref(), path, references));
    if let Some(jwt) = &policy.signed_jwt {
        let at = format!("{path}.signedJwt");
        problems.extend(jwt.clash().map(|name| {
            let text = format!("there is a claim \"{name}\" already");
            Problem::invalid(text).at(&format!("{at}.claims"))
        }));
        if let Err(problem) = signing_key(namespace, jwt, references) {
            problems.push(problem.at(&format!("{at}.secretRef")));
        }
    }
    problems
}

fn signing_key(
    namespace: &str,
    jwt: &SignedJwt,
    references: &mut References<'_>,
) -> Result<(), Problem> {
    let reference = &jwt.secret_ref;
    let bytes = references.secret_ref(namespace, reference)?;
    if jwt.allow_short_secret && family_of(jwt.algorithm) != KeyFamily::Hmac {
        return Err(Problem::invalid(
            "allowShortSecret is for HS256, HS384 and HS512",
        ));
    }
    let length = SecretLength::allowing_short(jwt.allow_short_secret);
    SigningKey::parse(jwt.algorithm, &bytes, length)
        .map_err(|error| unusable_key(namespace, reference, &error))?;
    references.keep(SecretDataId::of_secret_ref(namespace, reference), &bytes);
    Ok(())
}
