use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber, date_time_ymd};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::exchange::{Exchange, TlsInfo};
use crate::policy::tests::{compile_error, exchange, run_inbound};
use crate::refusal::{Origin, Reason};
use crate::tls::client_certificate::ClientCertificate;

fn issued(from: i32, until: i32) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec!["Ship.Example".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = &mut params.distinguished_name;
    name.push(DnType::OrganizationName, "Harbour");
    name.push(DnType::CommonName, "ship");
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params.serial_number = Some(SerialNumber::from_slice(&[0, 0xab, 0x01]));
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().clone()
}

fn read(der: &CertificateDer<'_>, trusted: bool) -> ClientCertificate {
    ClientCertificate::parse(der, std::iter::empty(), trusted).unwrap()
}

fn showing(certificate: Option<ClientCertificate>) -> Exchange {
    let mut exchange = exchange(&[]);
    exchange.client.tls = Some(TlsInfo {
        version: "1.3",
        sni: None,
        demand: None,
        certificate: certificate.map(Arc::new),
    });
    exchange
}

/// Why the certificate may not pass.
async fn refused(policy: Value, certificate: Option<ClientCertificate>) -> Option<Reason> {
    let step = json!({ "validateClientCertificate": policy });
    let refusal = run_inbound(&[step], &mut showing(certificate))
        .await
        .err()?;
    assert_eq!((refusal.status, refusal.origin), (403, Origin::Policy));
    assert!(
        refusal.message.starts_with("Client certificate is "),
        "{refusal:?}"
    );
    assert!(refusal.message.ends_with(". Access denied."), "{refusal:?}");
    Some(refusal.reason)
}

#[tokio::test]
async fn dates_and_trust_are_demanded_unless_told_otherwise() {
    use Reason as R;
    let current = || Some(read(&issued(2020, 2090), true));
    let stranger = || Some(read(&issued(2020, 2090), false));
    let future = || Some(read(&issued(2080, 2090), false));
    let past = || Some(read(&issued(2010, 2011), false));
    for (name, policy, certificate, expected) in [
        ("good", json!({}), current(), None),
        ("none", json!({}), None, Some(R::ClientCertificateMissing)),
        (
            "none, and nothing demanded of it",
            json!({"trust": false, "notBefore": false, "notAfter": false}),
            None,
            Some(R::ClientCertificateMissing),
        ),
        (
            "stranger",
            json!({}),
            stranger(),
            Some(R::ClientCertificateNotTrusted),
        ),
        (
            "stranger, any will do",
            json!({"trust": false}),
            stranger(),
            None,
        ),
        (
            "future",
            json!({}),
            future(),
            Some(R::ClientCertificateNotYetValid),
        ),
        (
            "future, which does not matter",
            json!({"trust": false, "notBefore": false}),
            future(),
            None,
        ),
        ("past", json!({}), past(), Some(R::ClientCertificateExpired)),
        (
            "past, which does not matter",
            json!({"trust": false, "notAfter": false}),
            past(),
            None,
        ),
        (
            "past and untrusted",
            json!({"notAfter": false}),
            past(),
            Some(R::ClientCertificateNotTrusted),
        ),
    ] {
        assert_eq!(refused(policy, certificate).await, expected, "{name}");
    }
}

#[tokio::test]
async fn one_identity_must_fit_in_all_that_it_names() {
    let der = issued(2020, 2090);
    let shown = read(&der, true);
    let colons = |digits: &str| {
        let pairs = digits.as_bytes().chunks(2);
        let pairs: Vec<_> = pairs
            .map(|pair| std::str::from_utf8(pair).unwrap())
            .collect();
        pairs.join(":")
    };
    let sha1 = shown.thumbprint().to_owned();
    let sha256 = shown.fields()["sha256"].as_str().unwrap().to_owned();
    let mut other = sha1.clone();
    other.replace_range(0..1, if sha1.starts_with('0') { "1" } else { "0" });
    for (identities, passes) in [
        (json!([{"thumbprint": sha1}]), true),
        (json!([{"thumbprint": colons(&sha1.to_lowercase())}]), true),
        (json!([{"thumbprint": sha256}]), true),
        (json!([{"thumbprint": other}]), false),
        (json!([{"serialNumber": "00:AB:01"}]), true),
        (json!([{"serialNumber": "ab01"}]), true),
        (json!([{"serialNumber": "ab"}]), false),
        (json!([{"commonName": "ship"}]), true),
        (json!([{"commonName": "Ship"}]), false),
        (json!([{"subject": "CN=ship,O=Harbour"}]), true),
        (json!([{"subject": "CN=ship"}]), false),
        (json!([{"dnsName": "SHIP.example"}]), true),
        (json!([{"dnsName": "example"}]), false),
        (json!([{"issuerSubject": "CN=ship, O=Harbour"}]), true),
        (json!([{"issuerSubject": "CN=other"}]), false),
        (json!([{"issuerThumbprint": sha1}]), false),
        (
            json!([{"commonName": "ship", "dnsName": "other.example"}]),
            false,
        ),
        (
            json!([{"commonName": "boat"}, {"dnsName": "ship.example"}]),
            true,
        ),
    ] {
        let shown = Some(read(&der, true));
        let reason = refused(json!({ "identities": identities }), shown).await;
        let expected = (!passes).then_some(Reason::ClientCertificateNotAllowed);
        assert_eq!(reason, expected, "{identities}");
    }
}

#[tokio::test]
async fn the_log_says_whose_certificate_was_refused() {
    let step = json!({"validateClientCertificate": {"identities": [{"commonName": "boat"}]}});
    let shown = read(&issued(2020, 2090), true);
    let thumbprint = shown.thumbprint().to_owned();
    let refusal = run_inbound(&[step], &mut showing(Some(shown)))
        .await
        .unwrap_err();
    let expected = format!("CN=ship, O=Harbour, thumbprint {thumbprint}");
    assert_eq!(refusal.detail, Some(expected));
}

#[test]
fn what_fits_everything_or_nothing_is_refused() {
    for (identity, problem) in [
        (json!({}), "must name at least one property"),
        (
            json!({"thumbprint": "ab"}),
            "thumbprint: is not hexadecimal",
        ),
        (
            json!({"serialNumber": "x"}),
            "serialNumber: is not hexadecimal",
        ),
    ] {
        let step = json!({"validateClientCertificate": {"identities": [identity]}});
        let error = compile_error(step);
        assert!(error.contains(problem), "{error}");
    }
}
