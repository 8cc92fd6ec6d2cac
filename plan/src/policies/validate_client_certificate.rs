//! validateClientCertificate: can its identities fit any certificate?

use tidegate_config::policy::{
    CertificateIdentity, ValidateClientCertificate, hex_digits, thumbprint_digits,
};

use super::check::{Access, Check, StepContext};
use crate::problem::Problem;

type Read = fn(&str) -> Option<String>;

impl Check for ValidateClientCertificate {
    const ACCESS: Access = Access::Always;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let path = step.path;
        let identities = self.identities.iter().enumerate();
        identities
            .flat_map(|(i, identity)| of_identity(identity, &format!("{path}.identities[{i}]")))
            .collect()
    }
}

fn of_identity(identity: &CertificateIdentity, path: &str) -> Vec<Problem> {
    if identity.is_empty() {
        let text = "an identity must name at least one property of the certificate";
        return vec![Problem::invalid(text).at(path)];
    }
    let thumbprint = "is not a thumbprint of 40 (SHA-1) or 64 (SHA-256) hexadecimal digits";
    let number = "is not a hexadecimal number";
    let wrong = |field: &str, text: &Option<String>, read: Read, problem: &str| {
        let text = text.as_ref().filter(|text| read(text).is_none())?;
        Some(Problem::invalid(format!("\"{text}\" {problem}")).at(&format!("{path}.{field}")))
    };
    let (own, issuer) = (&identity.thumbprint, &identity.issuer_thumbprint);
    let problems = [
        wrong("thumbprint", own, thumbprint_digits, thumbprint),
        wrong("issuerThumbprint", issuer, thumbprint_digits, thumbprint),
        wrong("serialNumber", &identity.serial_number, hex_digits, number),
    ];
    problems.into_iter().flatten().collect()
}
