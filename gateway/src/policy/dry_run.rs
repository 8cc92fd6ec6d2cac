//! Limits in a dry run (`tidegate explain`): they answer as for a client, but count and reserve nothing.

use std::time::Duration;

use super::Services;
use super::increment::Weight;
use crate::counters::counter::{self, Key, Limit};
use crate::counters::quota::{self, Allowance};
use crate::exchange::{DryRun, Exchange};
use crate::refusal::Refusal;
use tidegate_tunnel::session::LimitKey;

impl Services {
    /// What would remain of a rate limit.
    pub(super) async fn ask_rate(
        &self,
        exchange: &mut Exchange,
        (key, limit): (Key, Limit),
        weight: Weight,
    ) -> Result<Result<u32, counter::Exceeded>, Refusal> {
        let weight = certain(weight);
        let limit = Limit {
            calls: limit.calls.saturating_sub(beyond_one(weight)),
            ..limit
        };
        let call = counter::Call {
            key,
            limit,
            weight: 0,
            provisional: false,
            own: &[],
        };
        let answer = self.rate_answer(call).await?;
        note(exchange, |run| run.counted += usize::from(weight > 0));
        Ok(answer.map(|(remaining, _)| remaining.saturating_sub(weight.min(1))))
    }

    /// Would a quota let it pass?
    pub(super) async fn ask_quota(
        &self,
        exchange: &mut Exchange,
        (key, allowance): (Key, Allowance),
        weight: Weight,
    ) -> Result<Result<(), quota::Exceeded>, Refusal> {
        let weight = certain(weight);
        let calls = allowance.calls;
        let calls = calls.map(|calls| calls.saturating_sub(beyond_one(weight).into()));
        let call = quota::Call {
            key,
            allowance: Allowance { calls, ..allowance },
            weight: 0,
            provisional: false,
            own: &[],
        };
        // Nothing is kept, so nothing has to end by itself.
        let answer = self.quota_answer(call, Duration::ZERO).await?;
        note(exchange, |run| run.counted += usize::from(weight > 0));
        Ok(answer.map(|_| ()))
    }

    /// Is a tunnel permit available?
    pub(super) async fn would_reserve(
        &self,
        exchange: &mut Exchange,
        key: Key,
        max: u32,
    ) -> Result<bool, Refusal> {
        note(exchange, |run| run.reserved += 1);
        let own = || self.sessions.count(&LimitKey::Counted(key.bytes()));
        let Some(shared) = self.shared() else {
            return Ok(own() < max);
        };
        match shared.leased(key).await {
            Ok(taken) => Ok(taken < u64::from(max)),
            Err(_) if shared.refuses() => Err(super::counting::unavailable()),
            Err(_) => Ok(own() < max),
        }
    }
}

/// What is counted whatever the answer is. A provisional call passes while there is room for one, so it needs
/// no more than that.
fn certain(weight: Weight) -> u32 {
    match weight.provisional {
        true => 0,
        false => weight.amount,
    }
}

/// A call of weight 0 counts nothing, and asks for room for one. Of a limit that is lower by the rest
/// of the weight that is as much as asking for all of it.
fn beyond_one(weight: u32) -> u32 {
    weight.saturating_sub(1)
}

fn note(exchange: &mut Exchange, note: impl FnOnce(&mut DryRun)) {
    if let Some(run) = &mut exchange.evaluation.dry_run {
        note(run);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tidegate_config::SecretData;

    use crate::exchange::{DryRun, Exchange};
    use crate::policy::tests::{exchange, pipeline, services};
    use crate::refusal::Reason;

    fn asking() -> Exchange {
        let mut asking = exchange(&[]);
        asking.evaluation.dry_run = Some(DryRun::default());
        asking
    }

    #[tokio::test]
    async fn limits_say_the_same_to_who_only_asks_and_count_nothing() {
        let by_key = |name: &str, more: Value| {
            let mut step = json!({"key": "'all'", "calls": 3});
            let fields = step.as_object_mut().unwrap();
            fields.extend(more.as_object().unwrap().clone());
            json!({ name: step })
        };
        let (minute, ever) = (json!("60s"), json!("87600h"));
        for (step, passes, reason) in [
            (
                by_key("rateLimitByKey", json!({"period": minute})),
                3,
                Reason::RateLimitExceeded,
            ),
            (
                by_key(
                    "rateLimitByKey",
                    json!({"period": minute, "incrementBy": "2"}),
                ),
                1,
                Reason::RateLimitExceeded,
            ),
            (
                by_key("quotaByKey", json!({"period": ever})),
                3,
                Reason::QuotaExceeded,
            ),
            (
                by_key("quotaByKey", json!({"period": ever, "incrementBy": "3"})),
                1,
                Reason::QuotaExceeded,
            ),
            (
                json!({"limitConnections": {"key": "'all'", "max": 2}}),
                2,
                Reason::ConnectionLimit,
            ),
        ] {
            let services = services();
            let pipeline = pipeline(
                json!({"inbound": [step]}),
                &SecretData::default(),
                &services,
            );
            let mut held = Vec::new();
            for _ in 0..passes {
                for _ in 0..5 {
                    let asked = pipeline.inbound(&mut asking(), &services).await;
                    assert!(asked.is_ok(), "{step}: {asked:?}");
                }
                let mut real = exchange(&[]);
                pipeline.inbound(&mut real, &services).await.unwrap();
                held.push(real);
            }
            let asked = pipeline.inbound(&mut asking(), &services).await;
            assert_eq!(asked.unwrap_err().reason, reason, "{step}");
            let real = pipeline.inbound(&mut exchange(&[]), &services).await;
            assert_eq!(real.unwrap_err().reason, reason, "{step}");
        }
    }

    #[tokio::test]
    async fn what_remains_is_told_as_to_a_client() {
        let services = services();
        let step = json!({"rateLimitByKey": {
            "key": "'all'", "calls": 5, "period": "60s", "remainingVariable": "left",
        }});
        let pipeline = pipeline(
            json!({"inbound": [step]}),
            &SecretData::default(),
            &services,
        );
        let left = |exchange: &Exchange| format!("{:?}", exchange.evaluation.variable("vars"));
        for _ in 0..3 {
            let (mut asked, mut real) = (asking(), exchange(&[]));
            pipeline.inbound(&mut asked, &services).await.unwrap();
            pipeline.inbound(&mut real, &services).await.unwrap();
            assert_eq!(left(&asked), left(&real));
        }
    }

    #[tokio::test]
    async fn nothing_is_left_for_later_handshakes() {
        let services = services();
        let steps = json!({"inbound": [
            {"cacheStore": {"key": "'k'", "value": "'v'", "for": "60s"}},
            {"emitMetric": {"name": "seen_total"}},
        ]});
        let pipeline = pipeline(steps, &SecretData::default(), &services);
        pipeline.inbound(&mut asking(), &services).await.unwrap();
        let values = services.values.of("apps");
        values.run_pending_tasks().await;
        assert_eq!(values.entry_count(), 0);
        assert!(!services.custom_metrics.render().contains("seen_total"));
    }
}
