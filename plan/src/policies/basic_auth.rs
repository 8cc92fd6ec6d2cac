//! basicAuth: can its users be read?

use tidegate_api::Reason;
use tidegate_config::policy::BasicAuth;
use tidegate_config::{SecretDataId, htpasswd};

use super::check::{Access, Check, StepContext};
use crate::problem::Problem;
use crate::references::References;

impl Check for BasicAuth {
    const ACCESS: Access = Access::Always;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let problem = users(step.namespace, self, step.references).err();
        let at = |problem: Problem| problem.at(&format!("{}.usersSecretRef", step.path));
        problem.into_iter().map(at).collect()
    }

    fn secret_data(&self, namespace: &str) -> Vec<SecretDataId> {
        vec![SecretDataId::of_secret_ref(
            namespace,
            &self.users_secret_ref,
        )]
    }
}

fn users(
    namespace: &str,
    policy: &BasicAuth,
    references: &mut References<'_>,
) -> Result<(), Problem> {
    let reference = &policy.users_secret_ref;
    let bytes = references.secret_ref(namespace, reference)?;
    let (name, key) = (&reference.name, &reference.key);
    let invalid = |problem: String| {
        let text = format!("key \"{key}\" of Secret {namespace}/{name}: {problem}");
        Problem::unresolved(Reason::InvalidMaterial, text)
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid("it is not UTF-8 text".into()))?;
    htpasswd::parse(text).map_err(|error| invalid(error.to_string()))?;
    references.keep(SecretDataId::of_secret_ref(namespace, reference), &bytes);
    Ok(())
}
