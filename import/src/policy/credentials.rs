//! The credentials of a backend entity, as steps behind the one that chooses it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::csharp::Unreadable;
use super::super::entity::last;
use super::super::field::Element;
use super::super::json::Node as Json;
use super::super::steps::{Made, auth, of_identity};
use super::super::xml::{parse, protect, restore};
use super::Context;

type Result<T> = std::result::Result<T, Unreadable>;

fn no<T>(what: impl Into<String>) -> Result<T> {
    Err(Unreadable(what.into()))
}

/// Steps that set the credentials of a backend.
pub(super) fn credentials(node: Element<'_, '_>, backend: &Json) -> Result<Made> {
    let mut made = Made::none();
    let Some(credentials) = backend.get("credentials") else {
        return Ok(made);
    };
    let has = |name| credentials.get(name).is_some_and(|given| !given.is_empty());
    if has("authorization") && has("managedIdentity") {
        return no("a backend with an authorization and a managed identity is not translated");
    }
    for (name, given) in credentials.fields() {
        match name.as_str() {
            _ if given.is_empty() => {}
            "header" => made.policies.extend(pairs(node, given, "setHeader")?),
            "query" => made
                .policies
                .extend(pairs(node, given, "setQueryParameter")?),
            "authorization" => made.policies.extend(authorization(node, given)?),
            "managedIdentity" => {
                let step = managed_identity(node, given, &mut made)?;
                made.policies.push(step);
            }
            _ => {
                return no(format!(
                    "{name} of the backend's credentials is not translated"
                ));
            }
        }
    }
    Ok(made)
}

/// The credentials of a pool, if all its members have the same.
pub(super) fn of_members(node: Element<'_, '_>, pool: &Json, context: &Context) -> Result<Made> {
    let services = pool.get("pool").and_then(|pool| pool.get("services"));
    let services = services.map(Json::items).unwrap_or_default().iter();
    let members = services.filter_map(|service| context.backend(last(service.text_of("id")?)));
    let mut all = members.map(|member| credentials(node, member));
    let Some(first) = all.next().transpose()? else {
        return Ok(Made::none());
    };
    for other in all {
        if other?.policies != first.policies {
            return no(
                "the members of the pool have different credentials: give each of them the same, or a WebSocketApi \
                 of its own",
            );
        }
    }
    Ok(first)
}

/// The variables in which a document keeps tokens of managed identities.
pub(crate) fn token_variables(text: &str) -> Vec<String> {
    let Ok(protected) = protect(text) else {
        return Vec::new();
    };
    let Ok(document) = parse(&protected) else {
        return Vec::new();
    };
    let all = document.root_element().descendants();
    let all = all.filter(|node| node.has_tag_name("authentication-managed-identity"));
    let names = all.filter_map(|node| node.attribute("output-token-variable-name"));
    let names: BTreeSet<_> = names.map(restore).collect();
    names.into_iter().collect()
}

/// Headers or parameters by name.
fn pairs(node: Element<'_, '_>, given: &Json, step: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for (name, values) in given.fields() {
        let values = values.items().iter().filter_map(Json::text);
        let values = values.map(|value| node.template(value));
        let values = values.collect::<Result<Vec<_>>>()?;
        found.push(json!({step: {"name": name, "values": values}}));
    }
    Ok(found)
}

fn authorization(node: Element<'_, '_>, given: &Json) -> Result<Option<Value>> {
    let (scheme, parameter) = (given.text_of("scheme"), given.text_of("parameter"));
    let (Some(scheme), Some(parameter)) = (scheme, parameter) else {
        return Ok(None);
    };
    let value = node.template(&format!("{scheme} {parameter}"))?;
    Ok(Some(
        json!({"setHeader": {"name": "Authorization", "values": [value]}}),
    ))
}

/// The identity with this client id, or the one of the service.
fn managed_identity(node: Element<'_, '_>, given: &Json, made: &mut Made) -> Result<Value> {
    let is_known = |text: &&str| !text.is_empty() && !text.starts_with('[');
    let Some(resource) = given.text_of("resource").filter(is_known) else {
        return no(
            "the resource of the backend's managed identity is not known: give its parameters values",
        );
    };
    let own = given.text_of("clientId").filter(is_known);
    let client = own.map(str::to_owned);
    let client = client.or_else(|| node.service.identity.client.clone());
    Ok(auth(of_identity(node, resource, client, made)))
}
