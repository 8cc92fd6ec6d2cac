//! As much of an API server as the source talks to: lists, watches, Secrets, Leases, faults.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tidegate_config::{
    ConfigParts, INDEX_KEY, SECRET_DATA_KEY, SHARD_KEY, index_name, split_config,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::configuration::update::Update;

type Body = UnsyncBoxBody<Bytes, Infallible>;

pub(super) struct Server {
    pub(super) address: SocketAddr,
    world: Arc<watch::Sender<World>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct World {
    down: bool,
    /// A request came while it was down.
    refused: bool,
    forbidden: bool,
    config_maps: BTreeMap<String, Value>,
    secrets: BTreeMap<String, Value>,
    /// Bodies of the patches of Leases, by name.
    leases: BTreeMap<String, Value>,
    /// All events since the beginning; their position is their version.
    events: Vec<Value>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let world = Arc::new(watch::Sender::new(World::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&world)));
        Self {
            address,
            world,
            _tasks: tasks,
        }
    }

    /// As the operator does it: Secrets, shards, then the index.
    pub(super) fn publish(&self, update: &Update) -> ConfigParts {
        let key = &update.config.settings.key;
        let rendered = split_config(&update.config, &update.secret_data, update.revision).unwrap();
        for (name, text) in &rendered.secrets {
            let data = json!({ SECRET_DATA_KEY: k8s_openapi::ByteString(text.clone().into()) });
            let secret = json!({ "metadata": { "name": name }, "data": data });
            self.world
                .send_modify(|world| drop(world.secrets.insert(name.clone(), secret)));
        }
        for (name, text) in &rendered.shards {
            self.put(name, SHARD_KEY, text);
        }
        let index = serde_json::to_string(&rendered.index).unwrap();
        self.put(&index_name(&key.name), INDEX_KEY, &index);
        rendered
    }

    pub(super) fn put(&self, name: &str, key: &str, text: &str) {
        self.world.send_modify(|world| {
            let version = (world.events.len() + 1).to_string();
            let object = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": { "name": name, "resourceVersion": version },
                "data": { key: text },
            });
            world.config_maps.insert(name.to_owned(), object.clone());
            let event = json!({ "type": "MODIFIED", "object": object });
            world.events.push(event);
        });
    }

    pub(super) fn delete(&self, name: &str) {
        self.world.send_modify(|world| {
            let version = (world.events.len() + 1).to_string();
            let mut object = world.config_maps.remove(name).unwrap();
            object["metadata"]["resourceVersion"] = version.into();
            let event = json!({ "type": "DELETED", "object": object });
            world.events.push(event);
        });
    }

    /// Answers 500 to everything, and ends all watches.
    pub(super) fn set_down(&self, down: bool) {
        self.world.send_modify(|world| world.down = down);
    }

    /// Waits until it was asked for something while it was down.
    pub(super) async fn refused(&self) {
        let mut world = self.world.subscribe();
        world.wait_for(|world| world.refused).await.unwrap();
    }

    /// Answers 403 to every read of a Secret.
    pub(super) fn set_forbidden(&self, forbidden: bool) {
        self.world.send_modify(|world| world.forbidden = forbidden);
    }

    /// Waits until the Lease `name` is as wanted.
    pub(super) async fn lease(&self, name: &str, wanted: impl Fn(Option<&Value>) -> bool) {
        let mut world = self.world.subscribe();
        let wanted = world.wait_for(|world| wanted(world.leases.get(name)));
        wanted.await.unwrap();
    }
}

async fn accept(listener: TcpListener, world: Arc<watch::Sender<World>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let world = Arc::clone(&world);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let world = Arc::clone(&world);
                async move { Ok::<_, Infallible>(answer(request, &world).await) }
            });
            // The client leaves when it likes.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, world: &watch::Sender<World>) -> Response<Body> {
    if world.borrow().down {
        world.send_modify(|world| world.refused = true);
        return failure(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let (parts, body) = request.into_parts();
    let path: Vec<&str> = parts.uri.path().rsplit('/').collect();
    let query = parts.uri.query().unwrap_or_default();
    match (&parts.method, path[1], path[0]) {
        (&Method::GET, _, "configmaps") if query.contains("watch=true") => watching(query, world),
        (&Method::GET, _, "configmaps") => {
            let world = world.borrow();
            let version = world.events.len().to_string();
            let items: Vec<&Value> = world.config_maps.values().collect();
            reply(&json!({ "metadata": { "resourceVersion": version }, "items": items }))
        }
        (&Method::GET, "secrets", _) if world.borrow().forbidden => failure(StatusCode::FORBIDDEN),
        (&Method::GET, "secrets", name) => match world.borrow().secrets.get(name) {
            Some(secret) => reply(secret),
            None => failure(StatusCode::NOT_FOUND),
        },
        (&Method::PATCH, "leases", name) => {
            let body = body.collect().await.unwrap().to_bytes();
            let lease: Value = serde_json::from_slice(&body).unwrap();
            world.send_modify(|world| {
                world.leases.insert(name.to_owned(), lease.clone());
            });
            reply(&lease)
        }
        (&Method::DELETE, "leases", name) => {
            world.send_modify(|world| drop(world.leases.remove(name)));
            reply(&json!({ "kind": "Status", "status": "Success" }))
        }
        other => panic!("the source asks for {other:?}"),
    }
}

/// Everything after the version that the client has, until the server is down.
fn watching(query: &str, world: &watch::Sender<World>) -> Response<Body> {
    let version = query
        .split('&')
        .find_map(|p| p.strip_prefix("resourceVersion="));
    let from: usize = version.unwrap().parse().unwrap();
    let state = (world.subscribe(), from);
    let events = futures::stream::unfold(state, |(mut world, at)| async move {
        let ready = world.wait_for(|world| world.down || world.events.len() > at);
        let line = match ready.await {
            Ok(world) if !world.down => format!("{}\n", world.events[at]),
            _ => return None,
        };
        Some((line, (world, at + 1)))
    });
    let frames = events.map(|line| Ok(Frame::data(Bytes::from(line))));
    Response::new(StreamBody::new(frames).boxed_unsync())
}

fn reply(value: &Value) -> Response<Body> {
    Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync())
}

fn failure(status: StatusCode) -> Response<Body> {
    let body = json!({
        "kind": "Status",
        "status": "Failure",
        "message": "scripted",
        "reason": "Scripted",
        "code": status.as_u16(),
    });
    let mut response = reply(&body);
    *response.status_mut() = status;
    response
}
