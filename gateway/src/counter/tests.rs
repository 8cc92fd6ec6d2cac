use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: u64 = 1000;

fn limit(calls: u32, period: Duration) -> Limit {
    Limit { calls, period }
}

fn take(
    counters: &Counters,
    at_second: u64,
    limit: Limit,
    (weight, own): (u32, &[Taken]),
) -> Result<(u32, Option<Taken>), Exceeded> {
    let call = Call {
        key: Key::new(&["a"]),
        limit,
        weight,
        own,
    };
    counters.take_at(at_second * SECOND, call)
}

fn passes(counters: &Counters, at_second: u64, key: &str, limit: Limit) -> bool {
    let call = Call {
        key: Key::new(&[key]),
        limit,
        weight: 1,
        own: &[],
    };
    counters.take_at(at_second * SECOND, call).is_ok()
}

#[test]
fn the_window_slides() {
    let counters = Counters::new();
    let two = limit(2, MINUTE);
    assert_eq!(take(&counters, 0, two, (1, &[])).unwrap().0, 1);
    assert_eq!(take(&counters, 20, two, (1, &[])).unwrap().0, 0);
    let wait = take(&counters, 40, two, (1, &[])).unwrap_err().wait;
    assert_eq!(wait, Duration::from_secs(20));
    assert!(!passes(&counters, 59, "a", two));
    assert!(
        passes(&counters, 60, "a", two),
        "the first call left the window"
    );
    assert!(!passes(&counters, 60, "a", two), "the second one did not");
}

#[test]
fn keys_are_independent_and_refusals_do_not_count() {
    let counters = Counters::new();
    let one = limit(1, MINUTE);
    assert!(passes(&counters, 0, "a", one));
    for second in 1..6 {
        assert!(!passes(&counters, second, "a", one));
    }
    assert!(passes(&counters, 6, "b", one));
    assert!(passes(&counters, 60, "a", one));
}

#[test]
fn one_key_under_two_limits_has_one_counter() {
    let counters = Counters::new();
    let (short, long) = (limit(1, Duration::from_secs(10)), limit(3, MINUTE));
    let own = take(&counters, 0, long, (1, &[])).unwrap().1.unwrap();
    let again = take(&counters, 0, short, (1, &[own])).unwrap();
    assert_eq!(again, (0, None), "the same handshake counts once");
    assert!(!passes(&counters, 0, "a", short), "another handshake");
    assert!(passes(&counters, 10, "a", short));
    assert_eq!(take(&counters, 10, long, (1, &[])).unwrap().0, 0);
}

#[test]
fn weights_count_and_what_must_not_count_needs_room_too() {
    let counters = Counters::new();
    let ten = limit(10, MINUTE);
    let wait = |weight| take(&counters, 0, ten, (weight, &[])).unwrap_err().wait;
    assert_eq!(take(&counters, 0, ten, (4, &[])).unwrap().0, 6);
    assert_eq!(take(&counters, 0, ten, (0, &[])).unwrap(), (6, None));
    assert_eq!(wait(7), MINUTE);
    assert_eq!(wait(11), MINUTE, "never fits");
    assert_eq!(take(&counters, 0, ten, (6, &[])).unwrap().0, 0);
    assert!(take(&counters, 0, ten, (0, &[])).is_err());
}

#[test]
fn what_is_given_back_does_not_count() {
    let counters = Counters::new();
    let one = limit(1, MINUTE);
    let first = take(&counters, 0, one, (1, &[])).unwrap().1.unwrap();
    counters.give_back(first);
    let second = take(&counters, 1, one, (1, &[])).unwrap().1.unwrap();
    assert!(passes(&counters, 62, "a", one));
    counters.give_back(second);
    assert!(
        !passes(&counters, 62, "a", one),
        "the third call is not given back"
    );
}

#[test]
fn what_is_added_later_counts() {
    let counters = Counters::new();
    counters.add_at(0, Key::new(&["a"]), MINUTE, 2);
    assert!(!passes(&counters, 1, "a", limit(2, MINUTE)));
    assert!(passes(&counters, 1, "a", limit(3, MINUTE)));
}

#[test]
fn idle_keys_are_forgotten() {
    let counters = Counters::new();
    counters.add_at(0, Key::new(&["a"]), MINUTE, 1);
    counters.add_at(30 * SECOND, Key::new(&["b"]), MINUTE, 1);
    counters.forget_idle_at(60 * SECOND);
    assert_eq!(counters.keys(), 1);
    counters.forget_idle_at(90 * SECOND);
    assert_eq!(counters.keys(), 0);
}

#[test]
fn above_the_cap_the_oldest_keys_go_first() {
    let counters = Counters::new();
    for i in 0..MAX_KEYS / 2 {
        counters.add_at(0, Key::new(&[&format!("old {i}")]), MINUTE, 1);
    }
    for i in 0..MAX_KEYS {
        counters.add_at(SECOND, Key::new(&[&format!("new {i}")]), MINUTE, 1);
    }
    assert!(counters.keys() <= MAX_KEYS, "{}", counters.keys());
    assert!(counters.evicted() >= (MAX_KEYS / 2) as u64);
    let one = limit(1, MINUTE);
    let last = format!("new {}", MAX_KEYS - 1);
    assert!(
        !passes(&counters, 2, &last, one),
        "the newest is still counted"
    );
    assert!(
        passes(&counters, 2, "old 0", one),
        "the oldest is forgotten"
    );
}

#[test]
fn calls_of_one_moment_share_their_memory() {
    let counters = Counters::new();
    for _ in 0..10_000 {
        counters.add_at(SECOND, Key::new(&["a"]), MINUTE, 100);
    }
    let slots: usize = counters.shards.iter().map(|shard| lock(shard).slots).sum();
    assert_eq!(slots, 1);
    assert!(!passes(&counters, 2, "a", limit(1_000_000, MINUTE)));
}

#[test]
fn keys_are_short_and_of_the_whole_text() {
    let long = "x".repeat(1 << 20);
    assert_ne!(Key::new(&[&long]), Key::new(&[&long[1..]]));
    assert_ne!(Key::new(&["a", "bc"]), Key::new(&["ab", "c"]));
    assert_eq!(size_of::<Key>(), 16);
}
