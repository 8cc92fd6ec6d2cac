use tokio::io::AsyncReadExt as _;

use super::*;

fn config(url: &str, credentials: Option<&str>) -> BackendProxy {
    BackendProxy {
        url: url.to_owned(),
        credentials_ref: credentials.map(str::to_owned),
    }
}

fn secret_data(user: &str, password: &str) -> SecretData {
    let mut secret_data = SecretData::default();
    for (key, text) in [("username", user), ("password", password)] {
        let id = SecretDataId::secret("apps", "proxy", key);
        secret_data.insert(id, text.as_bytes().to_vec());
    }
    secret_data
}

/// What the proxy was asked, and what became of its answer.
async fn asked(proxy: &Proxy, backend: &str, answer: &str) -> (String, Result<(), ProxyError>) {
    let (mut ours, mut theirs) = tokio::io::duplex(4096);
    theirs.write_all(answer.as_bytes()).await.unwrap();
    theirs.shutdown().await.unwrap();
    let backend = BackendUrl::parse(backend).unwrap();
    let result = proxy.tunnel(&mut ours, &backend, 1024).await;
    drop(ours);
    let mut request = String::new();
    theirs.read_to_string(&mut request).await.unwrap();
    (request, result)
}

#[tokio::test]
async fn a_tunnel_is_asked_for_with_port_and_credentials() {
    let secret_data = secret_data("gate", "wörd");
    let proxy = Proxy::compile(
        &config("http://proxy.test:3128/", Some("proxy")),
        "apps",
        &secret_data,
    );
    let proxy = proxy.unwrap();
    assert_eq!(proxy.authority(), "proxy.test:3128");
    let ok = "HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11\r\n\r\n";
    let (request, result) = asked(&proxy, "wss://chat.test/x", ok).await;
    result.unwrap();
    let expected = "CONNECT chat.test:443 HTTP/1.1\r\nHost: chat.test:443\r\n\
        Proxy-Authorization: Basic Z2F0ZTp3w7ZyZA==\r\n\r\n";
    assert_eq!(request, expected);
    let open = Proxy::compile(&config("http://[::1]", None), "apps", &secret_data).unwrap();
    assert_eq!(open.authority(), "[::1]:80");
    let (request, _) = asked(&open, "ws://[::2]:81/", ok).await;
    assert_eq!(
        request,
        "CONNECT [::2]:81 HTTP/1.1\r\nHost: [::2]:81\r\n\r\n"
    );
}

#[tokio::test]
async fn the_head_of_a_proxys_answer_has_the_limit_of_answers() {
    let proxy = Proxy::compile(&config("http://p", None), "apps", &SecretData::default()).unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "a".repeat(2000));
    let (_, result) = asked(&proxy, "ws://b", &answer).await;
    let text = tidegate_config::error_chain(&result.unwrap_err());
    assert!(
        text.contains("limits.maxResponseHeaderBytes (1024 bytes)"),
        "{text}"
    );
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n";
    asked(&proxy, "ws://b", interim).await.1.unwrap();
}

#[tokio::test]
async fn what_is_no_tunnel_says_why_and_never_with_what() {
    let secret_data = secret_data("gate", "hunter2");
    let with = Proxy::compile(&config("http://p", Some("proxy")), "apps", &secret_data).unwrap();
    let without = Proxy::compile(&config("http://p", None), "apps", &secret_data).unwrap();
    for (proxy, answer, expected) in [
        (&with, "HTTP/1.1 407 Nope\r\n\r\n", "does not accept"),
        (&without, "HTTP/1.1 407 Nope\r\n\r\n", "wants a user name"),
        (
            &with,
            "HTTP/1.1 403 Filtered\r\n\r\n",
            "refused with status 403",
        ),
        (&with, "HTTP/1.1 502 Bad\r\n\r\n", "refused with status 502"),
        (&with, "HTTP/1.1 101 Up\r\n\r\n", "refused with status 101"),
        (
            &with,
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "before the backend could",
        ),
        (&with, "SSH-2.0\r\n\r\n", "cannot be read"),
        (&with, "HTTP/1.1 20", "cannot be read"),
        (&with, "", "cannot be read"),
    ] {
        let error = asked(proxy, "ws://b", answer).await.1.unwrap_err();
        let text = tidegate_config::error_chain(&error);
        assert!(text.contains(expected), "{answer}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(!format!("{with:?}").contains("Basic"));
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    for (url, user, expected) in [
        ("https://p", "u", "http://host:port"),
        ("http://u:p@p", "u", "http://host:port"),
        ("p:3128", "u", "http://host:port"),
        ("http://p", "a:b", "secret/apps/proxy/username"),
        ("http://p", "a\r\nb", "secret/apps/proxy/username"),
    ] {
        let config = config(url, Some("proxy"));
        let error = Proxy::compile(&config, "apps", &secret_data(user, "p")).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let missing = Proxy::compile(
        &config("http://p", Some("gone")),
        "apps",
        &secret_data("u", "p"),
    );
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("secret/apps/gone/username is missing")
    );
}
