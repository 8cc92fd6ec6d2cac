//! validateClientCertificate: the client must have shown a certificate, and one that is allowed.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use tidegate_config::policy::{self, CertificateIdentity, hex_digits, thumbprint_digits};

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use crate::exchange::Exchange;
use crate::refusal::{Origin, Reason, Refusal};
use crate::tls::client_certificate::{ClientCertificate, comparable_name, comparable_serial};

/// The policy, compiled.
#[derive(Debug)]
struct ValidateClientCertificate {
    identities: Vec<Identity>,
    not_before: bool,
    not_after: bool,
    trust: bool,
}

/// What must be so, each where it is given; in the form in which certificates are compared.
#[derive(Debug)]
struct Identity {
    thumbprint: Option<String>,
    serial_number: Option<String>,
    common_name: Option<String>,
    subject: Option<String>,
    dns_name: Option<String>,
    issuer_subject: Option<String>,
    issuer_thumbprint: Option<String>,
}

impl ValidateClientCertificate {
    fn compile(
        policy: &policy::ValidateClientCertificate,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let identity = |(i, identity): (usize, &CertificateIdentity)| {
            let field = format!("validateClientCertificate.identities[{i}]");
            Identity::compile(identity, compiler, &field)
        };
        let identities = policy.identities.iter().enumerate().map(identity);
        Ok(Self {
            identities: identities.collect::<Result<_, _>>()?,
            not_before: policy.not_before,
            not_after: policy.not_after,
            trust: policy.trust,
        })
    }

    /// The dates first: a certificate out of its time is not trusted either, and that would hide why.
    fn judge(
        &self,
        certificate: &ClientCertificate,
        now: Timestamp,
    ) -> Result<(), (Reason, &'static str)> {
        let fits = |identity: &Identity| identity.fits(certificate);
        if self.not_before && now < certificate.not_before() {
            Err((Reason::ClientCertificateNotYetValid, "is not yet valid"))
        } else if self.not_after && now > certificate.not_after() {
            Err((Reason::ClientCertificateExpired, "is expired"))
        } else if self.trust && !certificate.is_trusted() {
            Err((Reason::ClientCertificateNotTrusted, "is not trusted"))
        } else if !self.identities.is_empty() && !self.identities.iter().any(fits) {
            Err((Reason::ClientCertificateNotAllowed, "is not allowed"))
        } else {
            Ok(())
        }
    }
}

impl Compile for policy::ValidateClientCertificate {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        ValidateClientCertificate::compile(self, compiler).map(Action::now)
    }
}

impl Now for ValidateClientCertificate {
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let Some(certificate) = exchange.client.certificate() else {
            return Err(refusal(Reason::ClientCertificateMissing, "is missing"));
        };
        let Err((reason, fact)) = self.judge(certificate, Timestamp::now()) else {
            return Ok(());
        };
        // Who it was is what its owner asks first; it is no secret.
        let detail = format!(
            "{}, thumbprint {}",
            certificate.subject(),
            certificate.thumbprint()
        );
        Err(refusal(reason, fact).detail(detail))
    }
}

impl Identity {
    fn compile(
        identity: &CertificateIdentity,
        compiler: &Compiler<'_>,
        field: &str,
    ) -> Result<Self, InvalidPolicy> {
        if identity.is_empty() {
            let problem = "an identity must name at least one property of the certificate";
            return Err(compiler.invalid(field, problem));
        }
        let read = |name: &str, text: &Option<String>, read: fn(&str) -> Option<String>| {
            let invalid = || compiler.invalid(&format!("{field}.{name}"), "is not hexadecimal");
            let text = text.as_deref();
            text.map(|text| read(text).ok_or_else(invalid)).transpose()
        };
        let thumbprint = |name, text| read(name, text, thumbprint_digits);
        let name = |text: &Option<String>| text.as_deref().map(comparable_name);
        let serial = read("serialNumber", &identity.serial_number, hex_digits)?;
        let dns_name = identity.dns_name.as_deref();
        Ok(Self {
            thumbprint: thumbprint("thumbprint", &identity.thumbprint)?,
            serial_number: serial.as_deref().map(comparable_serial),
            common_name: identity.common_name.clone(),
            subject: name(&identity.subject),
            dns_name: dns_name.map(str::to_ascii_lowercase),
            issuer_subject: name(&identity.issuer_subject),
            issuer_thumbprint: thumbprint("issuerThumbprint", &identity.issuer_thumbprint)?,
        })
    }

    /// The issuer's thumbprint last: it may cost a check of a signature.
    fn fits(&self, shown: &ClientCertificate) -> bool {
        let fits =
            |wanted: &Option<String>, is: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(is);
        fits(&self.thumbprint, &|digits| shown.has_thumbprint(digits))
            && fits(&self.serial_number, &|serial| shown.has_serial(serial))
            && fits(&self.common_name, &|name| shown.common_name() == Some(name))
            && fits(&self.subject, &|name| {
                comparable_name(shown.subject()) == name
            })
            && fits(&self.dns_name, &|name| shown.has_dns_name(name))
            && fits(&self.issuer_subject, &|name| {
                comparable_name(shown.issuer()) == name
            })
            && fits(&self.issuer_thumbprint, &|digits| {
                shown.is_issued_by(digits)
            })
    }
}

fn refusal(reason: Reason, fact: &str) -> Refusal {
    let message = format!("Client certificate {fact}. Access denied.");
    Refusal::new(403, reason, Origin::Policy, message)
}
