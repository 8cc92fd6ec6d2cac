//! Client certificates.

use serde_json::{Value, json};

use super::super::field::Element;
use super::{Result, no, object, policy};

/// Attributes of an identity, and their fields in Tidegate.
const NAMES: [(&str, &str); 7] = [
    ("thumbprint", "thumbprint"),
    ("serial-number", "serialNumber"),
    ("common-name", "commonName"),
    ("subject", "subject"),
    ("dns-name", "dnsName"),
    ("issuer-subject", "issuerSubject"),
    ("issuer-thumbprint", "issuerThumbprint"),
];

/// Client certificates are checked in the same way, except for revocation, which API Management checks by
/// default.
pub(super) fn validate_client_certificate(node: Element<'_, '_>) -> Result<Value> {
    let attributes = [
        "validate-revocation",
        "validate-trust",
        "validate-not-before",
        "validate-not-after",
        "ignore-error",
    ];
    node.known(&attributes)?;
    if node.flag("validate-revocation")? != Some(false) {
        return no("revocation is not checked here: set validate-revocation=\"false\"");
    }
    if node.flag("ignore-error")? == Some(true) {
        return no("ignore-error is not translated");
    }
    let mut identities = Vec::new();
    for list in node.elements(&["identities"])? {
        list.known(&[])?;
        for identity in list.elements(&["identity"])? {
            identity.known(&NAMES.map(|(there, _)| there))?;
            let mut fields = Vec::new();
            for (there, here) in NAMES {
                fields.push((here, identity.plain(there)?.map(Value::String)));
            }
            identities.push(object(fields));
        }
    }
    let check = |name| Ok(node.flag(name)?.map(Value::Bool));
    Ok(policy(
        "validateClientCertificate",
        [
            (
                "identities",
                (!identities.is_empty()).then(|| json!(identities)),
            ),
            ("trust", check("validate-trust")?),
            ("notBefore", check("validate-not-before")?),
            ("notAfter", check("validate-not-after")?),
        ],
    ))
}
