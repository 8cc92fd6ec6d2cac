//! HTTP requests of policies, with retries, and several at a time.

use serde_json::{Value, json};
use tidegate_config::policy::is_restricted_header;

use super::super::field::Element;
use super::super::service::Token;
use super::{Fields, Made, Result, identity, no, object, plain_name, policy, templates};

/// The default timeout of API Management, in seconds.
const TIMEOUT: u64 = 60;

pub(super) fn send_request(node: Element<'_, '_>) -> Result<Made> {
    let name = node.required_plain("response-variable-name")?;
    let name = node.service.variable(&name)?;
    let own = ["response-variable-name", "ignore-error"];
    let mut made = Made::none();
    let mut fields = vec![("as", Some(json!(name)))];
    fields.extend(outgoing(node, &own, &mut made)?);
    fields.push(("ignoreError", node.flag("ignore-error")?.map(Value::Bool)));
    made.policies.push(policy("sendRequest", fields));
    node.service.set_token(&name, Token::Plain);
    Ok(made)
}

pub(super) fn notify(node: Element<'_, '_>) -> Result<Made> {
    let mut made = Made::none();
    let fields = outgoing(node, &[], &mut made)?;
    made.policies.push(policy("notify", fields));
    Ok(made)
}

const CHILDREN: [&str; 6] = [
    "set-url",
    "set-method",
    "set-header",
    "set-body",
    "authentication-basic",
    "authentication-managed-identity",
];

/// Fields of all requests. A new request has nothing of the client's.
fn outgoing(node: Element<'_, '_>, own: &[&str], made: &mut Made) -> Result<Fields> {
    node.known(&[&["mode", "timeout"], own].concat())?;
    match node.plain("mode")?.as_deref() {
        None | Some("new") => {}
        Some(_) => return no("only mode new is translated: list the headers to send"),
    }
    let children = node.elements(&CHILDREN)?;
    let one = |name: &str| children.iter().find(|child| child.has_tag_name(name));
    let text = |name: &str| one(name).map(|child| plain_text(*child)).transpose();
    let Some(url) = text("set-url")? else {
        return no("set-url is missing");
    };
    let method = text("set-method")?.unwrap_or_else(|| "GET".to_owned());
    let timeout = node.number("timeout")?.unwrap_or(TIMEOUT);
    let (children, auth) = credentials(children.clone(), made)?;
    let children = without_host(children, url.trim(), made)?;
    let headers = headers(&children)?;
    Ok(vec![
        ("method", Some(json!(method.trim().to_uppercase()))),
        ("url", Some(json!(url.trim()))),
        ("headers", (!headers.is_empty()).then(|| json!(headers))),
        ("body", text("set-body")?.map(Value::String)),
        ("timeout", Some(json!(format!("{timeout}s")))),
        ("auth", auth),
    ])
}

/// The credentials of a request, and the children without those that stand for them.
fn credentials<'a, 'i>(
    children: Vec<Element<'a, 'i>>,
    made: &mut Made,
) -> Result<(Vec<Element<'a, 'i>>, Option<Value>)> {
    let (mut rest, mut auth) = (Vec::new(), None);
    for child in children {
        let found = match child.name() {
            "authentication-basic" => Some(basic(child)?),
            "authentication-managed-identity" => {
                child.known(&["resource", "client-id", "ignore-error"])?;
                Some(json!({"oauth2": identity::credentials(child, made)?}))
            }
            "set-header" => identity::of_header(child)?.map(|kept| json!({"oauth2": kept})),
            _ => None,
        };
        match found {
            Some(_) if auth.is_some() => return no("only one kind of credentials is translated"),
            Some(found) => auth = Some(found),
            None => rest.push(child),
        }
    }
    Ok((rest, auth))
}

/// The host of a request is that of its URL, and its length that of its body.
fn without_host<'a, 'i>(
    children: Vec<Element<'a, 'i>>,
    url: &str,
    made: &mut Made,
) -> Result<Vec<Element<'a, 'i>>> {
    let mut rest = Vec::new();
    for child in children {
        let is_header = child.has_tag_name("set-header");
        let name = is_header.then(|| plain_name(child)).transpose()?;
        let name = name.unwrap_or_default().to_ascii_lowercase();
        let is_own = match name.as_str() {
            "host" => templates(&child.elements(&["value"])?, "value")? == [host(url)],
            "content-length" => true,
            _ => false,
        };
        if is_own {
            let text = format!("the header {name} is left out: a request has it anyway");
            made.remark(&text);
        } else {
            rest.push(child);
        }
    }
    Ok(rest)
}

/// The host of a literal URL, with its port.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    host.rsplit('@').next().unwrap_or_default()
}

fn plain_text(node: Element<'_, '_>) -> Result<String> {
    node.known(&[])?;
    node.template(&node.content()?)
}

/// Headers of a new request: the last one of a name wins unless it is appended.
pub(super) fn headers(nodes: &[Element<'_, '_>]) -> Result<Vec<Value>> {
    let mut found: Vec<Value> = Vec::new();
    for node in nodes.iter().filter(|node| node.has_tag_name("set-header")) {
        node.known(&["name", "exists-action"])?;
        let name = plain_name(*node)?;
        if is_restricted_header(&name) {
            return no(format!(
                "the header {name} is set by the connection, not by a policy"
            ));
        }
        let is_same = |header: &Value| {
            let other = header["name"].as_str();
            other.is_some_and(|other| other.eq_ignore_ascii_case(&name))
        };
        let action = node.plain("exists-action")?;
        match action.as_deref() {
            Some("append") => {}
            Some("skip") if found.iter().any(is_same) => continue,
            None | Some("override" | "delete" | "skip") => found.retain(|header| !is_same(header)),
            Some(other) => return no(format!("exists-action {other} is not translated here")),
        }
        if action.as_deref() != Some("delete") {
            let values = templates(&node.elements(&["value"])?, "value")?;
            let values = values.iter();
            found.extend(values.map(|value| json!({"name": name, "value": value})));
        }
    }
    Ok(found)
}

/// User and password.
pub(super) fn basic(node: Element<'_, '_>) -> Result<Value> {
    node.known(&["username", "password"])?;
    node.elements(&[])?;
    let field = |name| Ok(Some(json!(node.template(&node.required(name)?)?)));
    let fields = [
        ("username", field("username")?),
        ("password", field("password")?),
    ];
    Ok(json!({"basic": object(fields)}))
}

const RETRY: [&str; 6] = [
    "condition",
    "count",
    "interval",
    "max-interval",
    "delta",
    "first-fast-retry",
];

/// Around one request only: in Tidegate, retries belong to a request.
pub(super) fn retry(node: Element<'_, '_>) -> Result<Made> {
    node.known(&RETRY)?;
    let children = node.children_of();
    let [request] = children.as_slice() else {
        return no("retry is translated around one send-request only");
    };
    if !request.has_tag_name("send-request") {
        return no("retry is translated around one send-request only");
    }
    let mut made = send_request(*request)?;
    let seconds = |name| {
        Ok(node
            .number(name)?
            .map(|seconds| json!(format!("{seconds}s"))))
    };
    let most = seconds("max-interval")?;
    waits(node, most.is_some(), &mut made)?;
    let condition = node.condition(&node.required("condition")?)?.text;
    // In API Management, a request without a response fails the policy unless its errors are ignored.
    let when = match made.policies.first().map(|policy| &policy["sendRequest"]) {
        Some(request) if request["ignoreError"] != true => {
            let answer = request["as"].as_str().unwrap_or_default();
            format!("(vars.{answer} == null ? false : {condition})")
        }
        _ => condition,
    };
    let fields = [
        ("count", node.number("count")?.map(Value::from)),
        ("interval", seconds("interval")?),
        ("maxInterval", most),
        ("when", Some(json!(when))),
    ];
    for policy in &mut made.policies {
        policy["sendRequest"]["retry"] = object(fields.clone());
    }
    Ok(made)
}

/// In Tidegate, each interval is twice the previous one if there is a maximum.
fn waits(node: Element<'_, '_>, has_maximum: bool, made: &mut Made) -> Result<()> {
    let (interval, delta) = (node.number("interval")?, node.number("delta")?);
    match (has_maximum, delta) {
        (true, delta) if delta == interval => {}
        (false, None | Some(0)) => {}
        (true, _) => made.remark("delta is left out: waits double up to max-interval"),
        (false, Some(_)) => made.remark("delta is left out: all waits are the same"),
    }
    if node.flag("first-fast-retry")? == Some(true) {
        made.remark("first-fast-retry is left out: the first repetition waits, too");
    }
    Ok(())
}

/// Several requests at a time.
pub(super) fn wait(node: Element<'_, '_>) -> Result<Made> {
    node.known(&["for"])?;
    let wait_for = match node.plain("for")?.as_deref() {
        None | Some("all") => "All",
        Some("any") => "Any",
        Some(other) => return no(format!("for {other} is not translated")),
    };
    let (mut made, mut requests) = (Made::none(), Vec::new());
    for child in node.children_of() {
        if !child.has_tag_name("send-request") {
            return no("wait is translated around send-request only");
        }
        let inner = send_request(child)?;
        made.remarks.extend(inner.remarks);
        for mut policy in inner.policies {
            requests.push(policy["sendRequest"].take());
        }
    }
    let fields = json!({"requests": requests, "waitFor": wait_for});
    made.policies.push(json!({"sendRequests": fields}));
    Ok(made)
}
