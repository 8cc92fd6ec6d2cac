//! Subscription keys at the handshake; the decision itself has its table beside the code.

use tidegate_config::SubscriptionScope;

use crate::support::backend::Backend;
use crate::support::client::{closed, connect, echo, open};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;

const MISSING: &str = r#"{"statusCode":401,"message":"Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API."}"#;
const INVALID: &str = r#"{"statusCode":401,"message":"Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription."}"#;

fn product_of(name: &str) -> SubscriptionScope {
    SubscriptionScope::Product(name.to_owned())
}

#[tokio::test]
async fn a_key_opens_what_its_product_has() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api_with("chat", backend.address, |api| {
            api.subscription_required = true
        })
        .api_with("other", backend.address, |api| {
            api.subscription_required = true
        })
        .product("gold", &["chat"], |_| {})
        .subscription("ahab", product_of("gold"), "white-whale");
    let gateway = TestGateway::start(&config).await;
    let header = [("x-harbour-key", "white-whale")];
    let wrong = [("X-Harbour-Key", "black-whale")];
    for (name, path, headers, body) in [
        ("no key", "/chat", &[][..], Some(MISSING)),
        ("a wrong key", "/chat", &wrong, Some(INVALID)),
        (
            "an API outside the product",
            "/other",
            &header,
            Some(INVALID),
        ),
        (
            "a wrong header beats a right query",
            "/chat?harbour-key=white-whale",
            &wrong,
            Some(INVALID),
        ),
        ("header", "/chat", &header, None),
        ("query", "/chat?a=1&harbour-key=white-whale", &[], None),
    ] {
        match connect(&gateway.url(path), headers).await {
            Ok(mut socket) => {
                assert_eq!(body, None, "{name}");
                echo(&mut socket, "hello").await;
            }
            Err(refused) => {
                assert_eq!(refused.status, 401, "{name}");
                assert_eq!(Some(refused.body.as_str()), body, "{name}");
                let challenge = refused.answer.headers()["www-authenticate"]
                    .to_str()
                    .unwrap();
                assert!(
                    challenge.starts_with("TidegateKey realm=\"127.0.0.1/"),
                    "{challenge}"
                );
            }
        }
    }
    for head in backend.heads() {
        assert!(head.header("X-Harbour-Key").is_empty(), "{head:?}");
        assert!(!head.text.contains("white-whale"), "{head:?}");
    }
}

#[tokio::test]
async fn a_kept_key_reaches_the_backend() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api_with("chat", backend.address, |api| {
            api.subscription_required = true;
            api.subscription_key.keep = true;
        })
        .subscription("ahab", SubscriptionScope::Gateway, "white-whale");
    let gateway = TestGateway::start(&config).await;
    open(&gateway.url("/chat?harbour-key=white-whale")).await;
    let head = backend.head().await;
    assert_eq!(
        head.request_line(),
        "GET /?harbour-key=white-whale HTTP/1.1"
    );
}

#[tokio::test]
async fn a_revoked_subscription_closes_its_tunnels_only() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api_with("chat", backend.address, |api| {
            api.subscription_required = true
        })
        .product("gold", &["chat"], |_| {})
        .subscription("ahab", product_of("gold"), "white-whale")
        .subscription("starbuck", product_of("gold"), "coffee-coffee");
    let mut gateway = TestGateway::start(&config).await;
    let mut ahab = open(&gateway.url("/chat?harbour-key=white-whale")).await;
    let mut starbuck = open(&gateway.url("/chat?harbour-key=coffee-coffee")).await;
    echo(&mut ahab, "there she blows").await;
    gateway.apply(&config.without_subscription("ahab")).await;
    let (code, _) = closed(&mut ahab).await.expect("a code");
    assert_eq!(code, 1008);
    echo(&mut starbuck, "still here").await;
    let refused = connect(&gateway.url("/chat?harbour-key=white-whale"), &[]).await;
    assert_eq!(refused.unwrap_err().body, INVALID);
}

#[tokio::test]
async fn an_open_product_needs_no_key_and_a_blocked_one_refuses() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api_with("chat", backend.address, |api| {
            api.subscription_required = true
        })
        .product("harbour", &["chat"], |product| product.open = true);
    let mut gateway = TestGateway::start(&config).await;
    open(&gateway.url("/chat")).await;
    let blocked = config.product("gold", &["chat"], |product| {
        product.blocked = Some("a Secret is missing".to_owned());
    });
    let blocked = blocked.subscription("ahab", product_of("gold"), "white-whale");
    gateway.apply(&blocked).await;
    let refused = connect(&gateway.url("/chat?harbour-key=white-whale"), &[])
        .await
        .unwrap_err();
    assert_eq!(
        (refused.status, refused.body.contains("Secret")),
        (503, false),
        "{refused:?}"
    );
}
