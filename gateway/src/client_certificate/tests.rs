use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber, date_time_ymd};

use super::*;

fn issued(edit: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec!["Ship.Example".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = date_time_ymd(2024, 1, 2);
    params.not_after = date_time_ymd(2034, 5, 6);
    params.serial_number = Some(SerialNumber::from_slice(&[0, 0xab, 0x01]));
    edit(&mut params);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().clone()
}

#[test]
fn every_field_is_read() {
    let der = issued(|params| {
        let name = &mut params.distinguished_name;
        name.push(DnType::CountryName, "NL");
        name.push(DnType::OrganizationName, "Harbour");
        name.push(DnType::CommonName, "ship");
    });
    let fields = ClientCertificate::parse(&der, true).unwrap().fields();
    assert_eq!(fields["subject"], "CN=ship, O=Harbour, C=NL");
    assert_eq!(fields["issuer"], "CN=ship, O=Harbour, C=NL");
    assert_eq!(fields["serialNumber"], "AB01");
    assert_eq!(fields["commonName"], "ship");
    assert_eq!(fields["dnsNames"], json!(["ship.example"]));
    assert_eq!(fields["notBefore"], "2024-01-02T00:00:00Z");
    assert_eq!(fields["notAfter"], "2034-05-06T00:00:00Z");
    assert_eq!(fields["trusted"], true);
    let sha1 = hex::encode_upper(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &der));
    assert_eq!(fields["thumbprint"], sha1);
    assert_eq!(fields["thumbprint"].as_str().unwrap().len(), 40);
    assert_eq!(fields["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn a_value_can_not_pretend_to_be_another_part() {
    for (value, expected) in [
        ("a, O=Harbour", "CN=a\\, O\\=Harbour"),
        ("a+b", "CN=a\\+b"),
        ("#a#", "CN=\\#a#"),
        (" a ", "CN=\\ a\\ "),
        ("a\\", "CN=a\\\\"),
        ("a\nb", "CN=a\\0Ab"),
        ("\u{e9}", "CN=\u{e9}"),
    ] {
        let der = issued(|params| params.distinguished_name.push(DnType::CommonName, value));
        let read = ClientCertificate::parse(&der, false).unwrap();
        assert_eq!(read.subject, expected, "{value:?}");
        assert_eq!(read.common_name.as_deref(), Some(value));
        assert!(!read.trusted);
    }
}

#[test]
fn without_names_the_fields_are_empty() {
    let der = issued(|params| params.subject_alt_names.clear());
    let read = ClientCertificate::parse(&der, false).unwrap();
    assert_eq!((read.subject.as_str(), read.common_name), ("", None));
    assert_eq!(read.dns_names, Vec::<String>::new());
}

#[test]
fn what_is_no_certificate_is_refused() {
    let der = issued(|_| {});
    let longer = [der.as_ref(), b"x"].concat();
    for bytes in [&b""[..], b"0", &der[..der.len() - 1], &longer] {
        let refused = ClientCertificate::parse(&CertificateDer::from(bytes), true);
        assert_eq!(refused, Err(Unreadable));
    }
}
