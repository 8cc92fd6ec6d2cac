//! The policy validateClientCertificate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Requires a client certificate, optionally one of several.
///
/// The listener must ask for certificates: `tls.clientCertificates` of the Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidateClientCertificate {
    /// Who may pass: one of them suffices. None: everybody with a valid certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub identities: Vec<CertificateIdentity>,
    /// Must the certificate be valid already? Default: true.
    #[serde(default = "yes")]
    pub not_before: bool,
    /// Must it be valid still? Default: true.
    #[serde(default = "yes")]
    pub not_after: bool,
    /// Must the authorities of the listener's clientCaRef vouch for it? Default: true.
    #[serde(default = "yes")]
    pub trust: bool,
}

/// A certificate that may pass: everything given here must be so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.thumbprint) || has(self.serialNumber) || has(self.commonName) || has(self.subject) || has(self.dnsName) || has(self.issuerSubject) || has(self.issuerThumbprint)",
    "message": "an identity names at least one property of the certificate",
}]))]
pub struct CertificateIdentity {
    /// SHA-1 (40 digits) or SHA-256 (64 digits) of the certificate, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[0-9A-Fa-f: ]+$"))]
    pub thumbprint: Option<String>,
    /// Its serial number, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[0-9A-Fa-f: ]+$"))]
    pub serial_number: Option<String>,
    /// The most specific common name of its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub common_name: Option<String>,
    /// Its whole subject, as in RFC 4514: the most specific part first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub subject: Option<String>,
    /// One of the DNS names that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub dns_name: Option<String>,
    /// Subject of who issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub issuer_subject: Option<String>,
    /// SHA-1 or SHA-256 of the certificate of who issued it. The client must send that certificate,
    /// or clientCaRef hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[0-9A-Fa-f: ]+$"))]
    pub issuer_thumbprint: Option<String>,
}

impl CertificateIdentity {
    /// Does it name nothing at all? It would fit every certificate.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Hexadecimal digits as people write them, with colons and spaces or without, in lower case;
/// `None` when there is something else in between, or nothing.
pub fn hex_digits(text: &str) -> Option<String> {
    let digits = text.chars().filter(|c| !matches!(c, ':' | ' '));
    let digits: String = digits.map(|c| c.to_ascii_lowercase()).collect();
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then_some(digits)
}

/// The digits of a thumbprint: those of a SHA-1 or of a SHA-256.
pub fn thumbprint_digits(text: &str) -> Option<String> {
    hex_digits(text).filter(|digits| matches!(digits.len(), 40 | 64))
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_are_read_as_people_write_them() {
        let sha1 = "0123456789abcdef0123456789abcdef01234567";
        let colons = "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67";
        let spaces = "01 23 45 67 89 ab cd ef 01 23 45 67 89 ab cd ef 01 23 45 67";
        for text in [sha1, colons, spaces] {
            assert_eq!(thumbprint_digits(text).as_deref(), Some(sha1), "{text}");
        }
        assert_eq!(thumbprint_digits(&sha1[1..]), None, "too short");
        assert_eq!(
            thumbprint_digits(&"a".repeat(64)).map(|d| d.len()),
            Some(64)
        );
        assert_eq!(hex_digits("0x12"), None);
        assert_eq!(hex_digits(" : "), None);
    }
}
