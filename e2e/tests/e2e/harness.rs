//! The harness itself: a test that rests on it must not pass because it looks away.

use std::time::Duration;

use tidegate_e2e::backend::{Backend, Echo};
use tidegate_e2e::client::Request;
use tidegate_e2e::cluster::Cluster;
use tidegate_e2e::namespace::Namespace;
use tidegate_e2e::tls::Authority;
use tidegate_e2e::token::{IdentityProvider, Signer};
use tidegate_e2e::upgrade::Upgrade;
use tidegate_e2e::wait::eventually;
use tidegate_wire::{Frame, Wire, frame};

#[tokio::test]
async fn what_never_happens_is_named_with_what_was_seen_last() -> anyhow::Result<()> {
    let awaited = eventually("the tide turns", Duration::from_millis(1), async || {
        anyhow::bail!("still rising")
    });
    let error: anyhow::Result<()> = awaited.await;
    let error = error.expect_err("it never turns").to_string();
    assert!(error.contains("the tide turns"), "{error}");
    assert!(error.contains("still rising"), "{error}");
    Ok(())
}

#[tokio::test]
async fn the_control_plane_knows_our_kinds_and_collects_garbage() -> anyhow::Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = Namespace::create(cluster, "harness").await?;
    let kubectl = namespace.kubectl();
    kubectl
        .run(&["create", "configmap", "owner", "--from-literal=a=b"])
        .await?;
    let owner = namespace.get("ConfigMap", "owner").await?;
    let uid = owner["metadata"]["uid"].as_str().unwrap_or_default();
    kubectl
        .apply(&format!(
            "apiVersion: v1
kind: ConfigMap
metadata:
  name: owned
  ownerReferences:
  - {{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}}}"
        ))
        .await?;
    kubectl.delete(&["configmap/owner"]).await?;
    eventually("the owned goes too", Duration::from_secs(30), async || {
        let owned = namespace.find("ConfigMap", "owned").await?;
        anyhow::ensure!(owned.is_none(), "still there");
        Ok(())
    })
    .await?;
    assert_eq!(namespace.list("Gateway").await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_client_and_an_echo_backend_understand_each_other() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let mut client = Request::new(echo.url()).open().await?;
    client.echo("hello").await?;
    assert_eq!(echo.last_head()?.target(), "/");
    Ok(())
}

#[tokio::test]
async fn a_backend_over_tls_does_what_the_test_says() -> anyhow::Result<()> {
    let authority = Authority::new("harness")?;
    let mut backend = Backend::start_tls(authority.issue(&["localhost"])?.server()?).await?;
    let address = backend.address();
    let tls = ("localhost".to_owned(), authority.client()?);
    let mut client = Wire::connect(address, Some(tls)).await?;
    client.send(Upgrade::new("localhost", "/x").bytes()).await?;
    let handshake = backend.handshake().await?;
    let greeting = Frame::text("hello");
    let mut server = handshake.accept_with(&[], &greeting.bytes()).await?;
    assert_eq!(client.head().await?.status(), 101);
    assert_eq!(client.frame().await?, greeting);
    client
        .send_frame(&Frame::close(1000, "bye").masked())
        .await?;
    let said = server.frame().await?.closing();
    assert_eq!(said, Some((1000, "bye".to_owned())));
    drop(server);
    client.end().await
}

#[tokio::test]
async fn a_refusal_reaches_the_client_helper() -> anyhow::Result<()> {
    let mut backend = Backend::start().await?;
    let url = format!("ws://{}/", backend.address());
    let refuse = async {
        let headers = [("X-Why", "tired")];
        backend
            .handshake()
            .await?
            .refuse("403 Forbidden", &headers, "no")
            .await
    };
    let (refused, done) = tokio::join!(Request::new(url).refused_with(403), refuse);
    done?;
    let refused = refused?;
    assert_eq!(
        (refused.header("x-why"), &*refused.body),
        (Some("tired"), "no")
    );
    Ok(())
}

#[tokio::test]
async fn the_identity_provider_publishes_its_keys() -> anyhow::Result<()> {
    let signers = [Signer::es256("elliptic")?, Signer::rs256("rsa")?];
    let provider = IdentityProvider::start(&signers).await?;
    let address = provider.issuer().trim_start_matches("http://").parse()?;
    let (status, keys) = tidegate_e2e::http::get(address, "/keys").await?;
    assert_eq!(status, 200);
    assert!(
        keys.contains("elliptic") && keys.contains("RS256"),
        "{keys}"
    );
    assert_eq!(provider.key_fetches(), 1);
    Ok(())
}

#[test]
fn a_fragment_is_not_a_whole_message() {
    let fragment = Frame::new(frame::BINARY, [1]).unfinished();
    assert_eq!(fragment.bytes()[0], 0x02);
}
