//! How the gateway proves to backends who it is.

use anyhow::{Context, ensure};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use tidegate_e2e::http::{HttpServer, Response};

use crate::stage::echo_stage;

#[tokio::test]
async fn backend_auth_gives_the_backend_credentials_of_the_gateway() -> anyhow::Result<()> {
    let stage = echo_stage("backend-auth", "").await?;
    let identity = HttpServer::start(|_, request| {
        if request.body.contains("client_secret=right") {
            Response::json(r#"{"access_token": "from-the-server", "expires_in": 3600}"#)
        } else {
            Response::with("401 Unauthorized", r#"{"error": "invalid_client"}"#)
        }
    })
    .await?;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"},
        "stringData": {"right": "right", "wrong": "wrong-secret", "pem": pair.serialize_pem()}});
    stage.scene.apply(&secret.to_string()).await?;
    let request = || {
        stage
            .request("")
            .header("authorization", "Bearer of-the-client")
    };
    let token = |key: &str| {
        json!([{"id": "prove", "backendAuth": {"oauth2ClientCredentials": {
            "tokenUrl": format!("http://{}/token", identity.address()),
            "clientId": "edge", "secretRef": {"name": "own", "key": key},
        }}}])
    };

    stage.in_force(token("right")).await?;
    for _ in 0..2 {
        let got = stage.backend_header(request(), "authorization").await?;
        assert_eq!(got, ["Bearer from-the-server"]);
    }
    assert_eq!(identity.requests().len(), 1, "the token is kept");

    stage
        .in_force(json!([{"backendAuth": {"header": "X-Gateway", "signedJwt": {
            "algorithm": "ES256", "keyId": "one", "ttl": "60s",
            "secretRef": {"name": "own", "key": "pem"},
            "claims": [{"name": "sub", "value": "${request.host}"}, {"name": "ports", "value": "${[client.port]}"}],
        }}}]))
        .await?;
    let got = stage.backend_header(request(), "x-gateway").await?;
    let [got] = &got[..] else {
        anyhow::bail!("{got:?}")
    };
    let signed = got.strip_prefix("Bearer ").context("a bearer token")?;
    let key = DecodingKey::from_ec_pem(pair.public_key_pem().as_bytes())?;
    let signed = decode::<Value>(signed, &key, &Validation::new(Algorithm::ES256))?;
    assert_eq!(signed.header.kid.as_deref(), Some("one"));
    assert_eq!(signed.claims["sub"], "127.0.0.1");
    assert!(signed.claims["ports"][0].is_u64(), "{}", signed.claims);
    let head = stage.echo.last_head()?;
    assert_eq!(head.get("authorization"), None, "the client's own");

    stage.in_force(token("wrong")).await?;
    let refused = request().refused_with(502).await?;
    assert_eq!(refused.message()?, "Authentication to the backend failed");
    let line = stage.told("backend_auth_failed").await?;
    ensure!(line["step"] == "prove", "{line}");
    let detail = line["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains("invalid_client"), "{line}");
    ensure!(!line.to_string().contains("wrong-secret"), "{line}");
    Ok(())
}
