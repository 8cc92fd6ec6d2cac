//! Cases whose objects must be rejected. They are checked like `tidegate validate` does, without a gateway.

use std::path::Path;

use tidegate_config::error_chain;

use super::case::Case;
use super::manifests::{Target, certificates, gateway, of_case};
use crate::manifest::to_yaml;
use crate::validate::validate_text;

/// One line for each difference; empty if a finding contains the text.
pub(super) fn differences(case: &Case, wanted: &str) -> Vec<String> {
    match findings(case) {
        Ok(found) if found.iter().any(|line| line.contains(wanted)) => Vec::new(),
        Ok(found) => vec![format!(
            "expected {wanted:?} in the findings, got {found:?}"
        )],
        Err(error) => vec![error_chain(error.as_ref())],
    }
}

fn findings(case: &Case) -> anyhow::Result<Vec<String>> {
    let target = Target {
        gateway: "conformance".to_owned(),
        port: 8080,
        tls_port: 8443,
        managed: false,
    };
    let mut objects = certificates();
    objects.push(gateway(&[case], &target));
    objects.extend(of_case(case, &target));
    let found = validate_text(Path::new("case.yaml"), &to_yaml(&objects)?);
    Ok(found.iter().map(ToString::to_string).collect())
}
