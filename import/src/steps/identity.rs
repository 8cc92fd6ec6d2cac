//! Managed identities: the gateway has an application of its own instead.

use serde_json::{Value, json};

use super::super::field::Element;
use super::{Made, Result, plain_name};

/// Whether the gateway proves the identity by a token of its service account. If not, it needs a secret.
const BY_SERVICE_ACCOUNT: bool = false;

/// What stands where the document does not say what is needed.
const PLACEHOLDER: &str = "replace-me";

/// The Secret with everything that has to be replaced.
pub(crate) const SECRET: &str = "imported-values";

/// What is missing until the user adds it.
pub(super) const INCOMPLETE: &str = "a managed identity becomes oauth2ClientCredentials: give the gateway an application, \
     put its tenant into tokenUrl and its id into clientId, and its secret into the key \
     managed_identity of the Secret imported-values; serviceAccountToken sends a token of the cluster instead";

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
            node.service.keep_token(&name, credentials);
        }
    }
    Ok(made)
}

/// The step that sends these credentials.
pub(super) fn auth(credentials: Value) -> Value {
    json!({"backendAuth": {"oauth2ClientCredentials": credentials}})
}

/// Fields of oauth2ClientCredentials.
pub(super) fn credentials(node: Element<'_, '_>, made: &mut Made) -> Result<Value> {
    let resource = node.required_plain("resource")?;
    let identity = &node.service.identity;
    let given = node.plain("client-id").unwrap_or(None);
    let client = given.or_else(|| identity.client.clone());
    if !BY_SERVICE_ACCOUNT || client.is_none() || identity.tenant.is_none() {
        made.problem(INCOMPLETE);
    }
    if node.flag("ignore-error")? == Some(true) {
        made.remark("ignore-error is left out: without a token, the handshake is refused");
    }
    let tenant = identity.tenant.as_deref().unwrap_or(PLACEHOLDER);
    let mut found = json!({
        "tokenUrl": format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"),
        "clientId": client.as_deref().unwrap_or(PLACEHOLDER),
        "scopes": [format!("{resource}/.default")],
    });
    let (field, proof) = proof();
    found[field] = proof;
    Ok(found)
}

/// How the gateway proves who it is.
fn proof() -> (&'static str, Value) {
    match BY_SERVICE_ACCOUNT {
        true => {
            let token = json!({"audience": "api://AzureADTokenExchange"});
            ("clientAssertion", json!({"serviceAccountToken": token}))
        }
        false => (
            "secretRef",
            json!({"name": SECRET, "key": "managed_identity"}),
        ),
    }
}

/// The credentials whose token a `set-header` sends as `Authorization: Bearer`.
pub(super) fn of_header(node: Element<'_, '_>) -> Result<Option<Value>> {
    if !plain_name(node)?.eq_ignore_ascii_case("Authorization") {
        return Ok(None);
    }
    let [value] = node.elements(&["value"])?[..] else {
        return Ok(None);
    };
    value.token(&value.content()?)
}
