//! The policy validateClientCertificate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;

/// Requires a client certificate, optionally one of several. Others get 403.
///
/// The listener must ask for certificates, see `tls.clientCertificates` of the Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidateClientCertificate {
    /// Certificates that are admitted; one of these must match. Default: any valid certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub identities: Vec<CertificateIdentity>,
    /// Whether the certificate must be valid already. Default: true.
    #[serde(default = "yes")]
    pub not_before: bool,
    /// Whether the certificate must not have expired. Default: true.
    #[serde(default = "yes")]
    pub not_after: bool,
    /// Whether the certificate must come from an authority of the listener's clientCaRef. Default:
    /// true.
    #[serde(default = "yes")]
    pub trust: bool,
}

/// A certificate that is admitted: it must have every property that is set here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.thumbprint) || has(self.serialNumber) || has(self.commonName) || has(self.subject) || has(self.dnsName) || has(self.issuerSubject) || has(self.issuerThumbprint)",
    "message": "an identity must name at least one property of the certificate",
}]))]
pub struct CertificateIdentity {
    /// Hexadecimal SHA-1 (40 digits) or SHA-256 (64 digits) of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[0-9A-Fa-f: ]+$"))]
    pub thumbprint: Option<String>,
    /// Serial number of the certificate, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[0-9A-Fa-f: ]+$"))]
    pub serial_number: Option<String>,
    /// Most specific common name of the certificate's subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub common_name: Option<String>,
    /// Whole subject of the certificate, as in RFC 4514: the most specific part first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub subject: Option<String>,
    /// One of the DNS names of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub dns_name: Option<String>,
    /// Whole subject of the certificate's issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub issuer_subject: Option<String>,
    /// Hexadecimal SHA-1 or SHA-256 of the issuer's certificate, which the client must send or
    /// clientCaRef must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[0-9A-Fa-f: ]+$"))]
    pub issuer_thumbprint: Option<String>,
}

impl HasExpressions for ValidateClientCertificate {}

impl CertificateIdentity {
    /// Whether it sets no property, and so would match every certificate.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Hexadecimal digits in lower case, from a text with or without colons and spaces. `None` if there
/// are no digits, or anything else.
pub fn hex_digits(text: &str) -> Option<String> {
    let digits = text.chars().filter(|c| !matches!(c, ':' | ' '));
    let digits: String = digits.map(|c| c.to_ascii_lowercase()).collect();
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then_some(digits)
}

/// Digits of a thumbprint, as with [`hex_digits`]: 40 for SHA-1 or 64 for SHA-256.
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
