//! An API server for tests: keeps objects in memory, records requests, fails on demand.
//!
//! It has what the operator relies on: resource versions, `AlreadyExists`, preconditions on the uid, `NotFound`,
//! immutable data. It does not merge fields as a real server does; the tests in `e2e` use one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// The server; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    objects: BTreeMap<String, Value>,
    version: u64,
    requests: Vec<String>,
    /// Requests that contain this text fail with this status.
    failure: Option<(String, u16)>,
}

impl Server {
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body
                    .collect()
                    .await
                    .map_err(std::io::Error::other)?
                    .to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let path = parts.uri.path().to_owned();
                let (status, answer) = server.answer(&parts.method, &path, body);
                Response::builder()
                    .status(status)
                    .body(Body::from(answer.to_string().into_bytes()))
                    .map_err(std::io::Error::other)
            }
        });
        Client::new(service, "tests")
    }

    /// Makes requests that contain `text` fail with `status` from now on.
    pub(crate) fn fail(&self, text: &str, status: u16) {
        self.0.lock().unwrap().failure = Some((text.to_owned(), status));
    }

    pub(crate) fn recover(&self) {
        self.0.lock().unwrap().failure = None;
    }

    /// Writes since the last call: method and last parts of the path.
    pub(crate) fn writes(&self) -> Vec<String> {
        let mut contents = self.0.lock().unwrap();
        let requests = std::mem::take(&mut contents.requests);
        let writes = requests.into_iter();
        writes
            .filter(|request| !request.starts_with("GET"))
            .collect()
    }

    /// Puts an object into the server as somebody else would.
    pub(crate) fn put(&self, path: &str, object: Value) {
        let mut contents = self.0.lock().unwrap();
        contents.store(path, object, "uid-foreign");
    }

    /// Removes an object as somebody else would.
    pub(crate) fn forget(&self, path: &str) {
        self.0.lock().unwrap().objects.remove(path);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        let mut contents = self.0.lock().unwrap();
        let name = body["metadata"]["name"].as_str().unwrap_or_default();
        let target = match *method {
            Method::POST => format!("{path}/{name}"),
            _ => path.to_owned(),
        };
        let short: Vec<_> = target.rsplit('/').take(2).collect();
        let request = format!("{method} {}/{}", short[1], short[0]);
        contents.requests.push(request.clone());
        if let Some((text, status)) = &contents.failure
            && request.contains(text)
        {
            return failure(*status, "told to fail");
        }
        contents.act(method, &target, body)
    }
}

impl Contents {
    fn act(&mut self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        let found = self.objects.get(path).cloned();
        match (method, found) {
            (&Method::GET, Some(object)) => (StatusCode::OK, object),
            (&Method::POST, Some(_)) => failure(409, "exists"),
            (&Method::POST, None) => (StatusCode::CREATED, self.store(path, body, "")),
            (&Method::PATCH, Some(object)) if object["immutable"] == true => {
                assert_eq!(object["data"], body["data"], "data of {path} is immutable");
                (StatusCode::OK, self.store(path, body, ""))
            }
            (&Method::PUT, Some(object)) => {
                let read = &body["metadata"]["resourceVersion"];
                if *read != object["metadata"]["resourceVersion"] {
                    return failure(409, "changed since");
                }
                (StatusCode::OK, self.store(path, body, ""))
            }
            (&Method::PATCH, _) => (StatusCode::OK, self.store(path, body, "")),
            (&Method::DELETE, Some(object)) => {
                let uid = &body["preconditions"]["uid"];
                if !uid.is_null() && *uid != object["metadata"]["uid"] {
                    return failure(409, "another uid");
                }
                self.objects.remove(path);
                (StatusCode::OK, object)
            }
            (_, _) => failure(404, "not found"),
        }
    }

    fn store(&mut self, path: &str, mut object: Value, uid: &str) -> Value {
        self.version += 1;
        let version = self.version;
        let before = self.objects.get(path);
        let known = before.map(|before| before["metadata"]["uid"].clone());
        let fresh = if uid.is_empty() {
            format!("uid-{version}")
        } else {
            uid.to_owned()
        };
        object["metadata"]["uid"] = known.unwrap_or(json!(fresh));
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        object
    }
}

fn failure(code: u16, message: &str) -> (StatusCode, Value) {
    let reason = match code {
        404 => "NotFound",
        409 => "AlreadyExists",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "message": message, "reason": reason,
    });
    (StatusCode::from_u16(code).unwrap(), status)
}
