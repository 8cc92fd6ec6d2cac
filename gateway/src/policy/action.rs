//! What a step does: a policy, compiled. Which policies there are, `tidegate_config::policy` lists; each has a
//! module here that implements [`Compile`] for its data, and [`Now`] or [`Later`] for what becomes of it.

use std::fmt::Debug;

use futures::future::BoxFuture;
use tidegate_config::match_policy;
use tidegate_config::policy::Policy;

use super::Services;
use super::compile::{Compiler, InvalidPolicy};
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The data of a policy, as configurations have it.
pub(super) trait Compile {
    /// Checks it whole and makes it ready to run.
    ///
    /// # Errors
    /// What is wrong with a field.
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy>;
}

/// A compiled policy that runs without waiting.
pub(super) trait Now: Debug + Send + Sync {
    /// Runs it. A refusal ends the section.
    fn run(&self, exchange: &mut Exchange, services: &Services) -> Result<(), Refusal>;
}

/// A compiled policy that may wait.
pub(super) trait Later: Debug + Send + Sync {
    /// Whether it asks others, who may take their time; it ends with the handshake's deadline then.
    /// Otherwise it waits a moment for this process.
    const ASKS: bool = false;

    /// Runs it. A refusal ends the section.
    fn run(
        &self,
        exchange: &mut Exchange,
        services: &Services,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// Any policy that may wait. Its future is boxed: every handshake would have room for the largest of them
/// otherwise, policies or not.
trait Start: Debug + Send + Sync {
    fn start<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        services: &'a Services,
    ) -> BoxFuture<'a, Result<(), Refusal>>;
}

impl<P: Later> Start for P {
    fn start<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        services: &'a Services,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(self.run(exchange, services))
    }
}

/// A policy, ready to run.
#[derive(Debug)]
pub(super) struct Action(Kind);

#[derive(Debug)]
enum Kind {
    Now(Box<dyn Now>),
    Later { policy: Box<dyn Start>, asks: bool },
}

impl Action {
    /// Compiles a policy; `None` for `base`, which is a place and not an action.
    pub(super) fn compile(
        policy: Policy<'_>,
        compiler: &Compiler<'_>,
    ) -> Result<Option<Self>, InvalidPolicy> {
        match_policy!(policy, policy => policy.compile(compiler).map(Some), base => Ok(None))
    }

    pub(super) fn now(policy: impl Now + 'static) -> Self {
        Self(Kind::Now(Box::new(policy)))
    }

    pub(super) fn later<P: Later + 'static>(policy: P) -> Self {
        Self(Kind::Later {
            policy: Box::new(policy),
            asks: P::ASKS,
        })
    }

    /// Whether it asks others, who may take their time.
    pub(super) fn asks(&self) -> bool {
        matches!(self.0, Kind::Later { asks: true, .. })
    }

    /// Runs it. A refusal ends the section.
    pub(super) async fn run(
        &self,
        exchange: &mut Exchange,
        services: &Services,
    ) -> Result<(), Refusal> {
        match &self.0 {
            Kind::Now(policy) => policy.run(exchange, services),
            Kind::Later { policy, .. } => policy.start(exchange, services).await,
        }
    }
}
