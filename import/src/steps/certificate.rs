//! Client certificates.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::field::{elements, flag, known, optional};
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
pub(super) fn validate_client_certificate(node: Node<'_, '_>) -> Result<Value> {
    let attributes = [
        "validate-revocation",
        "validate-trust",
        "validate-not-before",
        "validate-not-after",
        "ignore-error",
    ];
    known(node, &attributes)?;
    if flag(node, "validate-revocation")? != Some(false) {
        return no("revocation is not checked here: set validate-revocation=\"false\"");
    }
    if flag(node, "ignore-error")? == Some(true) {
        return no("ignore-error is not translated");
    }
    let mut identities = Vec::new();
    for list in elements(node, &["identities"])? {
        known(list, &[])?;
        for identity in elements(list, &["identity"])? {
            known(identity, &NAMES.map(|(there, _)| there))?;
            let field = |(there, here)| (here, optional(identity, there).map(Value::String));
            identities.push(object(NAMES.map(field)));
        }
    }
    let check = |name| Ok(flag(node, name)?.map(Value::Bool));
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
