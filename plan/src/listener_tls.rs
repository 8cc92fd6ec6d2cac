//! TLS of a listener: what it shows, and whom it trusts.

use tidegate_api::{Listener, ListenerTls};
use tidegate_config::{
    ClientAuthConfig, ClientCertificates, ListenerTlsConfig, SecretData, SecretDataId,
};

use crate::certificates::{key_pair, key_pair_ids, trust_anchor};
use crate::problem::Problem;
use crate::references::References;

/// Where references are looked up.
pub(crate) struct Tls<'a> {
    pub(crate) namespace: &'a str,
    /// What the Gateway had until now.
    pub(crate) secret_data: Option<&'a SecretData>,
}

impl Tls<'_> {
    /// `None`: there is none, or the listener cannot serve with what is left of it.
    pub(crate) fn check(
        &self,
        listener: &Listener,
        references: &mut References<'_>,
        problems: &mut Vec<Problem>,
    ) -> Option<ListenerTlsConfig> {
        let tls = listener.tls.as_ref()?;
        let certificates = self.certificates(tls, references, problems);
        let client_auth = self.client_auth(tls, references, problems);
        // Without its authorities a listener would let everybody in, so it lets in nobody.
        let client_auth = client_auth.ok()?;
        (!certificates.is_empty()).then_some(ListenerTlsConfig {
            certificates,
            min_version: tls.min_version,
            client_auth,
        })
    }

    /// One that cannot be used is left out, or stays what it was.
    fn certificates(
        &self,
        tls: &ListenerTls,
        references: &mut References<'_>,
        problems: &mut Vec<Problem>,
    ) -> Vec<(SecretDataId, SecretDataId)> {
        let mut certificates = Vec::new();
        for (i, reference) in tls.certificate_refs.iter().enumerate() {
            match key_pair(self.namespace, &reference.name, references) {
                Ok(ids) => certificates.push(ids),
                Err(problem) => {
                    problems.push(problem.at(&format!("tls.certificateRefs[{i}]")));
                    let ids = key_pair_ids(self.namespace, &reference.name);
                    if self.had(&ids.0) && self.had(&ids.1) {
                        certificates.push(ids);
                    }
                }
            }
        }
        certificates
    }

    /// Authorities that cannot be used stay what they were; `Err` when there were none.
    fn client_auth(
        &self,
        tls: &ListenerTls,
        references: &mut References<'_>,
        problems: &mut Vec<Problem>,
    ) -> Result<Option<ClientAuthConfig>, ()> {
        let mode = tls.client_certificates;
        if mode == ClientCertificates::Off {
            return Ok(None);
        }
        let Some(reference) = &tls.client_ca_ref else {
            let text = format!("must be set when clientCertificates is {mode:?}");
            problems.push(Problem::invalid(text).at("tls.clientCaRef"));
            return Err(());
        };
        match trust_anchor(self.namespace, reference, references) {
            Ok(ca) => Ok(Some(ClientAuthConfig { mode, ca })),
            Err(problem) => {
                problems.push(problem.at("tls.clientCaRef"));
                let ca = SecretDataId::of_trust_anchor(self.namespace, reference);
                let kept = self.had(&ca).then_some(ClientAuthConfig { mode, ca });
                kept.map(Some).ok_or(())
            }
        }
    }

    fn had(&self, id: &SecretDataId) -> bool {
        self.secret_data
            .is_some_and(|secret_data| secret_data.get(id).is_some())
    }
}
