//! Steps: the types that the table of policies makes, one for each section and one for fragments.

use serde_json::{Value, json};

use super::{FragmentStep, IncludeFragment, Policy};
use crate::{Expression, ExpressionKind};

/// What all step types have in common.
pub trait Step {
    /// Name of the step, which is reported when it fails.
    fn id(&self) -> Option<&str>;
    /// CEL condition under which the step runs.
    fn when(&self) -> Option<&str>;
    /// All policies that it names; the schema makes sure that it is one.
    fn policies(&self) -> Vec<Policy<'_>>;

    /// Its only policy; `None` if it names none or several, which the schema refuses.
    fn policy(&self) -> Option<Policy<'_>> {
        match self.policies()[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The fragment that it includes, if it is such a step.
    fn include(&self) -> Option<&IncludeFragment> {
        match self.policy() {
            Some(Policy::IncludeFragment(include)) => Some(include),
            _ => None,
        }
    }

    /// All expressions of the step, its condition first.
    fn expressions(&self) -> Vec<Expression<'_>> {
        let condition = self
            .when()
            .map(|text| Expression::new("when", ExpressionKind::Condition, text));
        let policies = self.policies();
        let of_policies = policies.into_iter().flat_map(Policy::expressions);
        condition.into_iter().chain(of_policies).collect()
    }
}

/// A step of a section, into which steps of fragments are put.
pub trait SectionStep: Step + Clone {
    /// The same step in this section.
    ///
    /// # Errors
    ///
    /// The name of its policy, if the section does not support it.
    fn of_fragment(step: &FragmentStep) -> Result<Self, &'static str>;
    /// The fragment that it includes, if it is such a step.
    fn include_mut(&mut self) -> Option<&mut IncludeFragment>;
    /// Gives the step a name.
    fn set_id(&mut self, id: String);
}

/// The CEL rule that a step has one of these keys.
pub(super) fn exactly_one(keys: &[&str]) -> Value {
    let count: Vec<_> = keys
        .iter()
        .map(|key| format!("(has(self.{key}) ? 1 : 0)"))
        .collect();
    json!([{
        "rule": format!("{} == 1", count.join(" + ")),
        "message": format!("a step must name exactly one policy of: {}", keys.join(", ")),
    }])
}

/// Makes everything that follows from the table of policies: the enum [`Policy`] with the names, the step
/// type of each section and of fragments, and for other crates `match_policy!` and `policy_modules!`. A
/// row is a type of this module, its field, its key in resources, and the sections that support it, in
/// the order of their run. The first token is a dollar sign, which a macro cannot write into a macro that
/// it makes.
macro_rules! policies {
    ($dollar:tt $($(#[$doc:meta])+ $policy:ident $field:ident $key:literal $sections:tt;)+) => {
        /// What a step does: one of all policies.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Policy<'a> {
            /// Runs the wider scope's steps.
            Base,
            $($(#[$doc])+ $policy(&'a $policy),)+
        }

        impl<'a> Policy<'a> {
            /// Its key in resources, which is also its name in metrics and logs.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::Base => "base",
                    $(Self::$policy(_) => $key,)+
                }
            }

            /// Its expressions, each with the path of its field below the step.
            pub fn expressions(self) -> Vec<Expression<'a>> {
                match self {
                    Self::Base => Vec::new(),
                    $(Self::$policy(policy) => policy.expressions(),)+
                }
            }
        }

        /// Evaluates an expression with a name for the data of a policy, whichever it is:
        /// `match_policy!(policy, data => …, base => …)`. The expression is compiled for each type, so
        /// it can call a trait that all of them implement.
        #[macro_export]
        macro_rules! match_policy {
            ($dollar policy:expr, $dollar data:ident => $dollar body:expr, base => $dollar base:expr) => {
                match $dollar policy {
                    $crate::policy::Policy::Base => $dollar base,
                    $($crate::policy::Policy::$policy($dollar data) => $dollar body,)+
                }
            };
        }

        /// Declares a module for each policy, named as its field: `mod set_header;` and so on. A crate
        /// that treats each policy in a file of its own needs no list of them.
        #[macro_export]
        macro_rules! policy_modules {
            () => {
                $(mod $field;)+
            };
        }

        step_type! {
            { /** A step before the backend's handshake. */ InboundStep @base } inbound []
            $({{$(#[$doc])+ $policy $field $key} $sections})+
        }
        step_type! {
            { /** A step after the backend's answer. */ OutboundStep @base } outbound []
            $({{$(#[$doc])+ $policy $field $key} $sections})+
        }
        step_type! {
            { /** A step after a handshake was refused. */ ErrorStep @base } on_error []
            $({{$(#[$doc])+ $policy $field $key} $sections})+
        }
        step_type! {
            { /** A step of a PolicyFragment. The section that includes it must support its policy. */ FragmentStep }
            any []
            $({{$(#[$doc])+ $policy $field $key} $sections})+
        }
    };
}

/// Makes the step type of a section: takes the rows that the section supports one by one, then has one
/// optional field for each of them, and `base` where wider scopes run in it.
macro_rules! step_type {
    ($type:tt inbound [$($taken:tt)*] {$row:tt [inbound $(outbound)? $(on_error)?]} $($rest:tt)*) => {
        step_type! { $type inbound [$($taken)* $row] $($rest)* }
    };
    ($type:tt outbound [$($taken:tt)*] {$row:tt [$(inbound)? outbound $(on_error)?]} $($rest:tt)*) => {
        step_type! { $type outbound [$($taken)* $row] $($rest)* }
    };
    ($type:tt on_error [$($taken:tt)*] {$row:tt [$(inbound)? $(outbound)? on_error]} $($rest:tt)*) => {
        step_type! { $type on_error [$($taken)* $row] $($rest)* }
    };
    ($type:tt any [$($taken:tt)*] {$row:tt $sections:tt} $($rest:tt)*) => {
        step_type! { $type any [$($taken)* $row] $($rest)* }
    };
    ($type:tt $section:ident [$($taken:tt)*] {$row:tt $sections:tt} $($rest:tt)*) => {
        step_type! { $type $section [$($taken)*] $($rest)* }
    };
    (
        { $(#[$doc:meta])+ $name:ident $(@ $base:ident)? } $section:ident
        [$({ $(#[$field_doc:meta])+ $policy:ident $field:ident $key:literal })+]
    ) => {
        $(#[$doc])+
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[schemars(extend("x-kubernetes-validations" = step::exactly_one(&[$(stringify!($base),)? $($key),+])))]
        pub struct $name {
            /// Name of the step in errors, traces and metrics. Default: its section and position.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = 63))]
            pub id: Option<String>,
            /// CEL condition (bool) under which the step runs. Default: it always runs.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = 4096))]
            pub when: Option<String>,
            $(
                /// Runs the wider scope's steps of the same section at this place. Without such a step
                /// they run first (inbound) or last (outbound, onError).
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $base: Option<Base>,
            )?
            $(
                $(#[$field_doc])+
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$policy>,
            )+
        }

        impl Step for $name {
            fn id(&self) -> Option<&str> {
                self.id.as_deref()
            }

            fn when(&self) -> Option<&str> {
                self.when.as_deref()
            }

            fn policies(&self) -> Vec<Policy<'_>> {
                let all = [
                    $(self.$base.map(|_| Policy::Base),)?
                    $(self.$field.as_ref().map(Policy::$policy)),+
                ];
                all.into_iter().flatten().collect()
            }
        }

        impl SectionStep for $name {
            fn of_fragment(step: &FragmentStep) -> Result<Self, &'static str> {
                let taken = Self {
                    id: step.id.clone(),
                    when: step.when.clone(),
                    $($base: None,)?
                    $($field: step.$field.clone(),)+
                };
                let is_missing = |name: &&str| taken.policies().iter().all(|taken| taken.name() != *name);
                match step.policies().iter().map(|policy| policy.name()).find(is_missing) {
                    Some(missing) => Err(missing),
                    None => Ok(taken),
                }
            }

            fn include_mut(&mut self) -> Option<&mut IncludeFragment> {
                self.include_fragment.as_mut()
            }

            fn set_id(&mut self, id: String) {
                self.id = Some(id);
            }
        }
    };
}
