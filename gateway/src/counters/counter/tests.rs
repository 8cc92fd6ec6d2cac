use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: u64 = 1000;

fn key(name: &str) -> Key {
    Key::new(Space::of_namespace("shop"), &[name])
}

/// Counts without asking.
fn add(counters: &Counters, at: u64, key: Key, weight: u32) {
    counters.settle_at(at, &[], (key, MINUTE), weight);
}

fn limit(calls: u32, period: Duration) -> Limit {
    Limit { calls, period }
}

fn take(
    counters: &Counters,
    at_second: u64,
    limit: Limit,
    (weight, own): (u32, &[RateCharge]),
) -> Result<(u32, Option<RateCharge>), Exceeded> {
    let call = Call {
        key: key("a"),
        limit,
        weight,
        provisional: false,
        own,
    };
    counters.take_at(at_second * SECOND, call)
}

fn passes(counters: &Counters, at_second: u64, name: &str, limit: Limit) -> bool {
    passes_in(counters, at_second, key(name), limit)
}

fn passes_in(counters: &Counters, at_second: u64, key: Key, limit: Limit) -> bool {
    let call = Call {
        key,
        limit,
        weight: 1,
        provisional: false,
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
    add(&counters, 0, key("a"), 2);
    assert!(!passes(&counters, 1, "a", limit(2, MINUTE)));
    assert!(passes(&counters, 1, "a", limit(3, MINUTE)));
}

#[test]
fn idle_keys_are_forgotten() {
    let counters = Counters::new();
    add(&counters, 0, key("a"), 1);
    add(&counters, 30 * SECOND, key("b"), 1);
    counters.forget_idle_at(60 * SECOND);
    assert_eq!(counters.keys(), 1);
    counters.forget_idle_at(90 * SECOND);
    assert_eq!(counters.keys(), 0);
}

#[test]
fn above_the_cap_the_oldest_keys_go_first() {
    let counters = Counters::new();
    for i in 0..MAX_KEYS / 2 {
        add(&counters, 0, key(&format!("old {i}")), 1);
    }
    for i in 0..MAX_KEYS {
        add(&counters, SECOND, key(&format!("new {i}")), 1);
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
        add(&counters, SECOND, key("a"), 100);
    }
    let slots: usize = counters
        .shards
        .iter()
        .map(|shard| shard.lock().slots())
        .sum();
    assert_eq!(slots, 1);
    assert!(!passes(&counters, 2, "a", limit(1_000_000, MINUTE)));
}

#[test]
fn keys_are_short_and_of_the_whole_text() {
    let of = |parts: &[&str]| Key::new(Space::of_namespace("shop"), parts);
    let long = "x".repeat(1 << 20);
    assert_ne!(of(&[&long]), of(&[&long[1..]]));
    assert_ne!(of(&["a", "bc"]), of(&["ab", "c"]));
    assert_eq!(size_of::<Key>(), 24);
    let text = serde_json::to_string(&of(&["a"])).unwrap();
    assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), of(&["a"]));
    for wrong in ["\"\"", "\"00112233445566778899\"", "\"é\""] {
        serde_json::from_str::<Key>(wrong).unwrap_err();
    }
}

#[test]
fn spaces_have_equal_values_apart() {
    let counters = Counters::new();
    let one = limit(1, MINUTE);
    for space in [
        Space::of_namespace("shop"),
        Space::of_namespace("harbour"),
        Space::of_gateway("shop"),
    ] {
        let key = Key::new(space, &["192.0.2.7"]);
        assert!(passes_in(&counters, 0, key, one));
        assert!(!passes_in(&counters, 0, key, one));
    }
}

#[test]
fn a_flood_of_one_space_makes_no_other_forget() {
    let counters = Counters::new();
    let one = limit(1, MINUTE);
    assert!(passes(&counters, 0, "victim", one));
    let floods: Vec<Space> = ["a", "b", "c", "d"].map(Space::of_namespace).into();
    for i in 0..2 * MAX_KEYS {
        let flood = Key::new(floods[i % floods.len()], &[&i.to_string()]);
        add(&counters, SECOND, flood, 1);
    }
    for i in 0..MAX_KEYS + MAX_KEYS / 2 {
        let flood = Key::new(floods[0], &["more", &i.to_string()]);
        add(&counters, SECOND, flood, 1);
    }
    assert!(
        counters.keys() <= SPACES_WORTH * MAX_KEYS,
        "{}",
        counters.keys()
    );
    assert!(!passes(&counters, 2, "victim", one), "it is still counted");
}

#[test]
fn a_short_limit_first_does_not_shorten_the_long_ones_memory() {
    let counters = Counters::new();
    let (short, long) = (limit(9, Duration::from_secs(10)), limit(1, MINUTE));
    let own = take(&counters, 0, short, (1, &[])).unwrap().1.unwrap();
    take(&counters, 0, long, (1, &[own])).unwrap();
    assert!(!passes(&counters, 30, "a", long));
}

fn waits(
    counters: &Counters,
    weight: u32,
    own: &[RateCharge],
) -> Result<Option<RateCharge>, Duration> {
    let call = Call {
        key: key("a"),
        limit: limit(10, MINUTE),
        weight,
        provisional: true,
        own,
    };
    let answer = counters.take_at(0, call);
    answer
        .map(|(_, charge)| charge)
        .map_err(|exceeded| exceeded.wait)
}

#[test]
fn a_place_is_kept_until_the_answer_is_known() {
    let counters = Counters::new();
    let places: Vec<RateCharge> = (0..10)
        .map(|_| waits(&counters, 1, &[]).unwrap().unwrap())
        .collect();
    assert_eq!(waits(&counters, 1, &[]), Err(RETRY_WHEN_HELD));
    counters.give_back(places[0]);
    let place = waits(&counters, 1, &[]).unwrap().unwrap();
    for place in places[1..].iter().chain([&place]) {
        counters.settle_at(SECOND, &[*place], (key("a"), MINUTE), 1);
    }
    assert_eq!(
        waits(&counters, 1, &[]),
        Err(MINUTE + Duration::from_secs(1))
    );
}

#[test]
fn nobody_keeps_more_than_is_left() {
    let counters = Counters::new();
    let first = waits(&counters, 4, &[]).unwrap().unwrap();
    let second = waits(&counters, 4, &[]).unwrap().unwrap();
    assert_eq!(waits(&counters, 4, &[]), Err(RETRY_WHEN_HELD));
    for place in [first, second] {
        counters.settle_at(0, &[place], (key("a"), MINUTE), 4);
    }
    let third = waits(&counters, 4, &[]).unwrap().unwrap();
    assert_eq!(
        third.weight(),
        2,
        "room for one is room enough, for one at a time"
    );
    assert_eq!(waits(&counters, 4, &[]), Err(RETRY_WHEN_HELD));
}

#[test]
fn a_handshake_that_keeps_a_place_is_not_in_its_own_way() {
    let counters = Counters::new();
    let own = waits(&counters, 10, &[]).unwrap().unwrap();
    assert_eq!(waits(&counters, 10, &[own]), Ok(None));
    let ten = limit(10, MINUTE);
    let (left, counted) = take(&counters, 0, ten, (2, &[own])).unwrap();
    assert_eq!((left, counted.unwrap().weight()), (8, 2));
    let mut own = own;
    let part = own.split(3);
    assert_eq!((part.weight(), own.weight()), (3, 7));
}
