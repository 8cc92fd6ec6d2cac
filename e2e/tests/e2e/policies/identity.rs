//! Policies that ask who the client is, by other means than a token.

use serde_json::{Value, json};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::Request;
use tidegate_e2e::scene::Scene;
use tidegate_e2e::tls::Authority;

use crate::stage::echo_stage;

#[tokio::test]
async fn validate_client_certificate_lets_pass_whose_certificate_is_listed() -> anyhow::Result<()> {
    let scene = Scene::new("client-cert").await?;
    let echo = Echo::start().await?;
    let (edge_ca, partners) = (Authority::new("edge")?, Authority::new("partners")?);
    let shown = edge_ca.issue(&["localhost"])?;
    for secret in [
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "edge-tls"},
            "stringData": {"tls.crt": shown.chain, "tls.key": shown.key}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "partners"},
            "stringData": {"ca.crt": partners.pem()}}),
    ] {
        scene.apply(&secret.to_string()).await?;
    }
    let secure = scene.free_port()?;
    let listener = format!(
        "  - name: secure
    port: {secure}
    protocol: WSS
    tls:
      certificateRefs: [{{name: edge-tls}}]
      clientCertificates: Optional
      clientCaRef: {{kind: Secret, name: partners, key: ca.crt}}"
    );
    let edge = scene.gateway_with("edge", &listener).await?;
    let policies: Value = json!({"onHandshake": {"inbound": [
        {"validateClientCertificate": {"identities": [
            {"dnsName": "ship.example", "issuerSubject": "CN=partners"},
        ]}},
        {"setHeader": {"name": "X-Ship", "values": ["${client.certificate.dnsNames[0]}"]}},
    ]}});
    let spec = format!("  onHandshake: {}", policies["onHandshake"]);
    scene.open_api(&edge, "api", &echo.url(), &spec).await?;

    let request = || Request::new(format!("wss://localhost:{secure}/api"));
    let with = |names: &[&str]| {
        let certificate = partners.issue(names)?;
        anyhow::Ok(request().tls(edge_ca.client_with(&certificate)?))
    };
    with(&["ship.example"])?.open().await?.echo("in").await?;
    assert_eq!(echo.last_head()?.get("x-ship"), Some("ship.example"));
    let refused = with(&["boat.example"])?.refused_with(403).await?;
    let expected = "Client certificate is not allowed. Access denied.";
    assert_eq!(refused.message()?, expected);
    let nobody = request().tls(edge_ca.client()?).refused_with(403).await?;
    let expected = "Client certificate is missing. Access denied.";
    assert_eq!(nobody.message()?, expected);
    let stranger = Authority::new("strangers")?.issue(&["ship.example"])?;
    let stranger = request().tls(edge_ca.client_with(&stranger)?);
    let refused = stranger.refused_with(403).await?;
    let expected = "Client certificate is not trusted. Access denied.";
    assert_eq!(refused.message()?, expected);
    // A plain listener asks nobody for a certificate.
    edge.request("/api").refused_with(403).await?;
    Ok(())
}

#[tokio::test]
async fn basic_auth_lets_pass_who_knows_a_password() -> anyhow::Result<()> {
    let stage = echo_stage("basic", "").await?;
    // `htpasswd -nbB alice 'open sesame'` and `htpasswd -nbs bob old`.
    let users = "alice:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\nbob:{SHA}wA27ydrfvh4jLpOnKd1HUvreCr8=\n";
    let secret = |users: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users"},
            "stringData": {"htpasswd": users}})
        .to_string()
    };
    stage.scene.apply(&secret(users)).await?;
    stage
        .in_force(json!([
            {"basicAuth": {"usersSecretRef": {"name": "users", "key": "htpasswd"}, "realm": "sea"}},
            {"setHeader": {"name": "X-User", "values": ["${vars.user}"]}},
        ]))
        .await?;
    let with = |credentials: &'static str| stage.request("").header("authorization", credentials);
    let alice = || with("Basic YWxpY2U6b3BlbiBzZXNhbWU=");
    for (request, name) in [(alice(), "alice"), (with("Basic Ym9iOm9sZA=="), "bob")] {
        request.open().await?.echo("in").await?;
        let head = stage.echo.last_head()?;
        assert_eq!(head.get("x-user"), Some(name));
        assert_eq!(head.get("authorization"), None, "stripped");
    }
    let missing = stage.request("").refused_with(401).await?;
    let challenge = Some("Basic realm=\"sea\", charset=\"UTF-8\"");
    assert_eq!(missing.header("www-authenticate"), challenge);
    assert_eq!(
        missing.message()?,
        "Credentials are missing. Access denied."
    );
    for wrong in ["Basic YWxpY2U6b2xk", "Basic ZXZlOm9sZA==", "Bearer x"] {
        let refused = with(wrong).refused_with(401).await?;
        let expected = "User name or password is wrong. Access denied.";
        assert_eq!(refused.message()?, expected, "{wrong}");
    }
    // A line that nobody can check blocks, and says which; the next good version opens again.
    stage
        .scene
        .apply(&secret(&format!("{users}eve:$apr1$x$y\n")))
        .await?;
    let api = ("WebSocketApi", "api");
    let found = stage.scene.condition(api, "ResolvedRefs", "False").await?;
    assert!(found.message.contains("line 3"), "{}", found.message);
    stage.edge.answers("/api", 503).await?;
    stage.scene.apply(&secret(users)).await?;
    stage.edge.answers("/api", 401).await?;
    alice().open().await?.echo("again").await
}
