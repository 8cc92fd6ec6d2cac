use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use tidegate_tunnel::drain::Drain;

/// An HTTPS server on the loopback address that gives each request this answer.
async fn server(answer: &'static str) -> (String, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_, drain) = Drain::pair();
    drain.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = [0; 1024];
            // One read suffices: the client writes its short head at once.
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (format!("https://localhost:{port}/"), certificate)
}

fn trusting(certificates: &[CertificateDer<'static>]) -> HttpClient {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).unwrap();
    }
    let guard = Guard::default();
    HttpClient {
        tls: None,
        clients: OnceLock::from(build(roots, &guard)),
        guard,
    }
}

#[tokio::test]
async fn https_needs_a_trusted_certificate() {
    let (url, certificate) =
        server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").await;
    assert_eq!(trusting(&[certificate]).get(&url).await.unwrap(), b"{}");
    let refused = trusting(&[]).get(&url).await.unwrap_err();
    let text = tidegate_config::error_chain(&refused);
    assert!(text.contains("UnknownIssuer"), "{text}");
}

#[tokio::test]
async fn a_redirect_never_leads_from_https_to_http() {
    let (url, certificate) = server(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    )
    .await;
    let refused = trusting(&[certificate]).get(&url).await.unwrap_err();
    let text = tidegate_config::error_chain(&refused);
    assert!(text.contains("redirected from https to http"), "{text}");
}

#[tokio::test]
async fn what_is_not_200_is_an_error() {
    let (url, certificate) = server("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    let refused = trusting(&[certificate]).get(&url).await.unwrap_err();
    assert!(matches!(refused, FetchError::Status(204)), "{refused}");
}

#[tokio::test]
async fn a_redirect_never_leads_to_a_metadata_address() {
    let (url, certificate) = server(
        "HTTP/1.1 302 Found\r\nLocation: https://169.254.169.254/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    )
    .await;
    let refused = trusting(&[certificate]).get(&url).await.unwrap_err();
    let text = tidegate_config::error_chain(&refused);
    assert!(text.contains("169.254.169.254 is a link-local"), "{text}");
}

#[tokio::test]
async fn a_metadata_address_is_refused_before_anything_is_sent() {
    let refused = trusting(&[])
        .get("http://169.254.169.254/latest/meta-data")
        .await
        .unwrap_err();
    assert!(matches!(refused, FetchError::Forbidden(_)), "{refused}");
}

#[tokio::test]
async fn a_redirect_never_leads_to_an_admin_server() {
    let (url, certificate) =
        server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").await;
    let port = Url::parse(&url).unwrap().port().unwrap();
    let moved = |host: &str| {
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: https://{host}:{port}/\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        server(Box::leak(answer.into_boxed_str()))
    };
    for host in ["127.0.0.1", "localhost"] {
        let (from, other) = moved(host).await;
        let mut client = trusting(&[certificate.clone(), other.clone()]);
        if host == "localhost" {
            assert_eq!(client.get(&from).await.unwrap(), b"{}", "it leads there");
        }
        let ports = AdminPorts::default();
        let _port = ports.add(port);
        client.guard = Guard::new(ports);
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        roots.add(other).unwrap();
        client.clients = OnceLock::from(build(roots, &client.guard));
        let refused = client.get(&from).await.unwrap_err();
        let text = tidegate_config::error_chain(&refused);
        assert!(text.contains("is the gateway's own admin server"), "{text}");
    }
}
