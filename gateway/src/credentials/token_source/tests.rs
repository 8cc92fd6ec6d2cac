use serde_json::json;
use tokio::time::{advance, sleep, timeout};

use url::Url;

use super::*;
use crate::http_client::{Callers, Guard};
use crate::policy::testing::{Answer, Server, json as answer};
use tidegate_config::error_chain;

/// A source of tokens at this server.
fn source(server: &Server) -> Arc<TokenSource> {
    let (_, drain) = Drain::pair();
    let sources = TokenSources::new(drain, Handle::current());
    let secret = "do-not-show-this".to_owned();
    of(&sources, server, credentials(Proof::Secret(secret)))
}

fn credentials(proof: Proof) -> Grant {
    let id = "ship".to_owned();
    Grant::ClientCredentials { id, proof }
}

/// The tokens of a client with this grant.
fn of(sources: &TokenSources, server: &Server, grant: Grant) -> Arc<TokenSource> {
    let callers = Callers::new(Drain::pair().1, Handle::current(), Guard::default());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let caller = callers.with([0; 32], &tls).unwrap();
    let client = Client {
        url: Url::parse(&format!("{}/token?tenant=t", server.url)).unwrap(),
        grant,
        scope: "read".to_owned(),
    };
    assert!(!format!("{client:?}").contains("do-not-show-this"));
    sources.of(client, &caller)
}

async fn issuing(life: u64) -> Server {
    Server::start(move |number, _| {
        let body = json!({"access_token": format!("t{number}"), "expires_in": life});
        answer(200, &body.to_string())
    })
    .await
}

async fn text(source: &Arc<TokenSource>) -> Result<String, String> {
    let token = source.token().await.map_err(|error| error_chain(&error))?;
    Ok(token.header().to_str().unwrap().to_owned())
}

#[tokio::test]
async fn all_who_wait_share_one_request() {
    let server = issuing(3600).await;
    let source = source(&server);
    let all = futures::future::join_all((0..50).map(|_| text(&source))).await;
    assert!(
        all.iter().all(|token| token.as_deref() == Ok("Bearer t1")),
        "{all:?}"
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_nobody_waits() {
    let server = issuing(1000).await;
    let source = source(&server);
    assert_eq!(text(&source).await.unwrap(), "Bearer t1");
    tokio::time::pause();
    advance(Duration::from_secs(790)).await;
    assert_eq!(text(&source).await.unwrap(), "Bearer t1");
    assert_eq!(server.asked().len(), 1);
    advance(Duration::from_secs(20)).await;
    tokio::time::resume();
    assert_eq!(
        text(&source).await.unwrap(),
        "Bearer t1",
        "the old one while the new one comes"
    );
    let renewed = async {
        while text(&source).await.unwrap() != "Bearer t2" {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(Duration::from_secs(20), renewed).await;
    waited.expect("no new token in 20 s");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_failure_is_shared_and_says_what_the_server_said() {
    for (name, reply, expected) in [
        (
            "refused",
            answer(
                401,
                r#"{"error": "invalid_client", "error_description": "x"}"#,
            ),
            "answered 401, invalid_client",
        ),
        (
            "an odd code",
            answer(400, r#"{"error": "<script>"}"#),
            "answered 400",
        ),
        (
            "no token",
            answer(200, "{}"),
            "issued no usable access_token",
        ),
        (
            "no text",
            answer(200, r#"{"access_token": 7}"#),
            "issued no usable access_token",
        ),
        (
            "a line end",
            answer(200, r#"{"access_token": "a\r\nb: c"}"#),
            "issued no usable access_token",
        ),
        (
            "another kind",
            answer(200, r#"{"access_token": "a", "token_type": "mac"}"#),
            "issued a token that is no bearer token",
        ),
    ] {
        let Answer::Raw(bytes) = reply else {
            panic!("an answer")
        };
        let server = Server::start(move |_, _| Answer::Raw(bytes.clone())).await;
        let source = source(&server);
        let all = futures::future::join_all((0..20).map(|_| text(&source))).await;
        for got in all {
            assert_eq!(
                got.unwrap_err(),
                format!("the token endpoint {expected}"),
                "{name}"
            );
        }
        assert_eq!(server.asked().len(), 1, "{name}");
        text(&source).await.unwrap_err();
        assert_eq!(
            server.asked().len(),
            2,
            "{name}: who comes later asks again"
        );
    }
}

#[tokio::test]
async fn a_discarded_token_is_not_given_again() {
    let server = issuing(3600).await;
    let source = source(&server);
    let first = source.token().await.unwrap();
    source.discard(&first);
    assert_eq!(text(&source).await.unwrap(), "Bearer t2");
    source.discard(&first);
    assert_eq!(
        text(&source).await.unwrap(),
        "Bearer t2",
        "a newer one stays"
    );
}

#[tokio::test]
async fn the_service_accounts_token_is_read_again_and_again() {
    let audience = "https://vault.example";
    let sources = || TokenSources::new(Drain::pair().1, Handle::current());
    let without = sources().of_service_account(audience);
    let error = text(&without).await.unwrap_err();
    assert!(
        error.ends_with("this gateway has no such token of a service account"),
        "{error}"
    );

    let directory = tempfile::tempdir().unwrap();
    let sources = sources();
    sources.read_from(directory.path().to_owned());
    let source = sources.of_service_account(audience);
    let error = text(&source).await.unwrap_err();
    assert!(
        error.starts_with("failed to read the token of the service account"),
        "{error}"
    );
    let file = directory.path().join(token_file_name(audience));
    std::fs::write(&file, "first\n").unwrap();
    assert_eq!(text(&source).await.unwrap(), "Bearer first");
    std::fs::write(&file, "second").unwrap();
    assert_eq!(text(&source).await.unwrap(), "Bearer first", "for a while");
    let token = source.token().await.unwrap();
    source.discard(&token);
    assert_eq!(text(&source).await.unwrap(), "Bearer second");
    let other = sources.of_service_account("https://other.example");
    text(&other).await.unwrap_err();
    for unusable in ["", "a\nb"] {
        let token = source.token().await.unwrap();
        std::fs::write(&file, unusable).unwrap();
        source.discard(&token);
        text(&source).await.unwrap_err();
        std::fs::write(&file, "good").unwrap();
    }
}

#[tokio::test]
async fn a_client_shows_the_service_accounts_token_as_it_is_now() {
    let server = issuing(1000).await;
    let audience = "api://AzureADTokenExchange";
    let directory = tempfile::tempdir().unwrap();
    let sources = TokenSources::new(Drain::pair().1, Handle::current());
    sources.read_from(directory.path().to_owned());
    let file = directory.path().join(token_file_name(audience));
    let proof = Proof::Assertion(sources.account_token(audience));
    let source = of(&sources, &server, credentials(proof));
    let error = text(&source).await.unwrap_err();
    assert!(
        error.starts_with("failed to read the token of the service account"),
        "{error}"
    );
    assert_eq!(
        server.asked().len(),
        0,
        "the endpoint is not asked without it"
    );
    std::fs::write(&file, "first.of.account\n").unwrap();
    for _ in 0..3 {
        assert_eq!(text(&source).await.unwrap(), "Bearer t1");
    }
    assert_eq!(server.asked().len(), 1, "asked for once");
    std::fs::write(&file, "second.of.account").unwrap();
    tokio::time::pause();
    advance(Duration::from_secs(810)).await;
    tokio::time::resume();
    let renewed = async {
        while text(&source).await.unwrap() != "Bearer t2" {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(Duration::from_secs(20), renewed).await;
    waited.expect("no new token in 20 s");
    let form = |number: &str| {
        format!(
            "grant_type=client_credentials&client_id=ship\
             &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion={number}.of.account&scope=read"
        )
    };
    let bodies = server.asked();
    let bodies: Vec<_> = bodies.iter().map(|asked| &*asked.body).collect();
    assert_eq!(bodies, [form("first"), form("second")]);
}

#[tokio::test]
async fn the_service_accounts_token_is_exchanged() {
    let server = issuing(1000).await;
    let directory = tempfile::tempdir().unwrap();
    let sources = TokenSources::new(Drain::pair().1, Handle::current());
    sources.read_from(directory.path().to_owned());
    let file = directory.path().join(token_file_name("pool"));
    std::fs::write(file, "of.the.account").unwrap();
    let grant = Grant::TokenExchange {
        audience: "//iam.example/providers/k".to_owned(),
        subject: sources.account_token("pool"),
    };
    let source = of(&sources, &server, grant);
    assert_eq!(text(&source).await.unwrap(), "Bearer t1");
    assert_eq!(
        server.asked()[0].body,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
         &requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt\
         &audience=%2F%2Fiam.example%2Fproviders%2Fk&subject_token=of.the.account&scope=read"
    );
}
