//! The URL of the backend: set-backend-service and rewrite-uri.
//!
//! In API Management, the rewritten path is appended to the path of the backend's URL, whichever policy comes
//! first. In Tidegate it is the whole path, and the later step wins.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::csharp::Unreadable;
use super::super::field::{elements, flag, known, optional, required, template};
use super::super::finding::Level;
use super::super::json::{Kind, Node as Json};
use super::super::steps::Made;
use super::super::xml::{parse, protect};
use super::{Context, Scope, Steps, Translator};

type Result<T> = std::result::Result<T, Unreadable>;

fn no<T>(what: impl Into<String>) -> Result<T> {
    Err(Unreadable(what.into()))
}

/// What is known about the backend's URL at a place of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Its path, if it is known.
    path: Option<String>,
    is_rewritten: bool,
}

impl Target {
    /// The target at the start of a document.
    pub(super) fn of(context: &Context, scope: Scope) -> Self {
        let path = match scope {
            Scope::Api => context.service_url.as_deref().and_then(path_of),
            Scope::Global | Scope::Product => None,
        };
        Self {
            path,
            is_rewritten: false,
        }
    }

    /// The target after unknown steps.
    pub(super) fn forget(&mut self) {
        self.path = None;
    }

    /// The target after branches of which at most one has run.
    pub(super) fn merge(&mut self, other: &Self) {
        if self.path != other.path {
            self.path = None;
        }
        self.is_rewritten |= other.is_rewritten;
    }
}

/// The path of a literal URL.
fn path_of(url: &str) -> Option<String> {
    if url.contains(['@', '{', '$', '[']) {
        return None;
    }
    let (_, rest) = url.split_once("://")?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    Some(match path.trim_end_matches('/') {
        "" => String::new(),
        path => format!("/{path}"),
    })
}

impl Translator<'_, '_> {
    pub(super) fn rewrite(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        let path = match rewritten(node) {
            Ok(path) => path,
            Err(why) => {
                self.refuse(node, steps, &why.to_string());
                return;
            }
        };
        if steps.target.path.is_none() {
            let text = "the path of the backend's URL stands in front of it there, and is not known \
                        here: write it in front if there is one";
            self.say(node, Level::Warning, text);
        }
        let base = steps.target.path.clone().unwrap_or_default();
        let keep = flag(node, "copy-unmatched-params").ok().flatten();
        let mut policy = json!({"path": base.replace("${", "$${") + &path});
        if keep == Some(false) {
            policy["keepQuery"] = json!(false);
        }
        steps.target.is_rewritten = true;
        self.push(node, steps, json!({"rewritePath": policy}));
    }

    pub(super) fn set_backend(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        if steps.target.is_rewritten {
            let text = "after rewrite-uri it would change the path here: put it before";
            self.refuse(node, steps, text);
            return;
        }
        match backend(node, self.context) {
            Ok((made, path)) => {
                steps.target.path = path;
                self.push_all(node, steps, made, false);
            }
            Err(why) => self.refuse(node, steps, &why.to_string()),
        }
    }
}

/// The path with its query. It must not have parameters, because a WebSocket API has no URL template.
fn rewritten(node: Node<'_, '_>) -> Result<String> {
    known(node, &["template", "copy-unmatched-params"])?;
    elements(node, &[])?;
    flag(node, "copy-unmatched-params")?;
    let text = required(node, "template")?;
    let is_expression = text.trim_start().starts_with('@');
    if !is_expression && text.replace("{{", "").replace("}}", "").contains('{') {
        return no("a WebSocket API has no parameters in its path");
    }
    let path = template(&text)?;
    Ok(match path.starts_with('/') || is_expression {
        true => path,
        false => format!("/{path}"),
    })
}

/// A backend by its URL, or by its ID in the same export, and the path of its URL.
fn backend(node: Node<'_, '_>, context: &Context) -> Result<(Made, Option<String>)> {
    known(node, &["base-url", "backend-id"])?;
    elements(node, &[])?;
    let Some(id) = optional(node, "backend-id") else {
        let url = required(node, "base-url")?;
        let step = json!({"setBackend": {"url": template(&url)?}});
        return Ok((Made::from(step), path_of(&url)));
    };
    let Some(entity) = context.backend(&id) else {
        return no(format!("the backend {id} is not imported together with it"));
    };
    let own = context.own_backend.as_deref();
    if own.is_some_and(|own| own.eq_ignore_ascii_case(&id)) {
        // It is already the backend of the WebSocketApi.
        let made = Made {
            policies: credentials(entity)?,
            remarks: Vec::new(),
        };
        let path = context.service_url.as_deref().and_then(path_of);
        return Ok((made, path));
    }
    let Some(url) = entity.text_of("url").filter(|url| !url.is_empty()) else {
        return no(format!(
            "the backend {id} has no URL: a pool is translated where the policy of an API names it \
             under no condition, and no other backend"
        ));
    };
    let url = websocket(url);
    let mut made = Made::from(json!({"setBackend": {"url": template(&url)?}}));
    made.policies.extend(credentials(entity)?);
    if entity.get("circuitBreaker").is_some() {
        let text = format!("the circuit breaker of the backend {id} is left out");
        made.remarks.push(text);
    }
    Ok((made, path_of(&url)))
}

/// Replaces http by ws.
pub(crate) fn websocket(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => format!("ws://{rest}"),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => format!("wss://{rest}"),
        _ => url.to_owned(),
    }
}

/// Steps that set the credentials of a backend.
fn credentials(entity: &Json) -> Result<Vec<Value>> {
    let Some(credentials) = entity.get("credentials") else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (name, given) in credentials.fields() {
        let step = match name.as_str() {
            "header" => "setHeader",
            "query" => "setQueryParameter",
            "authorization" => {
                found.extend(authorization(given)?);
                continue;
            }
            _ if is_empty(given) => continue,
            _ => {
                return no(format!(
                    "{name} of the backend's credentials is not translated"
                ));
            }
        };
        for (name, values) in given.fields() {
            let values = values.items().iter().filter_map(Json::text);
            let values = values.map(template).collect::<Result<Vec<_>>>()?;
            found.push(json!({step: {"name": name, "values": values}}));
        }
    }
    Ok(found)
}

fn authorization(given: &Json) -> Result<Option<Value>> {
    let (scheme, parameter) = (given.text_of("scheme"), given.text_of("parameter"));
    let (Some(scheme), Some(parameter)) = (scheme, parameter) else {
        return Ok(None);
    };
    let value = template(&format!("{scheme} {parameter}"))?;
    Ok(Some(
        json!({"setHeader": {"name": "Authorization", "values": [value]}}),
    ))
}

fn is_empty(node: &Json) -> bool {
    match &node.kind {
        Kind::Null => true,
        Kind::Text(text) => text.is_empty(),
        Kind::List(items) => items.is_empty(),
        Kind::Map(fields) => fields.is_empty(),
        Kind::Bool(_) | Kind::Number(_) => false,
    }
}

/// The backend that a document names unconditionally, if it names no other one.
pub(crate) fn own_backend(text: &str) -> Option<String> {
    let protected = protect(text).ok()?;
    let document = parse(&protected).ok()?;
    let root = document.root_element();
    let mut all = root
        .descendants()
        .filter(|node| node.has_tag_name("set-backend-service"));
    let (only, None) = (all.next()?, all.next()) else {
        return None;
    };
    let parent = only.parent_element()?;
    let is_plain = parent.has_tag_name("inbound") && parent.parent_element() == Some(root);
    let id = optional(only, "backend-id").filter(|id| !id.contains(['@', '{']));
    id.filter(|_| is_plain)
}
