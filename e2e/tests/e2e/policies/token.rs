//! `validateJwt` with each kind of key.

use serde_json::json;
use tidegate_e2e::token::{IdentityProvider, Signer};

use crate::stage::echo_stage;

#[tokio::test]
async fn validate_jwt_with_a_shared_secret() -> anyhow::Result<()> {
    let stage = echo_stage("jwt", "").await?;
    let secret = "a secret of the test, 32 bytes or more";
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "jwt"},
        "stringData": {"hmac": secret},
    });
    stage.scene.apply(&object.to_string()).await?;
    stage
        .in_force(json!([
            {"validateJwt": {
                "requireScheme": "Bearer", "issuers": ["https://issuer.example"], "audiences": ["sea"],
                "keys": [{"secretKeyRef": {"name": "jwt", "key": "hmac"}}],
                "requiredClaims": [{"name": "scope", "values": ["read"], "separator": " "}],
            }},
            {"setHeader": {"name": "X-User", "values": ["${jwt.claims.sub}"]}},
        ]))
        .await?;
    let claims = json!({
        "iss": "https://issuer.example", "aud": "sea", "sub": "alice", "scope": "read write",
    });
    let with = |token: &str| stage.request("").header("authorization", token);
    let signer = Signer::hs256(secret);
    let good = format!("Bearer {}", signer.token(600, &claims)?);
    assert_eq!(
        stage.backend_header(with(&good), "x-user").await?,
        ["alice"]
    );
    assert_eq!(
        stage.echo.last_head()?.get("authorization"),
        None,
        "stripped"
    );

    let changed = |name: &str, value: &str| {
        let mut claims = claims.clone();
        claims[name] = json!(value);
        anyhow::Ok(format!("Bearer {}", signer.token(600, &claims)?))
    };
    let wrong_key = Signer::hs256("another secret, also of 32 bytes or more");
    let cases = [
        ("expired", format!("Bearer {}", signer.token(-60, &claims)?)),
        ("wrong issuer", changed("iss", "https://other.example")?),
        ("wrong audience", changed("aud", "land")?),
        ("wrong scope", changed("scope", "write")?),
        (
            "wrong key",
            format!("Bearer {}", wrong_key.token(600, &claims)?),
        ),
        ("wrong scheme", good.replace("Bearer", "Basic")),
        ("no token", "Bearer nonsense".to_owned()),
    ];
    for (case, token) in cases {
        let refused = with(&token).refused_with(401).await?;
        assert!(!refused.message()?.is_empty(), "{case}");
    }
    let missing = stage.request("").refused_with(401).await?;
    assert_eq!(missing.message()?, "JWT not present.");
    Ok(())
}

#[tokio::test]
async fn validate_jwt_with_public_keys() -> anyhow::Result<()> {
    let stage = echo_stage("jwt-public", "").await?;
    let (elliptic, rsa) = (Signer::es256("elliptic")?, Signer::rs256("rsa")?);
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "public"},
        "stringData": {"ec": elliptic.public_pem(), "rsa": rsa.public_pem()},
    });
    stage.scene.apply(&object.to_string()).await?;
    let key = |key: &str| json!({"secretKeyRef": {"name": "public", "key": key}});
    stage
        .in_force(json!([{"validateJwt": {"query": "token", "keys": [key("ec"), key("rsa")]}}]))
        .await?;
    for signer in [&elliptic, &rsa] {
        let token = signer.token(600, &json!({}))?;
        let query = format!("?keep=1&token={token}");
        stage.request(&query).open().await?;
        assert_eq!(stage.echo.last_head()?.target(), "/?keep=1", "stripped");
    }
    let stranger = Signer::es256("stranger")?.token(600, &json!({}))?;
    stage
        .request(&format!("?token={stranger}"))
        .refused_with(401)
        .await?;
    Ok(())
}

#[tokio::test]
async fn validate_jwt_with_an_identity_provider() -> anyhow::Result<()> {
    let stage = echo_stage("oidc", "").await?;
    let signers = [Signer::es256("elliptic")?, Signer::rs256("rsa")?];
    let provider = IdentityProvider::start(&signers).await?;
    stage
        .in_force(json!([{"validateJwt": {
            "query": "token", "openidConfig": [provider.discovery()],
        }}]))
        .await?;
    let request = |token: String| stage.request(&format!("?token={token}"));
    let claims = json!({"iss": provider.issuer()});
    for _ in 0..3 {
        for signer in &signers {
            request(signer.token(600, &claims)?).open().await?;
        }
    }
    assert_eq!(provider.key_fetches(), 1, "the key set is cached");
    let other = json!({"iss": "https://other.example"});
    request(signers[0].token(600, &other)?)
        .refused_with(401)
        .await?;
    let forged = Signer::es256("elliptic")?.token(600, &claims)?;
    request(forged).refused_with(401).await?;
    Ok(())
}

#[tokio::test]
async fn validate_jwt_takes_over_new_keys_once_in_a_while() -> anyhow::Result<()> {
    let stage = echo_stage("new-keys", "").await?;
    let (old, new) = (Signer::es256("old")?, Signer::es256("new")?);
    let provider = IdentityProvider::start(std::slice::from_ref(&old)).await?;
    stage
        .in_force(json!([{"validateJwt": {
            "query": "token", "openidConfig": [provider.discovery()],
        }}]))
        .await?;
    let claims = json!({"iss": provider.issuer()});
    let request = |signer: &Signer| {
        let token = signer.token(600, &claims)?;
        anyhow::Ok(stage.request(&format!("?token={token}")))
    };
    request(&old)?.open().await?;
    provider.publish(std::slice::from_ref(&new))?;
    request(&new)?.open().await?;
    assert_eq!(provider.key_fetches(), 2, "looked for the unknown key");
    for stranger in [old, Signer::es256("stranger")?] {
        request(&stranger)?.refused_with(401).await?;
    }
    assert_eq!(provider.key_fetches(), 2, "not again within five minutes");
    Ok(())
}
