//! The URL of the backend: set-backend-service and rewrite-uri.
//!
//! In API Management, the rewritten path is appended to the path of the backend's URL, whichever policy comes
//! first. In Tidegate it is the whole path, and the later step wins.

use roxmltree::Node;
use serde_json::json;

use super::super::cel::Scheme;
use super::super::csharp::Unreadable;
use super::super::entity::last;
use super::super::field::Element;
use super::super::finding::Level;
use super::super::json::Node as Json;
use super::super::service::Service;
use super::super::steps::Made;
use super::super::xml::{parse, protect};
use super::credentials::{credentials, of_members};
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
        let element = self.element_of(node);
        let path = match rewritten(element) {
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
        let keep = element.flag("copy-unmatched-params").ok().flatten();
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
        match backend(self.element_of(node), self.context) {
            Ok((made, path)) => {
                steps.target.path = path;
                self.push_all(node, steps, made, false);
            }
            Err(why) => self.refuse(node, steps, &why.to_string()),
        }
    }
}

/// The path with its query. It must not have parameters, because a WebSocket API has no URL template.
fn rewritten(node: Element<'_, '_>) -> Result<String> {
    node.known(&["template", "copy-unmatched-params"])?;
    node.elements(&[])?;
    node.flag("copy-unmatched-params")?;
    let text = node.required("template")?;
    let is_expression = text.trim_start().starts_with('@');
    if !is_expression && text.replace("{{", "").replace("}}", "").contains('{') {
        return no("a WebSocket API has no parameters in its path");
    }
    let path = node.template(&text)?;
    Ok(match path.starts_with('/') || is_expression {
        true => path,
        false => format!("/{path}"),
    })
}

/// A backend by its URL, or by its ID in the same export, and the path of its URL.
fn backend(node: Element<'_, '_>, context: &Context) -> Result<(Made, Option<String>)> {
    node.known(&["base-url", "backend-id"])?;
    node.elements(&[])?;
    let Some(id) = node.plain("backend-id")? else {
        let url = node.service_url(&node.required("base-url")?)?;
        let path = path_of(&url);
        return Ok((Made::from(json!({"setBackend": {"url": url}})), path));
    };
    let Some(entity) = context.backend(&id) else {
        return no(format!("the backend {id} is not imported together with it"));
    };
    let own = context.own_backend.as_deref();
    if own.is_some_and(|own| own.eq_ignore_ascii_case(&id)) {
        // It is already the backend of the WebSocketApi.
        let made = match entity.get("pool") {
            Some(_) => of_members(node, entity, context)?,
            None => credentials(node, entity)?,
        };
        let path = context.service_url.as_deref().and_then(path_of);
        return Ok((made, path));
    }
    let (id, entity) = only_member(entity, context).unwrap_or((id, entity));
    other_backend(node, &id, entity)
}

/// The step for a backend that is not that of the WebSocketApi.
fn other_backend(node: Element<'_, '_>, id: &str, entity: &Json) -> Result<(Made, Option<String>)> {
    let Some(url) = entity.text_of("url").filter(|url| !url.is_empty()) else {
        return no(format!(
            "the backend {id} has no URL: a pool is translated where the policy of an API names it \
             under no condition, and no other backend"
        ));
    };
    if url.starts_with('[') {
        return no(format!(
            "the URL of the backend {id} cannot be evaluated: give its parameters values"
        ));
    }
    let url = node.service_url(url)?;
    let path = path_of(&url);
    let mut made = Made::from(json!({"setBackend": {"url": url}}));
    made.extend(credentials(node, entity)?);
    if entity.get("circuitBreaker").is_some() {
        made.remark(&format!(
            "the circuit breaker of the backend {id} is left out"
        ));
    }
    Ok((made, path))
}

/// The only member of a pool, which is the same as the pool.
fn only_member<'a>(pool: &Json, context: &'a Context) -> Option<(String, &'a Json)> {
    let services = pool.get("pool")?.get("services")?.items();
    let [only] = services else {
        return None;
    };
    let id = last(only.text_of("id")?).to_owned();
    let member = context.backend(&id)?;
    Some((id, member))
}

impl Element<'_, '_> {
    /// The URL of a backend as a template, with the scheme of WebSockets.
    fn service_url(self, text: &str) -> Result<String> {
        let text = text.trim();
        let text = self
            .service
            .resolved(text)
            .unwrap_or_else(|_| text.to_owned());
        if let Some(found) = self.text_expression(&text)? {
            let expression = match found.scheme {
                Scheme::WebSocket => found.text,
                Scheme::Http => found.text.replacen("\"http", "\"ws", 1),
                Scheme::Unknown => with_scheme(&found.text),
            };
            return Ok(format!("${{{expression}}}"));
        }
        let url = self.template(&websocket(&text))?;
        let value = url.strip_prefix("${").and_then(|rest| rest.split_once('}'));
        Ok(match value {
            Some((value, rest)) => format!("${{{}}}{rest}", with_scheme(value)),
            None => url,
        })
    }
}

/// The value of an expression with ws in place of http.
fn with_scheme(url: &str) -> String {
    format!("{url}.startsWith(\"http\") ? \"ws\" + {url}.substring(4) : {url}")
}

/// Replaces http by ws.
pub(crate) fn websocket(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => format!("ws://{rest}"),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => format!("wss://{rest}"),
        _ => url.to_owned(),
    }
}

/// The backend that a document names unconditionally, if it names no other one.
pub(crate) fn own_backend(text: &str) -> Option<String> {
    let protected = protect(text).ok()?;
    let document = parse(&protected).ok()?;
    let root = document.root_element();
    let all = root
        .descendants()
        .filter(|node| node.has_tag_name("set-backend-service"));
    // A retry may choose the same one again.
    let is_again = |node: &Node<'_, '_>| {
        let retry = node
            .parent_element()
            .filter(|parent| parent.has_tag_name("retry"));
        let section = retry.and_then(|retry| retry.parent_element());
        section.is_some_and(|section| section.has_tag_name("backend"))
    };
    let (again, chosen): (Vec<_>, Vec<_>) = all.partition(is_again);
    let [only] = chosen[..] else {
        return None;
    };
    let parent = only.parent_element()?;
    let is_plain = parent.has_tag_name("inbound") && parent.parent_element() == Some(root);
    let service = Service::default();
    let id = Element::new(only, &service)
        .plain("backend-id")
        .ok()
        .flatten();
    let is_same =
        |other: &Node<'_, '_>| other.attribute("backend-id") == only.attribute("backend-id");
    id.filter(|_| is_plain && again.iter().all(is_same))
}
