//! backendAuth: can its secrets be used?

use tidegate_config::SecretDataId;
use tidegate_config::policy::{BackendAuth, SignedJwt};
use tidegate_keys::{KeyFamily, SecretLength, SigningKey, family_of};

use super::check::{Access, Check, StepContext};
use super::header::restricted;
use super::{call, key};
use crate::problem::Problem;
use crate::references::References;

impl Check for BackendAuth {
    const ACCESS: Access = Access::Never;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let path = step.path;
        let header = restricted(&self.header, &format!("{path}.header"));
        let mut problems: Vec<_> = header.into_iter().collect();
        if let Some(client) = &self.oauth2_client_credentials {
            let at = format!("{path}.oauth2ClientCredentials");
            problems.extend(call::client_credentials(client, &at, step));
        }
        if let Some(exchange) = &self.oauth2_token_exchange {
            let at = format!("{path}.oauth2TokenExchange.tokenUrl");
            let problem = call::token_url(&exchange.token_url);
            problems.extend(problem.map(|problem| problem.at(&at)));
        }
        if let Some(url) = self
            .aws_sig_v4
            .as_ref()
            .and_then(|aws| aws.sts_url.as_ref())
        {
            let at = format!("{path}.awsSigV4.stsUrl");
            problems.extend(call::token_url(url).map(|problem| problem.at(&at)));
        }
        problems.extend(call::tls(self.tls.as_ref(), path, step));
        if let Some(jwt) = &self.signed_jwt {
            let at = format!("{path}.signedJwt");
            problems.extend(jwt.clash().map(|name| {
                let text = format!("there is already a claim \"{name}\"");
                Problem::invalid(text).at(&format!("{at}.claims"))
            }));
            if let Err(problem) = signing_key(step.namespace, jwt, step.references) {
                problems.push(problem.at(&format!("{at}.secretRef")));
            }
        }
        problems
    }

    fn secret_data(&self, namespace: &str) -> Vec<SecretDataId> {
        let client = self.oauth2_client_credentials.as_ref();
        let secret = client.and_then(|client| client.secret_ref.as_ref());
        let key = self.signed_jwt.as_ref().map(|jwt| &jwt.secret_ref);
        let secrets = secret.into_iter().chain(key);
        let secrets = secrets.map(|reference| SecretDataId::of_secret_ref(namespace, reference));
        secrets
            .chain(call::trust_anchors(namespace, self.tls.as_ref()))
            .collect()
    }
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
            "allowShortSecret is only for HS256, HS384 and HS512",
        ));
    }
    let length = SecretLength::allowing_short(jwt.allow_short_secret);
    SigningKey::parse(jwt.algorithm, &bytes, length)
        .map_err(|error| key::unusable(namespace, reference, &error))?;
    references.keep(SecretDataId::of_secret_ref(namespace, reference), &bytes);
    Ok(())
}
