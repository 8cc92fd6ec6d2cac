//! What the planner asks of every policy. A policy answers in one place, the implementation of [`Check`]
//! for its data; a policy without one does not compile.

use tidegate_config::policy::{Policy, Section, Step};
use tidegate_config::{SecretDataId, match_policy};

use crate::problem::Problem;
use crate::references::References;

/// When a policy may decide who is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Never,
    /// Not in onError: a handshake that gets there has been refused.
    BeforeRefusal,
    Always,
}

/// The data of a policy, as the planner checks it.
pub(super) trait Check {
    /// When it may decide who is admitted. If such a step is broken, nobody is.
    const ACCESS: Access;

    /// What is wrong that neither the schema nor the expressions can tell. Default: nothing.
    fn check(&self, _step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        Vec::new()
    }

    /// The secret data that it refers to, in an object of `namespace`. Default: none.
    fn secret_data(&self, _namespace: &str) -> Vec<SecretDataId> {
        Vec::new()
    }
}

/// Where a policy is checked.
pub(super) struct StepContext<'s, 'w> {
    /// Namespace of the object that it is in.
    pub(super) namespace: &'s str,
    /// Path of the policy in its object.
    pub(super) path: &'s str,
    pub(super) references: &'s mut References<'w>,
}

/// What is wrong with a step at `path`, besides its expressions.
pub(super) fn check_step(
    namespace: &str,
    step: &dyn Step,
    path: &str,
    references: &mut References<'_>,
) -> Vec<Problem> {
    let Some(policy) = step.policy() else {
        // The author may have meant a check: nobody knows which.
        let problem = Problem::invalid("a step must name exactly one policy").at(path);
        return vec![problem.concerning_access(true)];
    };
    let path = format!("{path}.{}", policy.name());
    let mut step = StepContext {
        namespace,
        path: &path,
        references,
    };
    match_policy!(policy, policy => policy.check(&mut step), base => Vec::new())
}

/// Whether this step may decide who is admitted.
pub(super) fn decides_access(section: Section, step: &dyn Step) -> bool {
    let mut policies = step.policies().into_iter();
    policies.any(|policy| match access(policy) {
        Access::Never => false,
        Access::BeforeRefusal => section != Section::OnError,
        Access::Always => true,
    })
}

fn access(policy: Policy<'_>) -> Access {
    fn of<P: Check>(_: &P) -> Access {
        P::ACCESS
    }
    match_policy!(policy, policy => of(policy), base => Access::Never)
}

/// The secret data that a policy refers to, in an object of `namespace`.
pub(crate) fn secret_data(namespace: &str, policy: Policy<'_>) -> Vec<SecretDataId> {
    match_policy!(policy, policy => policy.secret_data(namespace), base => Vec::new())
}
