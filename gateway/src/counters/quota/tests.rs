use std::sync::Arc;

use tidegate_config::Duration as Length;

use super::*;
use crate::configuration::state_dir::QuotaFile;

const SECOND: i64 = 1000;

fn periods(seconds: u64) -> Periods {
    Periods::new(Length::from_secs(seconds), None)
}

fn key(name: &str) -> Key {
    Key::new(Space::of_namespace("shop"), &[name])
}

/// With clocks that run evenly from 1970 on.
fn at(millis: i64) -> Moment {
    Moment {
        wall: millis,
        since_start: millis,
    }
}

/// So many seconds after the start, and what the wall clock says then.
fn set(since_start: i64, wall: i64) -> Moment {
    Moment {
        wall: wall * SECOND,
        since_start: since_start * SECOND,
    }
}

fn calls(most: u64, periods: Periods) -> Allowance {
    Allowance {
        calls: Some(most),
        bytes: None,
        periods,
    }
}

fn bytes(most: u64, periods: Periods) -> Allowance {
    Allowance {
        calls: None,
        bytes: Some(most),
        periods,
    }
}

fn call(name: &str, allowance: Allowance) -> Call<'static> {
    Call {
        key: key(name),
        allowance,
        weight: 1,
        provisional: false,
        own: &[],
    }
}

fn wait(result: Result<Option<QuotaCharge>, Exceeded>) -> (UsedUp, Option<Duration>) {
    let exceeded = result.expect_err("used up");
    (exceeded.what, exceeded.wait)
}

#[test]
fn a_period_begins_anew_and_not_by_and_by() {
    let quotas = Quotas::default();
    let two = calls(2, periods(60));
    for second in [1, 59] {
        quotas.take_at(at(second * SECOND), call("a", two)).unwrap();
    }
    let refused = quotas.take_at(at(59 * SECOND), call("a", two));
    assert_eq!(wait(refused), (UsedUp::Calls, Some(Duration::from_secs(1))));
    quotas.take_at(at(59 * SECOND), call("b", two)).unwrap();
    for _ in 0..2 {
        quotas.take_at(at(60 * SECOND), call("a", two)).unwrap();
    }
    quotas.take_at(at(60 * SECOND), call("a", two)).unwrap_err();
}

#[test]
fn without_an_end_a_quota_never_renews() {
    let quotas = Quotas::default();
    let one = calls(1, periods(0));
    quotas.take_at(at(0), call("a", one)).unwrap();
    let refused = quotas.take_at(at(i64::MAX / 2), call("a", one));
    assert_eq!(wait(refused), (UsedUp::Calls, None));
}

#[test]
fn bytes_are_counted_apart_from_calls() {
    let quotas = Quotas::default();
    let most = bytes(1000, periods(60));
    assert_eq!(quotas.add_bytes_at(at(0), key("a"), &most, 999), 999);
    for _ in 0..5 {
        quotas.take_at(at(0), call("a", most)).unwrap();
    }
    assert_eq!(quotas.add_bytes_at(at(0), key("a"), &most, 1), 1000);
    let refused = quotas.take_at(at(30 * SECOND), call("a", most));
    assert_eq!(
        wait(refused),
        (UsedUp::Bandwidth, Some(Duration::from_secs(30)))
    );
    quotas.take_at(at(60 * SECOND), call("a", most)).unwrap();
    assert_eq!(quotas.add_bytes_at(at(60 * SECOND), key("a"), &most, 0), 0);
}

#[test]
fn a_handshake_counts_once_with_its_largest_weight() {
    let quotas = Quotas::default();
    let ten = calls(10, periods(60));
    let first = quotas.take_at(at(0), call("a", ten)).unwrap().unwrap();
    let own = [first];
    let again = Call {
        own: &own,
        weight: 3,
        ..call("a", ten)
    };
    let more = quotas.take_at(at(0), again).unwrap().unwrap();
    assert_eq!(more.weight, 2);
    let own = [first, more];
    let again = Call {
        own: &own,
        ..call("a", ten)
    };
    assert_eq!(quotas.take_at(at(0), again).unwrap(), None);
    quotas.give_back(first);
    quotas.give_back(more);
    for _ in 0..10 {
        quotas.take_at(at(0), call("a", ten)).unwrap();
    }
    quotas.take_at(at(0), call("a", ten)).unwrap_err();
}

#[test]
fn what_must_not_count_needs_room_for_one() {
    let quotas = Quotas::default();
    let one = calls(1, periods(60));
    let free = Call {
        weight: 0,
        ..call("a", one)
    };
    assert_eq!(quotas.take_at(at(0), free), Ok(None));
    assert_eq!(quotas.keys(), 0);
    quotas.take_at(at(0), call("a", one)).unwrap();
    assert!(quotas.take_at(at(0), free).is_err());
}

#[test]
fn what_is_given_back_in_the_next_period_is_not_taken_from_it() {
    let quotas = Quotas::default();
    let one = calls(1, periods(60));
    let old = quotas.take_at(at(0), call("a", one)).unwrap().unwrap();
    quotas.take_at(at(60 * SECOND), call("a", one)).unwrap();
    quotas.give_back(old);
    quotas.take_at(at(61 * SECOND), call("a", one)).unwrap_err();
}

#[test]
fn a_flood_of_keys_is_bounded_and_renews_no_quota_that_is_used_up() {
    let quotas = Quotas::default();
    let five = calls(5, periods(0));
    for _ in 0..5 {
        quotas.take_at(at(0), call("victim", five)).unwrap();
    }
    for i in 0..3 * MAX_KEYS {
        let name = i.to_string();
        let _ = quotas.take_at(at(0), call(&name, five));
    }
    assert!(quotas.keys() <= MAX_KEYS, "{}", quotas.keys());
    assert!(quotas.evicted() > 0);
    quotas.take_at(at(0), call("victim", five)).unwrap_err();
}

#[test]
fn keys_whose_period_has_ended_are_forgotten() {
    let quotas = Quotas::default();
    quotas
        .take_at(at(0), call("old", calls(1, periods(60))))
        .unwrap();
    quotas
        .take_at(at(0), call("ever", calls(1, periods(0))))
        .unwrap();
    assert_eq!(quotas.keys(), 2);
    quotas.forget_ended();
    assert_eq!(
        quotas.keys(),
        2,
        "no minute has passed, whatever the wall clock says"
    );
    quotas.forget_ended_at(Moment {
        since_start: 60 * SECOND,
        ..quotas.now()
    });
    assert_eq!(quotas.keys(), 1);
}

fn file() -> (tempfile::TempDir, QuotaFile) {
    let dir = tempfile::tempdir().unwrap();
    let file = QuotaFile::new(dir.path().join("state").join("quotas.json"));
    (dir, file)
}

#[tokio::test]
async fn a_restart_renews_nothing() {
    let (_dir, file) = file();
    let (day, ever) = (calls(1, periods(86_400)), bytes(10, periods(0)));
    let before = Arc::new(Quotas::default());
    before.take(call("day", day)).unwrap();
    before.add_bytes_at(before.now(), key("ever"), &ever, 10);
    file.save(&before).await.unwrap();

    let after = Quotas::default();
    file.load(&after);
    after.take(call("day", day)).unwrap_err();
    after.take(call("ever", ever)).unwrap_err();
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert!(
        !text.contains("day"),
        "who was counted is no matter of the file: {text}"
    );
}

#[tokio::test]
async fn a_file_that_is_torn_or_foreign_counts_as_empty() {
    let (_dir, file) = file();
    let quotas = Arc::new(Quotas::default());
    let one = calls(1, periods(0));
    file.load(&quotas);
    quotas.take(call("a", one)).unwrap();
    file.save(&quotas).await.unwrap();
    let whole = std::fs::read_to_string(file.path()).unwrap();
    let foreign = whole.replace("\"version\":2", "\"version\":1");
    for (name, text) in [
        ("empty", ""),
        ("torn", &whole[..whole.len() / 2]),
        ("foreign", &*foreign),
        ("something else", "[]"),
    ] {
        std::fs::write(file.path(), text).unwrap();
        let after = Quotas::default();
        file.load(&after);
        assert_eq!(after.keys(), 0, "{name}");
        after.take(call("a", one)).unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_written_now_is_written_later() {
    let (dir, file) = file();
    let quotas = Arc::new(Quotas::default());
    quotas.take(call("a", calls(1, periods(0)))).unwrap();
    std::fs::write(dir.path().join("state"), "in the way").unwrap();
    let error = file.save(&quotas).await.unwrap_err();
    assert!(error.contains("quotas.json"), "{error}");
    std::fs::remove_file(dir.path().join("state")).unwrap();
    file.save(&quotas).await.unwrap();
    assert!(file.path().exists());
}

#[test]
fn spaces_are_counted_and_bounded_apart() {
    let quotas = Quotas::default();
    let one = calls(1, periods(0));
    let of = |space: &str, name: &str| Call {
        key: Key::new(Space::of_namespace(space), &[name]),
        ..call("", one)
    };
    for space in ["shop", "harbour"] {
        quotas.take_at(at(0), of(space, "192.0.2.7")).unwrap();
        quotas.take_at(at(0), of(space, "192.0.2.7")).unwrap_err();
    }
    // It has used little of what it may, and would be the first to go.
    let many = calls(1_000_000, periods(0));
    quotas.take_at(at(0), call("little", many)).unwrap();
    for i in 0..3 * MAX_KEYS {
        let flood = ["a", "b", "c"][i % 3];
        let _ = quotas.take_at(at(0), of(flood, &i.to_string()));
    }
    assert!(
        quotas.keys() <= SPACES_WORTH * MAX_KEYS,
        "{}",
        quotas.keys()
    );
    assert!(find(&quotas.shard(key("little")), key("little")).is_some());
}

/// Keeps places, as many as there are.
fn places(quotas: &Quotas, now: Moment, allowance: Allowance, weight: u32) -> Vec<QuotaCharge> {
    let keep = Call {
        weight,
        provisional: true,
        ..call("a", allowance)
    };
    let places = std::iter::from_fn(|| quotas.take_at(now, keep).ok().flatten());
    places.take(100).collect()
}

#[test]
fn a_place_is_kept_until_the_answer_is_known() {
    let quotas = Quotas::default();
    let ten = calls(10, periods(60));
    let kept = places(&quotas, at(0), ten, 1);
    assert_eq!(kept.len(), 10);
    let refused = quotas.take_at(at(0), call("a", ten));
    assert_eq!(wait(refused), (UsedUp::Calls, Some(RETRY_WHEN_HELD)));
    quotas.settle_at(at(0), &kept[..4], (key("a"), &ten), 0);
    assert_eq!(places(&quotas, at(0), ten, 1).len(), 4);
    for place in &kept[4..] {
        quotas.settle_at(at(0), &[*place], (key("a"), &ten), 1);
    }
    let refused = quotas.take_at(at(0), call("a", calls(6, periods(60))));
    assert_eq!(
        wait(refused),
        (UsedUp::Calls, Some(Duration::from_secs(60)))
    );
}

#[test]
fn a_place_is_kept_over_the_end_of_a_period() {
    let quotas = Quotas::default();
    let two = calls(2, periods(60));
    let kept = places(&quotas, at(59 * SECOND), two, 1);
    assert_eq!(places(&quotas, at(61 * SECOND), two, 1), []);
    quotas.forget_ended_at(at(200 * SECOND));
    assert_eq!(places(&quotas, at(200 * SECOND), two, 1), []);
    kept.into_iter().for_each(|place| quotas.give_back(place));
    quotas.forget_ended_at(at(200 * SECOND));
    assert_eq!(quotas.keys(), 0);
}

#[test]
fn nobody_keeps_more_than_is_left() {
    let quotas = Quotas::default();
    let weights = |kept: Vec<QuotaCharge>| kept.iter().map(QuotaCharge::weight).collect::<Vec<_>>();
    let ten = calls(10, periods(60));
    assert_eq!(weights(places(&quotas, at(0), ten, 4)), [4, 4]);
    let quotas = Quotas::default();
    quotas.settle_at(at(0), &[], (key("a"), &ten), 8);
    assert_eq!(weights(places(&quotas, at(0), ten, 4)), [2]);
}

#[tokio::test]
async fn a_place_is_not_kept_in_a_file() {
    let (_dir, file) = file();
    let before = Arc::new(Quotas::default());
    let two = calls(2, periods(0));
    assert_eq!(places(&before, before.now(), two, 1).len(), 2);
    file.save(&before).await.unwrap();
    let after = Quotas::default();
    file.load(&after);
    after.take(call("a", two)).unwrap();
}

/// Seconds since the start, what the wall clock says, and how many calls pass then.
type Steps<'s> = &'s [(i64, i64, usize)];

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_clock_that_is_set_renews_no_quota_that_is_used_up() {
    let two = calls(2, periods(60));
    let (used_up, fresh) = (0, 2);
    let cases: &[(&str, Steps<'_>)] = &[
        (
            "time passes",
            &[(0, 600, fresh), (1, 601, used_up), (60, 660, fresh)],
        ),
        (
            "forward and back",
            &[(0, 600, fresh), (1, 700, fresh), (2, 602, used_up)],
        ),
        (
            "forward for a moment in which nobody calls, and back",
            &[(0, 600, fresh), (2, 602, used_up)],
        ),
        (
            "back and forth",
            &[
                (0, 600, fresh),
                (1, 500, used_up),
                (2, 602, used_up),
                (3, 543, used_up),
            ],
        ),
        (
            "back and forth between periods",
            &[
                (0, 600, fresh),
                (1, 660, fresh),
                (2, 600, used_up),
                (3, 660, used_up),
                (4, 720, fresh),
                (5, 600, used_up),
                (6, 780, fresh),
                (7, 840, fresh),
                (8, 600, used_up),
                (9, 660, used_up),
            ],
        ),
        (
            "a clock that was wrong renews nothing, and locks out for one period only",
            &[
                (0, 99_960, fresh),
                (10, 600, used_up),
                (59, 649, used_up),
                (60, 650, fresh),
            ],
        ),
        (
            "what passed counts in the period that one is back in",
            &[
                (0, 600, fresh),
                (30, 500, used_up),
                (60, 530, fresh),
                (61, 531, used_up),
            ],
        ),
    ];
    for (name, steps) in cases {
        let quotas = Quotas::default();
        for &(since_start, wall, passes) in *steps {
            let now = set(since_start, wall);
            quotas.forget_ended_at(now);
            let calls = (0..3).filter(|_| quotas.take_at(now, call("a", two)).is_ok());
            assert_eq!(calls.count(), passes, "{name}: {since_start} s, {wall}");
        }
    }
}

#[test]
fn bytes_are_not_renewed_by_a_clock_either() {
    let quotas = Quotas::default();
    let most = bytes(1000, periods(60));
    quotas.add_bytes_at(set(0, 600), key("a"), &most, 1000);
    quotas.take_at(set(1, 700), call("a", most)).unwrap();
    quotas.add_bytes_at(set(1, 700), key("a"), &most, 10);
    assert_eq!(quotas.add_bytes_at(set(2, 602), key("a"), &most, 0), 1000);
    let refused = quotas.take_at(set(2, 602), call("a", most));
    assert_eq!(
        wait(refused),
        (UsedUp::Bandwidth, Some(Duration::from_secs(58)))
    );
    let refused = quotas.take_at(set(3, 543), call("a", most)).unwrap_err();
    assert_eq!(
        refused.wait,
        Some(Duration::from_secs(57)),
        "by the clock that nobody sets"
    );
}

#[tokio::test]
async fn a_restart_with_a_clock_that_was_set_renews_nothing() {
    let (_dir, file) = file();
    let day = calls(1, periods(86_400));
    let before = Arc::new(Quotas::default());
    // Used up yesterday, as the clock says now; a moment ago, as it said then.
    let yesterday = Moment {
        wall: before.now().wall - 86_400 * SECOND,
        ..before.now()
    };
    before.take_at(yesterday, call("a", day)).unwrap();
    file.save(&before).await.unwrap();
    let after = Quotas::default();
    file.load(&after);
    after.take(call("a", day)).unwrap();
    let back = Moment {
        wall: yesterday.wall,
        ..after.now()
    };
    after.take_at(back, call("a", day)).unwrap_err();
}
