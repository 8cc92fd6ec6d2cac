//! Whose count a limit takes: the value of a key, or the subscription within the limit's scope.

use super::compile::{Compiler, InvalidPolicy};
use super::expression::Computed;
use super::scope::Scope;
use crate::counter::Key;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// What a limit counts by.
#[derive(Debug)]
pub(super) enum Subject {
    /// The value of an expression; one count per value across all scopes.
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
        compiler.computed(field, source).map(Self::Key)
    }

    pub(super) fn subscription(compiler: &Compiler<'_>) -> Self {
        Self::Subscription(compiler.scope)
    }

    /// The subscription, whatever it opens on this Gateway.
    pub(super) fn of_gateway() -> Self {
        Self::Subscription(Scope::Gateway)
    }

    /// The key of the count; `None` when there is no subscription, so that nothing is counted.
    pub(super) fn of(&self, exchange: &mut Exchange) -> Result<Option<Key>, Refusal> {
        let scope = match self {
            Self::Key(expression) => {
                let value = expression.text(exchange)?;
                return Ok(Some(Key::new(&["key", &value])));
            }
            Self::Subscription(scope) => *scope,
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
        Ok(Some(Key::new(&[
            "subscription",
            scope.as_str(),
            namespace,
            name,
            &subscription.namespace,
            &subscription.name,
        ])))
    }
}
