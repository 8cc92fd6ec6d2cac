mod circuit;

use super::*;
use crate::backend::outcome::DialOutcome;

const FIRST_EJECTION: Duration = Duration::from_secs(1);

const ANY: Candidates<'static> = Candidates::AllBut(&[]);

fn member(url: &str, weight: u32, priority: u32) -> PoolMember {
    PoolMember {
        name: None,
        url: url.to_owned(),
        weight,
        priority,
    }
}

fn pool(members: &[(&str, u32, u32)], before: Option<&Pool>) -> Pool {
    let members: Vec<_> = members.iter().map(|(u, w, p)| member(u, *w, *p)).collect();
    let first = BackendUrl::parse(&members[0].url).unwrap();
    Pool::new(&first, &members, HealthRules::default(), before).unwrap()
}

/// What most tests need of [`DialOutcome`].
impl Choice<'_> {
    fn worked(self) -> (InFlightGuard, Effect) {
        self.record_outcome(DialOutcome::Accepted, Instant::now())
    }

    fn failed(self, now: Instant) -> Effect {
        self.record_outcome(DialOutcome::NoConnection, now).1
    }
}

/// In-flight guards of every member after `count` handshakes that became tunnels.
fn fill(pool: &Pool, count: usize, now: Instant) -> (Vec<InFlightGuard>, Vec<usize>) {
    let mut taken = vec![0; pool.members.len()];
    let guards = (0..count).map(|_| {
        let choice = pool.choose(ANY, now).unwrap();
        taken[choice.index] += 1;
        choice.worked().0
    });
    (guards.collect(), taken)
}

#[test]
fn tunnels_are_spread_by_weight() {
    let now = Instant::now();
    for (name, weights, expected) in [
        ("equals", [1, 1, 1], [20, 20, 20]),
        ("one to two to three", [1, 2, 3], [10, 20, 30]),
        ("far apart", [1, 1, 58], [1, 1, 58]),
    ] {
        let [a, b, c] = weights;
        let pool = pool(
            &[("ws://a", a, 0), ("ws://b", b, 0), ("ws://c", c, 0)],
            None,
        );
        let (_guards, taken) = fill(&pool, 60, now);
        let near = taken.iter().zip(expected).all(|(t, e)| t.abs_diff(e) <= 1);
        assert!(near, "{name}: {taken:?}");
    }
}

#[test]
fn who_lost_tunnels_gets_the_next_ones() {
    let now = Instant::now();
    let pool = pool(&[("ws://a", 1, 0), ("ws://b", 1, 0)], None);
    let (guards, _) = fill(&pool, 20, now);
    let of_a = &pool.members[0].state;
    let (gone, _kept): (Vec<_>, Vec<_>) = guards
        .into_iter()
        .partition(|in_flight| Arc::ptr_eq(&in_flight.0, of_a));
    drop(gone);
    let (_new, taken) = fill(&pool, 10, now);
    assert_eq!(taken, [10, 0]);
}

#[test]
fn the_next_group_is_used_when_all_of_the_better_one_are_out() {
    let now = Instant::now();
    let pool = pool(
        &[("ws://spare", 1, 1), ("ws://a", 1, 0), ("ws://b", 1, 0)],
        None,
    );
    for _ in 0..2 {
        let choice = pool.choose(ANY, now).unwrap();
        assert_ne!(choice.index, 0);
        choice.failed(now);
    }
    assert_eq!(pool.choose(ANY, now).unwrap().index, 0);
    assert_ne!(
        pool.choose(Candidates::AllBut(&[0]), now).unwrap().index,
        0,
        "better than nobody"
    );
    let none = pool
        .choose(Candidates::AllBut(&[0, 1, 2]), now)
        .unwrap_err();
    assert_eq!(none, NoBackend::NoneLeft);
    let later = now + FIRST_EJECTION;
    assert_ne!(pool.choose(ANY, later).unwrap().index, 0);
}

#[test]
fn an_ejection_grows_is_capped_and_ends_with_success() {
    let mut now = Instant::now();
    let pool = pool(&[("ws://a", 1, 0)], None);
    let mut times = Vec::new();
    for _ in 0..7 {
        let time = pool
            .choose(ANY, now)
            .unwrap()
            .failed(now)
            .ejected_for
            .unwrap();
        times.push(time.as_secs());
        now += time;
    }
    assert_eq!(times, [1, 2, 4, 8, 16, 30, 30]);
    drop(pool.choose(ANY, now).unwrap().worked().0);
    let again = pool.choose(ANY, now).unwrap().failed(now);
    assert_eq!(again.ejected_for, Some(FIRST_EJECTION));
}

#[test]
fn handshakes_that_fail_together_count_once() {
    let now = Instant::now();
    let pool = pool(&[("ws://a", 1, 0)], None);
    let (one, two) = (
        pool.choose(ANY, now).unwrap(),
        pool.choose(ANY, now).unwrap(),
    );
    assert_eq!(one.failed(now).ejected_for, Some(FIRST_EJECTION));
    assert_eq!(two.failed(now).ejected_for, None);
}

#[test]
fn after_an_ejection_one_handshake_goes_first() {
    let now = Instant::now();
    let pool = pool(&[("ws://a", 100, 0), ("ws://b", 1, 0)], None);
    let first = pool.choose(ANY, now).unwrap();
    assert_eq!(first.index, 0);
    first.failed(now);
    let later = now + FIRST_EJECTION;
    let probe = pool.choose(ANY, later).unwrap();
    assert_eq!(probe.index, 0);
    assert_eq!(pool.choose(ANY, later).unwrap().index, 1);
    drop(probe.worked().0);
    assert_eq!(pool.choose(ANY, later).unwrap().index, 0);
}

#[test]
fn a_trial_handshake_after_an_ejection_without_a_result_makes_room_for_the_next() {
    let now = Instant::now();
    let pool = pool(&[("ws://a", 100, 0), ("ws://b", 1, 0)], None);
    pool.choose(ANY, now).unwrap().failed(now);
    let later = now + FIRST_EJECTION;
    for outcome in [DialOutcome::ClientGone, DialOutcome::OutOfTime] {
        let probe = pool.choose(ANY, later).unwrap();
        assert_eq!(probe.index, 0, "{outcome:?}");
        match outcome {
            DialOutcome::ClientGone => drop(probe),
            outcome => drop(probe.record_outcome(outcome, later).0),
        }
    }
    // An answer that one client spoilt shows that somebody is there.
    let probe = pool.choose(ANY, later).unwrap();
    drop(probe.record_outcome(DialOutcome::BadNegotiation, later).0);
    let guards: Vec<_> = (0..2)
        .map(|_| pool.choose(ANY, later).unwrap())
        .map(|choice| (choice.index, choice.worked().0))
        .collect();
    assert!(guards.iter().all(|(index, _)| *index == 0));
}

#[test]
fn a_member_that_stays_keeps_its_tunnels_and_its_failures() {
    let now = Instant::now();
    let before = pool(&[("ws://a", 1, 0), ("ws://b", 1, 0)], None);
    let (_guards, _) = fill(&before, 20, now);
    let after = pool(&[("ws://new", 1, 0), ("wss://b:80", 1, 0)], Some(&before));
    let (_new, taken) = fill(&after, 10, now);
    assert_eq!(taken, [10, 0]);
    after
        .choose(Candidates::AllBut(&[0]), now)
        .unwrap()
        .failed(now);
    assert_eq!(
        pool(&[("ws://b", 1, 0), ("ws://c", 1, 1)], Some(&after))
            .choose(ANY, now)
            .unwrap()
            .index,
        1
    );
}

#[test]
fn what_cannot_be_used_says_why() {
    let backend = BackendUrl::parse("ws://a/x").unwrap();
    for (bad, why) in [
        (member("http://a/x", 1, 0), "backend.pool[0].url"),
        (member("ws://b/y", 1, 0), "path and query"),
        (member("ws://b/x?q", 1, 0), "path and query"),
        (member("ws://b/x", 0, 0), "backend.pool[0].weight"),
    ] {
        let error = Pool::new(&backend, &[bad], HealthRules::default(), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn what_counts_as_failing_and_for_how_long_can_be_set() {
    let mut now = Instant::now();
    let passive = serde_json::json!({
        "consecutiveFailures": 3, "baseEjectionTime": "2s", "maxEjectionTime": "5s",
    });
    let rules = HealthRules {
        passive: serde_json::from_value(passive).unwrap(),
        ..HealthRules::default()
    };
    let first = BackendUrl::parse("ws://a").unwrap();
    let pool = Pool::new(&first, &[], rules, None).unwrap();
    let together: Vec<_> = (0..4).map(|_| pool.choose(ANY, now).unwrap()).collect();
    let times: Vec<_> = together
        .into_iter()
        .map(|c| c.failed(now).ejected_for)
        .collect();
    assert_eq!(times, [None, None, Some(Duration::from_secs(2)), None]);
    let mut times = Vec::new();
    for _ in 0..3 {
        now += Duration::from_secs(10);
        let time = pool.choose(ANY, now).unwrap().failed(now).ejected_for;
        times.push(time.unwrap().as_secs());
    }
    assert_eq!(times, [4, 5, 5]);
}

#[test]
fn who_is_ill_gets_nothing_unless_all_are() {
    let now = Instant::now();
    let rule = serde_json::json!({"type": "Tcp", "unhealthyThreshold": 1, "healthyThreshold": 1});
    let rule = serde_json::from_value(rule).unwrap();
    let before = pool(&[("ws://a", 100, 0), ("ws://b", 1, 0)], None);
    let health_handles: Vec<_> = before.health_handles().map(|(_, health)| health).collect();
    assert!(health_handles[0].found(false, &rule));
    let pool = pool(&[("ws://a", 100, 0), ("ws://b", 1, 0)], Some(&before));
    assert_eq!(pool.choose(ANY, now).unwrap().index, 1);
    assert_eq!(pool.unavailable(now).unwrap().unhealthy, 1);
    assert!(health_handles[1].found(false, &rule));
    assert_eq!(
        pool.choose(ANY, now).unwrap().index,
        0,
        "better than nobody"
    );
    health_handles[0].forget();
    assert_eq!(pool.choose(ANY, now).unwrap().index, 0);
    assert_eq!(pool.unavailable(now).unwrap().unhealthy, 1);
    assert!(health_handles[1].found(true, &rule));
    assert_eq!(pool.unavailable(now), Some(UnavailableBackends::default()));
}

/// A pool whose members send handshakes on with a 429, and are left alone for a minute at most.
fn regions() -> Pool {
    let failover = serde_json::json!({"statuses": [429], "maxRetryAfter": "1m"});
    let rules = HealthRules {
        failover: serde_json::from_value(failover).unwrap(),
        ..HealthRules::default()
    };
    let members = [member("ws://a", 1, 0), member("ws://b", 1, 1)];
    let first = BackendUrl::parse("ws://a").unwrap();
    Pool::new(&first, &members, rules, None).unwrap()
}

/// Ends a handshake with a 429 that names this time.
fn limited(pool: &Pool, choice: Choice<'_>, seconds: &'static str, now: Instant) -> Effect {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", http::HeaderValue::from_static(seconds));
    let wait = pool.rules().retry_after(429, &headers, Timestamp::now());
    assert_eq!(
        pool.rules().retry_after(503, &headers, Timestamp::now()),
        None
    );
    let outcome = pool.rules().outcome_of(429);
    choice.retry_after(wait).record_outcome(outcome, now).1
}

#[test]
fn a_member_is_left_alone_for_as_long_as_it_says_up_to_a_bound() {
    for (says, seconds) in [("20", 20), ("9000", 60), ("0", 1), ("soon", 1)] {
        let (pool, now) = (regions(), Instant::now());
        let choice = pool.choose(ANY, now).unwrap();
        let effect = limited(&pool, choice, says, now);
        assert_eq!(
            effect.ejected_for,
            Some(Duration::from_secs(seconds)),
            "{says}"
        );
        let end = now + Duration::from_secs(seconds);
        let before = end - Duration::from_millis(1);
        assert_eq!(pool.choose(ANY, before).unwrap().index, 1, "{says}");
        assert_eq!(pool.choose(ANY, end).unwrap().index, 0, "{says}");
    }
}

#[test]
fn a_handshake_that_was_in_flight_does_not_end_the_time_that_a_member_wants() {
    let (pool, now) = (regions(), Instant::now());
    let [one, two, three, four] = [(); 4].map(|()| pool.choose(ANY, now).unwrap());
    let effect = limited(&pool, one, "20", now);
    assert_eq!(effect.ejected_for, Some(Duration::from_secs(20)));
    // One that is refused too may lengthen it, and is not told again.
    assert_eq!(limited(&pool, two, "30", now).ejected_for, None);
    for accepted in [three, four] {
        drop(accepted.worked());
    }
    let later = now + Duration::from_secs(29);
    assert_eq!(pool.choose(ANY, later).unwrap().index, 1);
    assert_eq!(pool.unavailable(later).unwrap().ejected, 1);
    // One that was sent nevertheless and is accepted ends it.
    let only = pool.choose(Candidates::Only(0), later).unwrap();
    drop(only.worked());
    assert_eq!(pool.choose(ANY, later).unwrap().index, 0);
}
