//! What `tidegate import apim` prints works: validated as it is, served without a cluster.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_config::policy::token_file_name;
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::{Outcome, Request};
use tidegate_e2e::http::{HttpServer, Response};
use tidegate_e2e::process::Process;
use tidegate_e2e::program::command;
use tidegate_e2e::third_party::{node, run, set_up};

pub(crate) fn resource(kind: &str, name: &str, properties: Value) -> Value {
    let kind = format!("Microsoft.ApiManagement/service/{kind}");
    json!({"type": kind, "name": format!("apim/{name}"), "properties": properties})
}

/// A WebSocket API of a template, with the policy of its only operation.
fn api(path: &str, url: &str, keys: bool, policy: &str) -> Vec<Value> {
    let api = json!({
        "type": "websocket", "displayName": "Chat", "path": path, "serviceUrl": url,
        "protocols": ["ws", "wss"], "subscriptionRequired": keys,
    });
    let policy = json!({"format": "rawxml", "value": policy});
    vec![
        resource("apis", "chat", api),
        resource(
            "apis/operations/policies",
            "chat/onHandshake/policy",
            policy,
        ),
    ]
}

async fn output(mut command: Command) -> anyhow::Result<Output> {
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

/// One document of each kind of construct, with the API that it belongs to.
macro_rules! kinds {
    ($($name:literal),+) => {
        [$(($name, include_str!(concat!("../../imports/kinds/", $name, ".xml")))),+]
    };
}
pub(crate) use kinds;

/// What an import of these resources prints, served by `tidegate run`.
pub(crate) struct Imported {
    _files: TempDir,
    _process: Process,
    address: SocketAddr,
}

/// An import, and what its output is served with.
#[derive(Default)]
pub(crate) struct Import {
    pub(crate) resources: Vec<Value>,
    pub(crate) arguments: Vec<String>,
    /// The token of a service account, and its audience.
    pub(crate) account: Option<(&'static str, &'static str)>,
}

impl Import {
    /// Of these resources.
    pub(crate) fn of(resources: Vec<Value>) -> Self {
        Self {
            resources,
            ..Self::default()
        }
    }

    /// Prints manifests to the file, and says what it has to say besides notes.
    async fn print(&self, files: &Path) -> anyhow::Result<String> {
        let template = files.join("template.json");
        fs::write(&template, json!({"resources": self.resources}).to_string())?;
        let mut import = command("tidegate")?;
        import.args(["import", "apim", "--gateway", "edge"]);
        import.args(&self.arguments).arg(template);
        let printed = output(import).await?;
        let said = String::from_utf8_lossy(&printed.stderr);
        let said: Vec<_> = said
            .lines()
            .filter(|line| !line.contains(": note: "))
            .collect();
        ensure!(
            printed.status.success() == said.is_empty(),
            "{} and {said:?}",
            printed.status
        );
        let manifests = files.join("served").join("all.yaml");
        fs::write(&manifests, &printed.stdout)?;
        let mut validate = command("tidegate")?;
        validate.arg("validate").arg(&manifests);
        let verdict = output(validate).await?;
        ensure!(verdict.status.success(), "{verdict:?}");
        Ok(said.join("\n"))
    }

    /// Serves what was printed.
    pub(crate) async fn run(&self, files: TempDir) -> anyhow::Result<Imported> {
        let at = |name: &str| files.path().join(name);
        let mut run = command("tidegate")?;
        run.arg("run")
            .arg(at("served"))
            .args(["--bind-address", "127.0.0.1", "--free-ports", "--state-dir"])
            .arg(at("state"));
        if let Some((audience, token)) = self.account {
            fs::create_dir(at("tokens"))?;
            fs::write(at("tokens").join(token_file_name(audience)), token)?;
            run.arg("--token-dir").arg(at("tokens"));
        }
        let mut process = Process::spawn("run", run)?;
        let address = process.line("its address", |line| {
            let mut words = line.split(|c: char| c.is_whitespace() || c == '/');
            words.find_map(|word| word.parse::<SocketAddr>().ok())
        });
        let address = address.await?;
        Ok(Imported {
            _files: files,
            _process: process,
            address,
        })
    }

    /// What is served, and what was said about it.
    pub(crate) async fn serve(&self) -> anyhow::Result<(Imported, String)> {
        let files = tempfile::tempdir()?;
        for name in ["served", "state"] {
            fs::create_dir(files.path().join(name))?;
        }
        let said = self.print(files.path()).await?;
        Ok((self.run(files).await?, said))
    }
}

impl Imported {
    /// Of what is translated whole.
    async fn serve(resources: Vec<Value>) -> anyhow::Result<Self> {
        let (imported, said) = Import::of(resources).serve().await?;
        ensure!(said.is_empty(), "it said {said}");
        Ok(imported)
    }

    /// Where it serves this.
    pub(crate) fn url(&self, target: &str) -> String {
        format!("ws://{}{target}", self.address)
    }
}

#[tokio::test]
async fn an_imported_negotiation_serves_the_real_signalr_client() -> anyhow::Result<()> {
    let Some(modules) = set_up("node").await? else {
        return Ok(());
    };
    let mut service = Process::spawn("signalr-service", node(&modules, "signalr_service.js", &[]))?;
    let port = service.line("its port", |line| {
        line.strip_prefix("listening on ").map(str::to_owned)
    });
    let port = port.await?;
    // The service that is played has no certificate.
    let policy = include_str!("../../imports/signalr.xml");
    let policy = policy
        .replace("https://", "http://")
        .replace("wss://", "ws://");
    let mut resources = api(
        "chat",
        "wss://example.service.signalr.net/client/",
        false,
        &policy,
    );
    let app = json!({"displayName": "app", "value": format!("http://127.0.0.1:{port}")});
    resources.push(resource("namedValues", "app", app));
    let edge = Imported::serve(resources).await?;

    let url = edge.url("/chat?hub=other&id=mine&access_token=mine");
    let url = url.replacen("ws:", "http:", 1);
    let client = node(&modules, "signalr.js", &[&url, "ann"]);
    let seen = run("signalr-client", client).await?;
    assert_eq!(seen, json!({"result": "ann: grüße", "said": "grüße"}));
    let said = service.stdout();
    let lines = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let upgrade = lines
        .filter_map(|line| line["upgrade"].as_str().map(str::to_owned))
        .next();
    let upgrade = upgrade.context("no WebSocket came")?;
    for parameter in [
        "hub=chat",
        "asrs.op=%2Fchat",
        "negotiateVersion=1",
        "asrs_request_id=a%2Bb%2Fc%3D",
        "id=token-1%2F%3D",
    ] {
        ensure!(upgrade.contains(parameter), "{parameter}: {upgrade}");
    }
    ensure!(!upgrade.contains("mine"), "{upgrade}");

    for (name, status, message) in [
        ("403", 403, "Not allowed."),
        ("error", 502, "The application refused to negotiate."),
        ("500", 502, "The application refused to negotiate."),
        ("no-websockets", 502, "The service offers no WebSockets."),
    ] {
        let request = Request::new(edge.url("/chat"));
        let request = request.header("authorization", format!("Bearer {name}"));
        let refused = request.refused_with(status).await.context(name)?;
        ensure!(refused.body.contains(message), "{name}: {}", refused.body);
    }
    Ok(())
}

#[tokio::test]
async fn an_imported_hub_gets_its_token_and_not_the_key() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let url = format!("ws://{}/client/hubs/chat", echo.address());
    let policy = include_str!("../../imports/web-pubsub.xml");
    let mut resources = api("client/hubs/chat", &url, true, policy);
    let key = "a-primary-key-of-thirty-two-chars";
    let subscription = json!({
        "displayName": "Front end", "scope": "/apis/chat", "state": "active",
        "primaryKey": key, "secondaryKey": "a-secondary-key-of-thirty-two-chars",
    });
    resources.push(resource("subscriptions", "front-end", subscription));
    let edge = Imported::serve(resources).await?;

    let hub = "/client/hubs/chat";
    let with = |query: &str| Request::new(edge.url(&format!("{hub}?{query}")));
    with("access_token=t").refused_with(401).await?;
    let refused = with(&format!("subscription-key={key}"))
        .refused_with(401)
        .await?;
    assert_eq!(refused.message()?, "No token for Chat.");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    let query = format!("subscription-key={key}&access_token=t&room=blue");
    let mut tunnel = with(&query).open().await?;
    tunnel.echo("grüße").await?;
    let head = echo.last_head()?;
    assert_eq!(head.target(), format!("{hub}?access_token=t"));
    // An extra segment is another path, as there.
    let more = Request::new(edge.url(&format!("{hub}/more?{query}")));
    more.refused_with(404).await?;
    Ok(())
}

/// An API at `/NAME`, whose id has capitals, with its policy.
pub(crate) fn kind(name: &str, policy: &str, backend: &str, server: &str) -> Vec<Value> {
    let id = format!("{}{}API", name[..1].to_uppercase(), &name[1..]);
    let policy = policy.replace("BACKEND", backend).replace("SERVER", server);
    let keys = name == "ids";
    let api = json!({
        "type": "WebSocket", "displayName": name, "path": name, "protocols": ["ws", "wss"],
        "serviceUrl": format!("http://{backend}/{name}"), "subscriptionRequired": keys,
    });
    let place = format!("{id}/onHandshake/policy");
    let policy = json!({"format": "rawxml", "value": policy});
    vec![
        resource("apis", &id, api),
        resource("apis/operations/policies", &place, policy),
    ]
}

/// A product with the API `ids`, and a subscription with the key `NAME-primary-key`.
fn product(name: &str) -> Vec<Value> {
    let key = |which: &str| format!("{}-{which}-key", name.to_lowercase());
    let subscription = json!({
        "displayName": name, "scope": format!("/products/{name}"), "state": "active",
        "primaryKey": key("primary"), "secondaryKey": key("secondary"),
    });
    vec![
        resource(
            "products",
            name,
            json!({"displayName": name, "state": "published"}),
        ),
        resource("products/apis", &format!("{name}/IdsAPI"), json!({})),
        resource(
            "subscriptions",
            &format!("of-{}", name.to_lowercase().replace('_', "-")),
            subscription,
        ),
    ]
}

fn named(name: &str, value: &str) -> Value {
    let name_there = name.to_lowercase();
    resource(
        "namedValues",
        &name_there,
        json!({"displayName": name, "value": value}),
    )
}

/// A token that nobody has signed.
fn token(roles: &str) -> String {
    use base64::Engine as _;
    let encoded = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = encoded(&format!("{{\"roles\":{roles}}}"));
    format!("Bearer {}.{claims}.c2ln", encoded("{\"alg\":\"RS256\"}"))
}

/// What the handshakes of a kind end in: the header X-Seen at the backend, or a status.
type Wanted = Result<&'static str, u16>;

/// A handshake: its kind, its headers, and what it ends in.
type Handshake = (&'static str, Vec<(&'static str, String)>, Wanted);

fn handshakes() -> Vec<Handshake> {
    let with = |name: &'static str, value: &str| vec![(name, value.to_owned())];
    let key = |name: &str| with("ocp-apim-subscription-key", name);
    let role = |roles: &str| with("authorization", &token(roles));
    let a_and_b = vec![("x-a", "1".to_owned()), ("x-b", "1".to_owned())];
    vec![
        ("ids", key("try_out-primary-key"), Err(403)),
        ("ids", key("gold-primary-key"), Ok("own")),
        ("values", with("x-who", "ann"), Ok("127.0.0.1")),
        ("values", with("x-who", "ann"), Ok("127.0.0.1")),
        ("values", with("x-who", "ann"), Err(429)),
        ("values", with("x-who", "ben"), Ok("127.0.0.1")),
        (
            "claims",
            role(r#"["reader","speaker"]"#),
            Ok("reader,speaker"),
        ),
        ("claims", role(r#""speaker""#), Ok("speaker")),
        ("claims", role(r#"["reader"]"#), Err(403)),
        ("claims", role(r#"["speaker","guest"]"#), Err(429)),
        ("null", vec![], Ok("none")),
        ("null", with("x-ring", "BETA"), Ok("beta")),
        ("null", with("x-ring", "alpha"), Ok("ALPHA")),
        ("scheme", with("x-constant", "1"), Ok("yes")),
        ("scheme", with("x-room", "blue"), Ok("yes")),
        ("request", with("x-who", "ann"), Ok("ANN")),
        ("request", with("x-who", ""), Err(401)),
        ("request", with("x-who", "teapot"), Err(502)),
        (
            "blocks",
            with("x-plan", "gold"),
            Ok("1 True avqQRqlXnK0UOjhMG1ZLmiUNJ9b2pj+fIL86dZTJ4sY="),
        ),
        (
            "blocks",
            with("x-plan", "silver"),
            Ok("2 True avqQRqlXnK0UOjhMG1ZLmiUNJ9b2pj+fIL86dZTJ4sY="),
        ),
        (
            "blocks",
            vec![],
            Ok("3 False avqQRqlXnK0UOjhMG1ZLmiUNJ9b2pj+fIL86dZTJ4sY="),
        ),
        ("names", with("x-who", "ann"), Ok("ann")),
        ("nested", a_and_b, Ok("a and b")),
        ("nested", with("x-a", "1"), Ok("a alone")),
        ("nested", with("x-b", "1"), Ok("b alone")),
        ("nested", vec![], Ok("neither")),
        ("refused", vec![], Err(501)),
    ]
}

#[tokio::test]
async fn each_kind_of_construct_decides_as_there() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let server = HttpServer::start(|_, request| match request.head.get("x-who") {
        Some("ann") => Response::json(r#"{"user":"ANN"}"#),
        Some("teapot") => Response::with("418 I'm a teapot", "short and stout"),
        _ => Response::with("401 Unauthorized", "who are you?"),
    })
    .await?;
    let (backend, checks) = (echo.address().to_string(), server.address().to_string());
    let mut resources = vec![
        named("caller", "@(context.Request.IpAddress)"),
        named("enabled", "true"),
        named("calls", "2"),
        named("key", "key"),
        named("backend", &format!("http://{backend}")),
    ];
    resources.extend(product("Try_Out"));
    resources.extend(product("Gold"));
    let kinds = kinds!(
        "ids", "values", "claims", "null", "scheme", "request", "blocks", "names", "nested",
        "refused"
    );
    for (name, policy) in kinds {
        resources.extend(kind(name, policy, &backend, &checks));
    }
    let (edge, said) = Import::of(resources).serve().await?;
    for wanted in [
        "error: in the document, 4:5: refuses with 501 instead: line 2 of the expression: try is not translated",
        "warning: in the document, 4:5: the header host is left out",
        "warning: in the document, 12:9: of the answer auth",
        "warning: in the document, 4:5: context.Trace is left out",
    ] {
        ensure!(said.contains(wanted), "{wanted}: {said}");
    }
    ensure!(said.lines().count() == 4, "{said}");

    for (name, headers, wanted) in handshakes() {
        let mut request = Request::new(edge.url(&format!("/{name}")));
        for (header, value) in headers.clone() {
            request = request.header(header, value);
        }
        let found = match request.send().await? {
            Outcome::Open(mut tunnel) => {
                tunnel.echo("here").await?;
                let head = echo.last_head()?;
                Ok(head.get("x-seen").unwrap_or_default().to_owned())
            }
            Outcome::Refused(refused) => Err(refused.status),
        };
        let wanted = wanted.map(str::to_owned);
        ensure!(
            found == wanted,
            "{name} {headers:?}: {found:?}, not {wanted:?}"
        );
    }
    Ok(())
}

const AUDIENCE: &str = "api://AzureADTokenExchange";

/// Entra ID, and the service that a policy asks.
async fn entra_id() -> anyhow::Result<HttpServer> {
    HttpServer::start(|_, request| match request.head.target() {
        "/our-tenant/oauth2/v2.0/token" => {
            Response::json(r#"{"access_token": "of-the-gateway", "expires_in": 3600}"#)
        }
        "/check" => Response::json(r#"{"user": "ann"}"#),
        _ => Response::not_found(),
    })
    .await
}

#[tokio::test]
async fn a_managed_identity_becomes_a_token_of_the_service_account() -> anyhow::Result<()> {
    let (echo, server) = (Echo::start().await?, entra_id().await?);
    let (backend, checks) = (echo.address().to_string(), server.address().to_string());
    let policy = include_str!("../../imports/kinds/identity.xml");
    let authority = format!("--azure-authority=http://{checks}");
    let arguments = ["--azure-tenant=our-tenant", "--azure-client=our-client"];
    let arguments = arguments.iter().map(|text| (*text).to_owned());
    let mut import = Import {
        resources: kind("identity", policy, &backend, &checks),
        arguments: arguments.chain([authority]).collect(),
        account: Some((AUDIENCE, "token-of-the-account")),
    };
    let (edge, said) = import.serve().await?;
    let is_expected =
        |line: &str| line.contains("warning: in the document") && line.contains("federated");
    ensure!(said.lines().all(is_expected), "{said}");
    for (asks, seen) in [("no", "direct"), ("yes", "ann")] {
        let request = Request::new(edge.url("/identity")).header("x-asks", asks);
        let request = request.header("authorization", "Bearer of-the-client");
        request.open().await?.echo("here").await?;
        let head = echo.last_head()?;
        let sent = head.get("authorization");
        assert_eq!(sent, Some("Bearer of-the-gateway"));
        assert_eq!(head.get("x-seen"), Some(seen));
    }
    are_asked_for(&server)?;
    // Without a token of the account the backend is not asked.
    import.account = Some((AUDIENCE, ""));
    let (edge, _) = import.serve().await?;
    let request = Request::new(edge.url("/identity"));
    request.refused_with(502).await?;
    Ok(())
}

/// The tokens for two resources, each of which was asked for once, and the request with one of them.
fn are_asked_for(server: &HttpServer) -> anyhow::Result<()> {
    let requests = server.requests();
    let (tokens, others): (Vec<_>, Vec<_>) = requests
        .iter()
        .partition(|request| request.head.target().starts_with("/our-tenant"));
    let sent = others.first().context("no request")?;
    let sent = sent.head.get("authorization");
    assert_eq!(sent, Some("Bearer of-the-gateway"));
    let forms: Vec<_> = tokens.iter().map(|request| request.body.as_str()).collect();
    assert_eq!(forms.len(), 2, "{forms:?}");
    for form in forms {
        for part in [
            "client_id=our-client",
            "client_assertion=token-of-the-account",
            "scope=https%3A%2F%2F",
        ] {
            ensure!(form.contains(part), "{part}: {form}");
        }
    }
    Ok(())
}
