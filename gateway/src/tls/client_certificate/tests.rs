use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SerialNumber, date_time_ymd,
};

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

fn parse(
    der: &CertificateDer<'_>,
    trusted: bool,
) -> Result<ClientCertificate, UnreadableCertificate> {
    ClientCertificate::parse(der, std::iter::empty(), trusted)
}

#[test]
fn every_field_is_read() {
    let der = issued(|params| {
        let name = &mut params.distinguished_name;
        name.push(DnType::CountryName, "NL");
        name.push(DnType::OrganizationName, "Harbour");
        name.push(DnType::CommonName, "ship");
    });
    let fields = parse(&der, true).unwrap().fields();
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
fn a_value_cannot_pretend_to_be_another_part() {
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
        let read = parse(&der, false).unwrap();
        assert_eq!(read.subject, expected, "{value:?}");
        assert_eq!(read.common_name.as_deref(), Some(value));
        assert!(!read.trusted);
    }
}

#[test]
fn without_names_the_fields_are_empty() {
    let der = issued(|params| params.subject_alt_names.clear());
    let read = parse(&der, false).unwrap();
    assert_eq!((read.subject.as_str(), read.common_name), ("", None));
    assert_eq!(read.dns_names, Vec::<String>::new());
}

#[test]
fn what_is_no_certificate_is_refused() {
    let der = issued(|_| {});
    let longer = [der.as_ref(), b"x"].concat();
    for bytes in [&b""[..], b"0", &der[..der.len() - 1], &longer] {
        let refused = parse(&CertificateDer::from(bytes), true);
        assert_eq!(refused, Err(UnreadableCertificate));
    }
}

#[test]
fn names_are_compared_without_spaces_behind_commas() {
    for (a, b, same) in [
        ("CN=ship, O=Harbour", "CN=ship,O=Harbour", true),
        ("CN=ship,  O=Harbour", "CN=ship, O=Harbour", true),
        ("CN=sh ip,O=Harbour", "CN=ship,O=Harbour", false),
        ("CN=a\\, b", "CN=a\\,b", false),
        ("CN=a\\\\, O=b", "CN=a\\\\,O=b", true),
        ("CN=Ship", "CN=ship", false),
    ] {
        let equal = comparable_name(a) == comparable_name(b);
        assert_eq!(equal, same, "{a} {b}");
    }
}

#[test]
fn who_issued_it_is_told_by_the_signature() {
    let authority = || {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "harbour");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().clone();
        (Issuer::new(params, key), der)
    };
    let (issuer, real) = authority();
    let (_, same_name) = authority();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["ship.example".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2014, 1, 2);
    params.not_after = date_time_ymd(2015, 1, 2);
    let leaf = params.signed_by(&key, &issuer).unwrap().der().clone();
    let both = [same_name.clone(), real.clone()];
    let read = ClientCertificate::parse(&leaf, both.iter(), false).unwrap();
    let sha1 = |der: &[u8]| hex::encode(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, der));
    let sha256 = |der: &[u8]| hex::encode(digest::digest(&SHA256, der));
    assert!(read.is_issued_by(&sha1(&real)) && read.is_issued_by(&sha256(&real)));
    assert!(
        !read.is_issued_by(&sha256(&same_name)),
        "sent along by anybody"
    );
    assert!(!read.is_issued_by(&sha256(&leaf)), "not by itself");
    let alone = parse(&leaf, true).unwrap();
    assert!(!alone.is_issued_by(&sha256(&real)), "nobody has sent it");
}
