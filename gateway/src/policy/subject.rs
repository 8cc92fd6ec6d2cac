//! What a limit counts by: the value of a key, or the subscription within the limit's scope.
//!
//! The author of a policy chooses its keys, so a key belongs to the space of the policy's owner: the Gateway, or
//! the namespace of the Product or API. No owner counts in another one's space.

use super::compile::{Compiler, InvalidPolicy};
use super::expression::Computed;
use super::scope::Scope;
use crate::counters::counter::{Key, Space};
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// What a limit counts by.
#[derive(Debug)]
pub(super) struct Subject {
    space: Space,
    by: CountedBy,
}

#[derive(Debug)]
enum CountedBy {
    /// The value of an expression; one count per value for all that share the space.
    Key(Computed),
    /// The subscription: in a Product for all its APIs, in an API for that one.
    Subscription(Scope),
}

impl Subject {
    pub(super) fn key(
        field: &str,
        source: &str,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            space: space(compiler),
            by: CountedBy::Key(compiler.computed(field, source)?),
        })
    }

    pub(super) fn subscription(compiler: &Compiler<'_>) -> Self {
        Self {
            space: space(compiler),
            by: CountedBy::Subscription(compiler.scope),
        }
    }

    /// The subscription, whatever it opens that shares the space.
    pub(super) fn whole_subscription(compiler: &Compiler<'_>) -> Self {
        Self {
            space: space(compiler),
            by: CountedBy::Subscription(Scope::Gateway),
        }
    }

    /// What a client is told that there is too much of.
    pub(super) fn name(&self) -> &'static str {
        match self.by {
            CountedBy::Key(_) => "key",
            CountedBy::Subscription(_) => "subscription",
        }
    }

    /// The key of the count; `None` when there is no subscription, so that nothing is counted.
    pub(super) fn of(&self, exchange: &mut Exchange) -> Result<Option<Key>, Refusal> {
        let scope = match &self.by {
            CountedBy::Key(expression) => {
                let value = expression.text(exchange)?;
                return Ok(Some(Key::new(self.space, &["key", &value])));
            }
            CountedBy::Subscription(scope) => *scope,
        };
        let Some(subscription) = &exchange.subscription else {
            return Ok(None);
        };
        let owner = match scope {
            Scope::Gateway => None,
            Scope::Product => exchange.product.as_ref().map(|product| &product.key),
            Scope::Api => Some(&exchange.api.key),
        };
        let (namespace, name) = owner.map_or(("", ""), |owner| (&*owner.namespace, &*owner.name));
        let subscription = &subscription.key;
        let parts = [
            "subscription",
            scope.as_str(),
            namespace,
            name,
            &subscription.namespace,
            &subscription.name,
        ];
        Ok(Some(Key::new(self.space, &parts)))
    }
}

fn space(compiler: &Compiler<'_>) -> Space {
    let namespace = compiler.context.namespace;
    match compiler.scope {
        Scope::Gateway => Space::of_gateway(namespace),
        Scope::Product | Scope::Api => Space::of_namespace(namespace),
    }
}
