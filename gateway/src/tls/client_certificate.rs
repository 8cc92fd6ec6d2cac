//! A client's certificate as policies see it. Nothing here decides whether it is to be trusted.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use jiff::Timestamp;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::{Value as Json, json};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The client's certificate cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's certificate cannot be read")]
pub(crate) struct UnreadableCertificate;

/// What a client showed, and held the private key of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// As in RFC 4514, the most specific part first, but with a space behind each comma.
    subject: String,
    issuer: String,
    /// Hexadecimal in upper case, without leading zeros.
    serial_number: String,
    /// SHA-1 of the whole certificate, hexadecimal in upper case.
    thumbprint: String,
    /// SHA-256 of the whole certificate, hexadecimal in lower case.
    sha256: String,
    common_name: Option<String>,
    /// In lower case.
    dns_names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    /// Do the listener's `clientCaRef` authorities vouch for it, now?
    trusted: bool,
    /// The certificate itself, with those that may have issued it.
    chain: Vec<CertificateDer<'static>>,
}

impl ClientCertificate {
    /// Parses a certificate. `trusted`: its chain was checked successfully; `issuers`: certificates
    /// that may have issued it.
    ///
    /// # Errors
    /// [`UnreadableCertificate`]: it is not an X.509 certificate that can be read.
    pub(crate) fn parse<'i>(
        der: &'i CertificateDer<'i>,
        issuers: impl Iterator<Item = &'i CertificateDer<'i>>,
        trusted: bool,
    ) -> Result<Self, UnreadableCertificate> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| UnreadableCertificate)?;
        if !rest.is_empty() {
            return Err(UnreadableCertificate);
        }
        let time = |seconds| Timestamp::from_second(seconds).map_err(|_| UnreadableCertificate);
        let validity = certificate.validity();
        let serial = hex::encode_upper(certificate.raw_serial());
        let sha1 = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, der);
        Ok(Self {
            subject: name_text(certificate.subject()),
            issuer: name_text(certificate.issuer()),
            serial_number: serial.trim_start_matches('0').to_owned(),
            thumbprint: hex::encode_upper(sha1),
            sha256: hex::encode(digest::digest(&SHA256, der)),
            common_name: common_name(certificate.subject()),
            dns_names: dns_names(&certificate)?,
            not_before: time(validity.not_before.timestamp())?,
            not_after: time(validity.not_after.timestamp())?,
            trusted,
            chain: std::iter::once(der)
                .chain(issuers)
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
        })
    }

    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// SHA-1, hexadecimal in upper case.
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    pub(crate) fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    pub(crate) fn not_before(&self) -> Timestamp {
        self.not_before
    }

    pub(crate) fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Did the listener's authorities vouch for it when it was shown?
    pub(crate) fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Is this its SHA-1 or SHA-256, in lower case?
    pub(crate) fn has_thumbprint(&self, digits: &str) -> bool {
        self.sha256 == digits || self.thumbprint.eq_ignore_ascii_case(digits)
    }

    /// `serial` as [`comparable_serial`] gives it.
    pub(crate) fn has_serial(&self, serial: &str) -> bool {
        self.serial_number.eq_ignore_ascii_case(serial)
    }

    /// `name` in lower case.
    pub(crate) fn has_dns_name(&self, name: &str) -> bool {
        self.dns_names.iter().any(|own| own == name)
    }

    /// Did the certificate with this SHA-1 or SHA-256, in lower case, sign it? A name alone proves
    /// nothing: a client can send any certificate along.
    pub(crate) fn is_issued_by(&self, digits: &str) -> bool {
        let Some((leaf, issuers)) = self.chain.split_first() else {
            return false;
        };
        let named = |der: &&CertificateDer<'_>| {
            let sha1 = || hex::encode(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, der));
            hex::encode(digest::digest(&SHA256, der)) == digits || sha1() == digits
        };
        issuers.iter().filter(named).any(|by| self.signed(by, leaf))
    }

    /// Whether it may be trusted is not asked here, so its dates do not matter: it is looked at in
    /// a moment in which it is valid.
    fn signed(&self, issuer: &CertificateDer<'_>, leaf: &CertificateDer<'_>) -> bool {
        let (Ok(anchor), Ok(leaf), Ok(moment)) = (
            anchor_from_trusted_cert(issuer),
            EndEntityCert::try_from(leaf),
            self.not_before.as_second().try_into(),
        ) else {
            return false;
        };
        let moment = UnixTime::since_unix_epoch(std::time::Duration::from_secs(moment));
        let algorithms = default_provider().signature_verification_algorithms.all;
        let usage = KeyUsage::client_auth();
        let anchors = [anchor];
        let path = leaf.verify_for_usage(algorithms, &anchors, &[], moment, usage, None, None);
        path.is_ok()
    }

    /// `client.certificate` of the expressions.
    pub(crate) fn fields(&self) -> Json {
        json!({
            "subject": self.subject,
            "issuer": self.issuer,
            "serialNumber": self.serial_number,
            "thumbprint": self.thumbprint,
            "sha256": self.sha256,
            "commonName": self.common_name,
            "dnsNames": self.dns_names,
            "notBefore": self.not_before.to_string(),
            "notAfter": self.not_after.to_string(),
            "trusted": self.trusted,
        })
    }
}

/// A serial number without leading zeros.
pub(crate) fn comparable_serial(digits: &str) -> String {
    digits.trim_start_matches('0').to_owned()
}

/// A distinguished name without the spaces that people put behind commas.
pub(crate) fn comparable_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let (mut escaped, mut behind_comma) = (false, true);
    for c in name.chars() {
        if c == ' ' && behind_comma {
            continue;
        }
        behind_comma = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        out.push(c);
    }
    out
}

/// Certificates list the most specific part last; people write it first (RFC 4514 §2.1).
fn name_text(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let part = |attributes: Vec<String>| attributes.join("+");
    let texts: Vec<_> = parts
        .iter()
        .rev()
        .map(|rdn| part(rdn.iter().map(attribute_text).collect()))
        .collect();
    texts.join(", ")
}

fn attribute_text(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type();
    let mut text = match oid2abbrev(kind, oid_registry()) {
        Ok(short) => short.to_owned(),
        Err(_) => kind.to_id_string(),
    };
    text.push('=');
    match attribute.as_str() {
        Ok(value) => escape(value, &mut text),
        // An old string type: what it holds, so that nothing can be mistaken for it.
        Err(_) => {
            text.push('#');
            text.push_str(&hex::encode(attribute.as_slice()));
        }
    }
    text
}

/// RFC 4514 §2.4. Without it a name in quotes could pretend to be two.
fn escape(value: &str, out: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (i, c) in value.chars().enumerate() {
        let special = match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => true,
            '#' => i == 0,
            ' ' => i == 0 || i == last,
            _ => false,
        };
        if c.is_control() {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\{byte:02X}");
            }
        } else {
            if special {
                out.push('\\');
            }
            out.push(c);
        }
    }
}

/// Of several the most specific one.
fn common_name(subject: &X509Name<'_>) -> Option<String> {
    let last = subject.iter_common_name().last()?;
    last.as_str().ok().map(str::to_owned)
}

fn dns_names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, UnreadableCertificate> {
    let names = certificate.subject_alternative_name();
    let Some(names) = names.map_err(|_| UnreadableCertificate)? else {
        return Ok(Vec::new());
    };
    let dns = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
    Ok(dns.collect())
}
