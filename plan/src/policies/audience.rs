//! Tokens of the pods' service account: a policy may use those that the Gateway's owner lists, no others.

use tidegate_config::policy::{ClientCredentials, Policy, RequestAuth, ServiceAccountToken, Step};

use super::Policies;
use crate::problem::Problem;

impl Policies {
    /// What is wrong where the pods have tokens of their service account for these audiences only.
    pub(crate) fn unknown_audiences(&self, there: &[String]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (section, position, step) in self.on_handshake.steps() {
            for (field, token) in tokens(step) {
                let audience = &token.audience;
                if there.contains(audience) {
                    continue;
                }
                let path = self.paths.of(section, position);
                let text = format!(
                    "pods of the Gateway get no token for \"{audience}\": add it to the Gateway's \
                     spec.deployment.tokenAudiences"
                );
                problems.push(Problem::invalid(text).at(&format!("{path}.{field}.audience")));
            }
        }
        problems
    }
}

/// The tokens that a step uses, each with its field.
fn tokens(step: &dyn Step) -> Vec<(String, &ServiceAccountToken)> {
    let of_auth = |at: &str, auth| assertion(&format!("{at}.auth.oauth2"), oauth2(auth));
    match step.policy() {
        Some(Policy::BackendAuth(policy)) => {
            let own = policy.service_account_token.as_ref();
            let own = own.map(|token| ("backendAuth.serviceAccountToken".to_owned(), token));
            let client = policy.oauth2_client_credentials.as_ref();
            let asserted = assertion("backendAuth.oauth2ClientCredentials", client);
            let exchange = policy.oauth2_token_exchange.as_ref();
            let exchanged = exchange.map(|exchange| {
                let field = "backendAuth.oauth2TokenExchange.subjectToken.serviceAccountToken";
                let token = &exchange.subject_token.service_account_token;
                (field.to_owned(), token)
            });
            let signed = policy.aws_sig_v4.as_ref().map(|aws| {
                let field = "backendAuth.awsSigV4.webIdentityToken.serviceAccountToken";
                (
                    field.to_owned(),
                    &aws.web_identity_token.service_account_token,
                )
            });
            let bearers = own.into_iter().chain(asserted).chain(exchanged);
            bearers.chain(signed).collect()
        }
        Some(Policy::SendRequest(policy)) => of_auth("sendRequest", policy.auth.as_ref())
            .into_iter()
            .collect(),
        Some(Policy::SendRequests(policy)) => {
            let requests = policy.requests.iter().enumerate();
            let found = requests.filter_map(|(i, request)| {
                let at = format!("sendRequests.requests[{i}]");
                of_auth(&at, request.auth.as_ref())
            });
            found.collect()
        }
        Some(Policy::Notify(policy)) => of_auth("notify", policy.auth.as_ref())
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

fn oauth2(auth: Option<&RequestAuth>) -> Option<&ClientCredentials> {
    auth?.oauth2.as_ref()
}

fn assertion<'a>(
    at: &str,
    client: Option<&'a ClientCredentials>,
) -> Option<(String, &'a ServiceAccountToken)> {
    let assertion = client?.client_assertion.as_ref()?;
    let field = format!("{at}.clientAssertion.serviceAccountToken");
    Some((field, &assertion.service_account_token))
}
