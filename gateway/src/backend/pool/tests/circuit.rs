//! The circuit breaker: when it opens, who tries, what closes it.

use super::*;
use crate::backend::outcome::Count;

const TRIP: Duration = Duration::from_secs(10);

/// `ws://a`, `ws://b`… with a breaker that opens at three failures.
fn guarded(count: usize, before: Option<&Pool>) -> Pool {
    let urls = ["ws://a", "ws://b", "ws://c"];
    let members: Vec<_> = urls[..count].iter().map(|url| member(url, 1, 0)).collect();
    let breaker = CircuitBreaker {
        consecutive_failures: 3,
        trip_duration: tidegate_config::Duration::from_secs(TRIP.as_secs()),
        statuses: None,
    };
    let first = BackendUrl::parse(urls[0]).unwrap();
    let rules = HealthRules {
        breaker: Some(breaker),
        ..HealthRules::default()
    };
    Pool::new(&first, &members, rules, before).unwrap()
}

/// Fails until the circuit of `index` opens; how often that was.
fn open(pool: &Pool, index: usize, now: Instant) -> usize {
    for failures in 1..10 {
        let choice = pool.choose(Candidates::Only(index), now).unwrap();
        if choice.failed(now).circuit == Some(Transition::Opened(TRIP)) {
            return failures;
        }
    }
    panic!("it does not open");
}

fn refused(pool: &Pool, now: Instant) -> NoBackend {
    pool.choose(ANY, now).unwrap_err()
}

#[test]
fn it_opens_at_so_many_failures_in_a_row_and_says_for_how_long() {
    let now = Instant::now();
    let pool = guarded(1, None);
    for _ in 0..2 {
        assert_eq!(pool.choose(ANY, now).unwrap().failed(now).circuit, None);
    }
    assert_eq!(pool.choose(ANY, now).unwrap().worked().1, Effect::default());
    assert_eq!(open(&pool, 0, now), 3, "in a row");
    assert_eq!(refused(&pool, now), NoBackend::CircuitOpen(TRIP));
    let later = now + TRIP - Duration::from_secs(1);
    assert_eq!(
        refused(&pool, later),
        NoBackend::CircuitOpen(Duration::from_secs(1))
    );
    let out = pool.unavailable(later).unwrap();
    assert_eq!((out.circuit_open, out.ejected), (1, 0));
}

#[test]
fn an_answer_of_a_backend_that_is_not_well_counts_as_a_failure() {
    let now = Instant::now();
    let pool = guarded(1, None);
    let turns: Vec<_> = (0..3)
        .map(|_| pool.choose(ANY, now).unwrap())
        .map(|choice| choice.record_outcome(DialOutcome::BadStatus, now).1.circuit)
        .collect();
    assert_eq!(turns, [None, None, Some(Transition::Opened(TRIP))]);
}

/// What the table of the documentation says, seen at a circuit and at a member of a pool.
#[test]
fn each_outcome_counts_as_the_table_says() {
    let now = Instant::now();
    for outcome in DialOutcome::ALL {
        let name = format!("{outcome:?}");
        let end = |choice: Choice<'_>, at| match outcome {
            // Whatever waits for the backend is dropped with the client.
            DialOutcome::ClientGone => drop(choice),
            outcome => drop(choice.record_outcome(outcome, at).0),
        };
        let counts = outcome.consequence();
        let pool = guarded(1, None);
        for _ in 0..2 {
            pool.choose(ANY, now).unwrap().failed(now);
        }
        end(pool.choose(ANY, now).unwrap(), now);
        let is_open = pool.unavailable(now).unwrap().circuit_open == 1;
        assert_eq!(is_open, counts.circuit == Count::Failure, "{name}");
        if !is_open {
            pool.choose(ANY, now).unwrap().failed(now);
            let is_open = pool.unavailable(now).unwrap().circuit_open == 1;
            assert_eq!(is_open, counts.circuit == Count::Nothing, "{name}: the row");
        }
        let pool = guarded(1, None);
        open(&pool, 0, now);
        let later = now + TRIP;
        end(pool.choose(ANY, later).unwrap(), later);
        let next = pool.choose(ANY, later + Duration::from_millis(1));
        let is_shut = counts.circuit == Count::Failure;
        assert_eq!(next.is_err(), is_shut, "{name}: who tried");
        let two = [("ws://a", 1, 0), ("ws://b", 1, 1)];
        let pool = self::pool(&two, None);
        end(pool.choose(ANY, now).unwrap(), now);
        let is_ejected = pool.unavailable(now).unwrap().ejected == 1;
        assert_eq!(
            is_ejected,
            counts.ejection == Count::Failure,
            "{name}: ejected"
        );
    }
}

#[test]
fn after_its_time_one_handshake_tries_and_decides() {
    let now = Instant::now();
    let pool = guarded(1, None);
    open(&pool, 0, now);
    let later = now + TRIP;
    let tries = pool.choose(ANY, later).unwrap();
    assert!(
        matches!(refused(&pool, later), NoBackend::CircuitOpen(_)),
        "only one"
    );
    assert_eq!(tries.failed(later).circuit, Some(Transition::Opened(TRIP)));
    assert_eq!(refused(&pool, later), NoBackend::CircuitOpen(TRIP));
    let tries = pool.choose(ANY, later + TRIP).unwrap();
    assert_eq!(tries.worked().1.circuit, Some(Transition::Closed));
    let two = (pool.choose(ANY, later), pool.choose(ANY, later));
    assert!(two.0.is_ok() && two.1.is_ok());
}

#[test]
fn a_trial_handshake_that_ends_without_a_result_makes_room_for_the_next() {
    let now = Instant::now();
    let pool = guarded(1, None);
    open(&pool, 0, now);
    let later = now + TRIP;
    drop(pool.choose(ANY, later).unwrap());
    assert!(pool.choose(ANY, later + Duration::from_millis(1)).is_ok());
}

#[test]
fn handshakes_from_before_it_opened_decide_nothing() {
    let now = Instant::now();
    let pool = guarded(1, None);
    let (good, bad) = (
        pool.choose(ANY, now).unwrap(),
        pool.choose(ANY, now).unwrap(),
    );
    open(&pool, 0, now);
    assert_eq!(good.worked().1.circuit, None);
    let later = now + TRIP / 2;
    assert_eq!(bad.failed(later).circuit, None);
    assert_eq!(refused(&pool, later), NoBackend::CircuitOpen(TRIP / 2));
}

#[test]
fn the_others_of_a_pool_go_on_and_the_soonest_is_named_when_all_are_open() {
    let now = Instant::now();
    let pool = guarded(2, None);
    open(&pool, 0, now);
    for _ in 0..3 {
        let choice = pool.choose(ANY, now).unwrap();
        assert_eq!(choice.index, 1);
        choice.worked();
    }
    open(&pool, 1, now + TRIP / 2);
    let later = now + TRIP / 2;
    assert_eq!(refused(&pool, later), NoBackend::CircuitOpen(TRIP / 2));
    let only = pool.choose(Candidates::Only(1), later).unwrap_err();
    assert_eq!(only, NoBackend::CircuitOpen(TRIP));
}

#[test]
fn it_outlives_a_change_of_the_configuration_and_goes_with_the_rule() {
    let now = Instant::now();
    let before = guarded(1, None);
    open(&before, 0, now);
    let after = guarded(2, Some(&before));
    let choice = after.choose(ANY, now).unwrap();
    assert_eq!(choice.index, 1, "the first one stays open");
    drop(choice);
    let without = pool(&[("ws://a", 1, 0)], Some(&after));
    assert!(without.choose(ANY, now).is_ok());
    assert_eq!(without.unavailable(now), None);
}
