//! limitConnections: limits live tunnels for each value of a key.
//!
//! The permit is reserved here, before the backend is dialled. The exchange holds it until the handshake fails;
//! otherwise the tunnel holds it until it ends.

use http::HeaderValue;
use http::header::RETRY_AFTER;
use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Later};
use super::compile::{Compiler, InvalidPolicy};
use super::subject::Subject;
use crate::exchange::Exchange;
use crate::refusal::{Origin, Reason, Refusal};

/// Tunnels live long: a permit is not released within a second.
const RETRY_WHEN_FULL: HeaderValue = HeaderValue::from_static("5");

/// The policy, compiled.
#[derive(Debug)]
struct LimitConnections {
    subject: Subject,
    max: u32,
}

impl LimitConnections {
    fn compile(
        policy: &policy::LimitConnections,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let subject = match &policy.key {
            Some(source) => Subject::key("limitConnections.key", source, compiler)?,
            None => Subject::whole_subscription(compiler),
        };
        Ok(Self {
            subject,
            max: policy.max,
        })
    }

    fn full(&self) -> Refusal {
        let of = self.subject.name();
        let message = format!("Too many connections for this {of}");
        Refusal::new(429, Reason::ConnectionLimit, Origin::Policy, message)
            .header(RETRY_AFTER, RETRY_WHEN_FULL)
    }
}

impl Compile for policy::LimitConnections {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        LimitConnections::compile(self, compiler).map(Action::later)
    }
}

impl Later for LimitConnections {
    async fn run(&self, exchange: &mut Exchange, services: &Services) -> Result<(), Refusal> {
        let Some(key) = self.subject.of(exchange)? else {
            return Ok(());
        };
        let taken = match exchange.evaluation.is_dry_run() {
            true => services.would_reserve(exchange, key, self.max).await?,
            false => services.reserve_tunnel(exchange, key, self.max).await?,
        };
        taken.then_some(()).ok_or_else(|| self.full())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_config::SecretData;

    use crate::policy::tests::{exchange, pipeline, refused, services};
    use crate::refusal::{Origin, Reason};

    #[tokio::test]
    async fn a_place_is_taken_once_and_free_when_the_handshake_ends() {
        let services = services();
        let steps = json!({"inbound": [
            {"limitConnections": {"key": "client.ip", "max": 2}},
            {"limitConnections": {"key": "client.ip", "max": 1}},
        ]});
        let pipeline = pipeline(steps, &SecretData::default(), &services);
        for _ in 0..3 {
            let mut first = exchange(&[]);
            pipeline.inbound(&mut first, &services).await.unwrap();
            let mut second = exchange(&[]);
            let refusal = refused(pipeline.inbound(&mut second, &services).await);
            assert_eq!(
                (refusal.status, refusal.reason, refusal.origin),
                (429, Reason::ConnectionLimit, Origin::Policy)
            );
            assert_eq!(refusal.message, "Too many connections for this key");
            assert_eq!(refusal.headers[0].1, "5");
        }
    }

    #[tokio::test]
    async fn without_a_key_only_subscriptions_are_limited() {
        let services = services();
        let steps = json!({"inbound": [{"limitConnections": {"max": 1}}]});
        let pipeline = pipeline(steps, &SecretData::default(), &services);
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut anonymous = exchange(&[]);
            anonymous.subscription = None;
            pipeline.inbound(&mut anonymous, &services).await.unwrap();
            held.push(anonymous);
        }
    }
}
