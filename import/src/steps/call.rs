//! HTTP requests of policies, with retries, and several at a time.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::cel::identifier;
use super::super::field::{
    condition, content, elements, flag, known, number, optional, required, template,
};
use super::{Fields, Made, Result, no, object, plain_name, policy, templates};

/// The default timeout of API Management, in seconds.
const TIMEOUT: u64 = 60;

pub(super) fn send_request(node: Node<'_, '_>) -> Result<Made> {
    let name = identifier(&required(node, "response-variable-name")?)?;
    let own = ["response-variable-name", "ignore-error"];
    let mut fields = vec![("as", Some(json!(name)))];
    fields.extend(outgoing(node, &own)?);
    fields.push(("ignoreError", flag(node, "ignore-error")?.map(Value::Bool)));
    Ok(policy("sendRequest", fields).into())
}

pub(super) fn notify(node: Node<'_, '_>) -> Result<Made> {
    Ok(policy("notify", outgoing(node, &[])?).into())
}

/// Fields of all requests. A new request has nothing of the client's.
fn outgoing(node: Node<'_, '_>, own: &[&str]) -> Result<Fields> {
    known(node, &[&["mode", "timeout"], own].concat())?;
    match optional(node, "mode").as_deref() {
        None | Some("new") => {}
        Some(_) => return no("only mode new is translated: list the headers to send"),
    }
    let children = elements(
        node,
        &[
            "set-url",
            "set-method",
            "set-header",
            "set-body",
            "authentication-basic",
        ],
    )?;
    let one = |name: &str| children.iter().find(|child| child.has_tag_name(name));
    let text = |name: &str| one(name).map(|child| plain_text(*child)).transpose();
    let Some(url) = text("set-url")? else {
        return no("set-url is missing");
    };
    let method = text("set-method")?.unwrap_or_else(|| "GET".to_owned());
    let timeout = number(node, "timeout")?.unwrap_or(TIMEOUT);
    let auth = one("authentication-basic").map(|child| basic(*child));
    let headers = headers(&children)?;
    Ok(vec![
        ("method", Some(json!(method.trim().to_uppercase()))),
        ("url", Some(json!(url.trim()))),
        ("headers", (!headers.is_empty()).then(|| json!(headers))),
        ("body", text("set-body")?.map(Value::String)),
        ("timeout", Some(json!(format!("{timeout}s")))),
        ("auth", auth.transpose()?),
    ])
}

fn plain_text(node: Node<'_, '_>) -> Result<String> {
    known(node, &[])?;
    template(&content(node)?)
}

/// Headers of a new request: the last one of a name wins unless it is appended.
pub(super) fn headers(nodes: &[Node<'_, '_>]) -> Result<Vec<Value>> {
    let mut found: Vec<Value> = Vec::new();
    for node in nodes.iter().filter(|node| node.has_tag_name("set-header")) {
        known(*node, &["name", "exists-action"])?;
        let name = plain_name(*node)?;
        let is_same = |header: &Value| {
            let other = header["name"].as_str();
            other.is_some_and(|other| other.eq_ignore_ascii_case(&name))
        };
        let action = optional(*node, "exists-action");
        match action.as_deref() {
            Some("append") => {}
            Some("skip") if found.iter().any(is_same) => continue,
            None | Some("override" | "delete" | "skip") => found.retain(|header| !is_same(header)),
            Some(other) => return no(format!("exists-action {other} is not translated here")),
        }
        if action.as_deref() != Some("delete") {
            let values = templates(&elements(*node, &["value"])?, "value")?;
            found.extend(
                values
                    .iter()
                    .map(|value| json!({"name": name, "value": value})),
            );
        }
    }
    Ok(found)
}

/// User and password.
pub(super) fn basic(node: Node<'_, '_>) -> Result<Value> {
    known(node, &["username", "password"])?;
    elements(node, &[])?;
    let field = |name| Ok(Some(json!(template(&required(node, name)?)?)));
    let fields = [
        ("username", field("username")?),
        ("password", field("password")?),
    ];
    Ok(json!({"basic": object(fields)}))
}

/// Around one request only: in Tidegate, retries belong to a request.
pub(super) fn retry(node: Node<'_, '_>) -> Result<Made> {
    let attributes = [
        "condition",
        "count",
        "interval",
        "max-interval",
        "delta",
        "first-fast-retry",
    ];
    known(node, &attributes)?;
    let children: Vec<_> = node.children().filter(Node::is_element).collect();
    let [request] = children.as_slice() else {
        return no("retry is translated around one send-request only");
    };
    if !request.has_tag_name("send-request") {
        return no("retry is translated around one send-request only");
    }
    let mut made = send_request(*request)?;
    let seconds = |name| Ok(number(node, name)?.map(|seconds| json!(format!("{seconds}s"))));
    let interval = number(node, "interval")?;
    let (delta, most) = (number(node, "delta")?, seconds("max-interval")?);
    // In Tidegate, each interval is twice the previous one if there is a maximum.
    match (&most, delta) {
        (Some(_), delta) if delta == interval => {}
        (None, None | Some(0)) => {}
        (Some(_), _) => made.remark("delta is left out: waits double up to max-interval"),
        (None, Some(_)) => made.remark("delta is left out: all waits are the same"),
    }
    if flag(node, "first-fast-retry")? == Some(true) {
        made.remark("first-fast-retry is left out: the first repetition waits, too");
    }
    let condition = condition(&required(node, "condition")?)?;
    // In API Management, a request without a response fails the policy unless its errors are ignored.
    let when = match made.policies.first().map(|policy| &policy["sendRequest"]) {
        Some(request) if request["ignoreError"] != true => {
            let answer = request["as"].as_str().unwrap_or_default();
            format!("(vars.{answer} == null ? false : {condition})")
        }
        _ => condition,
    };
    let fields = [
        ("count", number(node, "count")?.map(Value::from)),
        ("interval", seconds("interval")?),
        ("maxInterval", most),
        ("when", Some(json!(when))),
    ];
    for policy in &mut made.policies {
        policy["sendRequest"]["retry"] = object(fields.clone());
    }
    Ok(made)
}

/// Several requests at a time.
pub(super) fn wait(node: Node<'_, '_>) -> Result<Made> {
    known(node, &["for"])?;
    let wait_for = match optional(node, "for").as_deref() {
        None | Some("all") => "All",
        Some("any") => "Any",
        Some(other) => return no(format!("for {other} is not translated")),
    };
    let children: Vec<_> = node.children().filter(Node::is_element).collect();
    if children
        .iter()
        .any(|child| !child.has_tag_name("send-request"))
    {
        return no("wait is translated around send-request only");
    }
    let mut requests = Vec::new();
    for child in children {
        for mut policy in send_request(child)?.policies {
            requests.push(policy["sendRequest"].take());
        }
    }
    let fields = [
        ("requests", Some(json!(requests))),
        ("waitFor", Some(json!(wait_for))),
    ];
    Ok(policy("sendRequests", fields).into())
}
