//! An API server of tests: a function that answers requests.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// Requests as they came: method, path with query, body.
pub(crate) type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// A client whose requests `answer` answers, by `METHOD PATH` and body; and what it was asked.
pub(crate) fn client(
    answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
) -> (Client, Requests) {
    let requests = Requests::default();
    let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(std::io::Error::other)?;
            let body = serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null);
            let line = format!("{} {}", parts.method, parts.uri);
            let (status, json) = answer(&line, &body);
            seen.lock().unwrap().push((line, body));
            Response::builder()
                .status(status)
                .header("content-type", "application/json")
                .body(Body::from(json.to_string().into_bytes()))
                .map_err(std::io::Error::other)
        }
    });
    (Client::new(service, "default"), requests)
}

/// The body of a refusal.
pub(crate) fn refusal(code: u16, name: &str, message: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": message, "reason": "", "details": {"name": name}});
    (code, status)
}
