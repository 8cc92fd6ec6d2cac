//! Cases whose objects must not be taken: looked at as `tidegate validate` does, without a gateway.

use super::case::Case;
use super::manifests::{Target, certificates, gateway, of_case};
use crate::validate::{ValidateArgs, validate};

/// Differences; empty when a finding has the text.
pub(super) fn differences(case: &Case, wanted: &str) -> Vec<String> {
    match findings(case) {
        Ok(found) if found.iter().any(|line| line.contains(wanted)) => Vec::new(),
        Ok(found) => vec![format!(
            "{wanted:?} is wanted in the findings, not {found:?}"
        )],
        Err(error) => vec![format!("{error:#}")],
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
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("case.yaml");
    std::fs::write(&file, super::yaml(&objects)?)?;
    let found = validate(&ValidateArgs { paths: vec![file] })?;
    Ok(found.iter().map(ToString::to_string).collect())
}
