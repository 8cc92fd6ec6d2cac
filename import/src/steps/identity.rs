//! Managed identities: by a token of its service account, the gateway proves that it may act for one (workload
//! identity federation).

use serde_json::{Value, json};

use super::super::field::Element;
use super::super::service::Token;
use super::{Made, Result, no, plain_name};

/// The Secret with everything that has to be replaced.
pub(crate) const SECRET: &str = "imported-values";

/// The audience of the tokens that Entra ID takes.
pub(crate) const AUDIENCE: &str = "api://AzureADTokenExchange";

/// Azure's public cloud.
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// What stands in `tokenUrl` and `clientId` until the user replaces it. Entra ID knows neither, so that no handshake
/// passes.
const TENANT: &str = "replace-with-tenant-id";
const CLIENT: &str = "replace-with-client-id";

/// What Entra ID must be told.
const TRUST: &str = "the gateway acts for the managed identity by a token of its service account: give the identity a \
     federated credential for the issuer of the cluster, the subject system:serviceaccount:NAMESPACE:GATEWAY and \
     the audience api://AzureADTokenExchange";

const OWN_GATEWAY: &str = ", and list this audience in deployment.tokenAudiences of the Gateway";

/// `authentication-managed-identity`. With an output variable nothing happens before the token is used.
pub(super) fn managed_identity(node: Element<'_, '_>) -> Result<Made> {
    node.known(&[
        "resource",
        "client-id",
        "output-token-variable-name",
        "ignore-error",
    ])?;
    node.elements(&[])?;
    let mut made = Made::none();
    let credentials = credentials(node, &mut made)?;
    match node.plain("output-token-variable-name")? {
        None => made.policies.push(auth(credentials)),
        Some(name) => {
            let name = node.service.variable(&name)?;
            node.service.set_token(&name, Token::Of(credentials));
        }
    }
    Ok(made)
}

/// The step that sends these credentials.
pub(crate) fn auth(credentials: Value) -> Value {
    json!({"backendAuth": {"oauth2ClientCredentials": credentials}})
}

/// Fields of oauth2ClientCredentials.
pub(super) fn credentials(node: Element<'_, '_>, made: &mut Made) -> Result<Value> {
    let resource = node.required_plain("resource")?;
    let client = client(node, made)?;
    if node.flag("ignore-error")? == Some(true) {
        made.remark("ignore-error is left out: without a token, the handshake is refused");
    }
    Ok(of_identity(node, &resource, client, made))
}

/// The id in the policy; if that is not known, the one that the user gives.
fn client(node: Element<'_, '_>, made: &mut Made) -> Result<Option<String>> {
    let given = node.service.identity.client.clone();
    let Some(text) = node.optional("client-id") else {
        return Ok(given);
    };
    if let Ok(client) = node.plain("client-id") {
        return Ok(client);
    }
    if given.is_some() {
        made.remark(&format!(
            "client-id {text} is not known: the id of --azure-client stands in its place"
        ));
    }
    Ok(given)
}

/// Fields of oauth2ClientCredentials for a resource, and what is left to do.
pub(crate) fn of_identity(
    node: Element<'_, '_>,
    resource: &str,
    client: Option<String>,
    made: &mut Made,
) -> Value {
    let identity = &node.service.identity;
    let is_document = node.service.ids.is_none();
    made.remark(&format!(
        "{TRUST}{}",
        if is_document { OWN_GATEWAY } else { "" }
    ));
    let authority = identity.authority.as_deref().unwrap_or(AUTHORITY);
    let authority = authority.trim_end_matches('/');
    let tenant = identity.tenant.as_deref().unwrap_or_else(|| {
        let text = "the tenant is not known: put it into tokenUrl, or pass --azure-tenant";
        made.problem(text);
        TENANT
    });
    let client = client.unwrap_or_else(|| {
        made.problem(
            "the client id of the identity is not known: put that of a user-assigned managed identity or of an \
             application into clientId, or pass --azure-client",
        );
        CLIENT.to_owned()
    });
    json!({
        "tokenUrl": format!("{authority}/{tenant}/oauth2/v2.0/token"),
        "clientId": client,
        "scopes": [format!("{resource}/.default")],
        "clientAssertion": {"serviceAccountToken": {"audience": AUDIENCE}},
    })
}

/// The credentials whose token a `set-header` sends as `Authorization: Bearer`.
pub(super) fn of_header(node: Element<'_, '_>) -> Result<Option<Value>> {
    if !plain_name(node)?.eq_ignore_ascii_case("Authorization") {
        return Ok(None);
    }
    let [value] = node.elements(&["value"])?[..] else {
        return Ok(None);
    };
    let Some(credentials) = value.token(&value.content()?)? else {
        return Ok(None);
    };
    node.known(&["name", "exists-action"])?;
    match node.plain("exists-action")?.as_deref() {
        None | Some("override") => Ok(Some(credentials)),
        Some(other) => no(format!(
            "the token of a managed identity replaces the header: exists-action {other} is not translated"
        )),
    }
}
