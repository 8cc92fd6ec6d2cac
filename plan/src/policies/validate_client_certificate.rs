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
    let fields: [(_, _, Read, _); 3] = [
        (
            "thumbprint",
            &identity.thumbprint,
            thumbprint_digits,
            thumbprint,
        ),
        (
            "issuerThumbprint",
            &identity.issuer_thumbprint,
            thumbprint_digits,
            thumbprint,
        ),
        (
            "serialNumber",
            &identity.serial_number,
            hex_digits,
            "is not a hexadecimal number",
        ),
    ];
    let wrong = |(field, text, read, problem): (_, &Option<String>, Read, _)| {
        let text = text.as_ref().filter(|text| read(text).is_none())?;
        Some(Problem::invalid(format!("\"{text}\" {problem}")).at(&format!("{path}.{field}")))
    };
    fields.into_iter().filter_map(wrong).collect()
}
