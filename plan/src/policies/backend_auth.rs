//! backendAuth: can its secrets be used?

use tidegate_api::Reason;
use tidegate_config::MaterialId;
use tidegate_config::policy::{BackendAuth, SignedJwt};

use super::jwt::{KeyFamily, family_of};
use super::{call, free_header};
use crate::pem;
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
    let wanted = family_of(jwt.algorithm);
    let fits = match wanted {
        KeyFamily::Hmac => !bytes.is_empty() && !pem::looks_like(&bytes),
        _ => pem::private_key_family(&bytes) == Some(wanted),
    };
    if fits {
        references.keep(MaterialId::of_secret_ref(namespace, reference), &bytes);
        return Ok(());
    }
    let (name, key) = (&reference.name, &reference.key);
    let what = match wanted {
        KeyFamily::Hmac => "a secret that is not PEM",
        KeyFamily::Rsa => "an RSA private key from 2048 bits in PEM",
        KeyFamily::P256 => "a P-256 private key in PEM (PKCS#8)",
        KeyFamily::P384 => "a P-384 private key in PEM (PKCS#8)",
        KeyFamily::Ed25519 => "an Ed25519 private key in PEM (PKCS#8)",
    };
    let algorithm = jwt.algorithm;
    let text = format!(
        "key \"{key}\" of Secret {namespace}/{name} must be {what} to sign with {algorithm:?}"
    );
    Err(Problem::unresolved(Reason::InvalidMaterial, text))
}
