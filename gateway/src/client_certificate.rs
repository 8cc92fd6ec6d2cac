//! A client's certificate as policies see it. Nothing here decides whether it is to be trusted.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use serde_json::{Value as Json, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The client's certificate can not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's certificate can not be read")]
pub(crate) struct Unreadable;

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
}

impl ClientCertificate {
    /// Reads it; `trusted` is the verdict of whoever checked its chain.
    pub(crate) fn parse(der: &CertificateDer<'_>, trusted: bool) -> Result<Self, Unreadable> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Unreadable)?;
        if !rest.is_empty() {
            return Err(Unreadable);
        }
        let time = |seconds| Timestamp::from_second(seconds).map_err(|_| Unreadable);
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
        })
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
                // Writing to a String can not fail.
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

fn dns_names(certificate: &X509Certificate<'_>) -> Result<Vec<String>, Unreadable> {
    let names = certificate.subject_alternative_name();
    let Some(names) = names.map_err(|_| Unreadable)? else {
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
