use std::sync::Arc;

use tidegate_config::Duration as Length;

use super::*;

const SECOND: i64 = 1000;

fn periods(seconds: u64) -> Periods {
    Periods::new(Length::from_secs(seconds), None)
}

fn key(name: &str) -> Key {
    Key::new(&[name])
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
        own: &[],
    }
}

fn wait(result: Result<Option<Booked>, Exceeded>) -> (UsedUp, Option<Duration>) {
    let exceeded = result.expect_err("used up");
    (exceeded.what, exceeded.wait)
}

#[test]
fn a_period_begins_anew_and_not_by_and_by() {
    let quotas = Quotas::default();
    let two = calls(2, periods(60));
    for at in [1, 59] {
        quotas.take_at(at * SECOND, call("a", two)).unwrap();
    }
    let refused = quotas.take_at(59 * SECOND, call("a", two));
    assert_eq!(wait(refused), (UsedUp::Calls, Some(Duration::from_secs(1))));
    quotas.take_at(59 * SECOND, call("b", two)).unwrap();
    for _ in 0..2 {
        quotas.take_at(60 * SECOND, call("a", two)).unwrap();
    }
    quotas.take_at(60 * SECOND, call("a", two)).unwrap_err();
}

#[test]
fn without_an_end_a_quota_never_renews() {
    let quotas = Quotas::default();
    let one = calls(1, periods(0));
    quotas.take_at(0, call("a", one)).unwrap();
    let refused = quotas.take_at(i64::MAX / 2, call("a", one));
    assert_eq!(wait(refused), (UsedUp::Calls, None));
}

#[test]
fn bytes_are_counted_apart_from_calls() {
    let quotas = Quotas::default();
    let most = bytes(1000, periods(60));
    assert_eq!(quotas.add_bytes_at(0, key("a"), &most, 999), 999);
    for _ in 0..5 {
        quotas.take_at(0, call("a", most)).unwrap();
    }
    assert_eq!(quotas.add_bytes_at(0, key("a"), &most, 1), 1000);
    let refused = quotas.take_at(30 * SECOND, call("a", most));
    assert_eq!(
        wait(refused),
        (UsedUp::Bandwidth, Some(Duration::from_secs(30)))
    );
    quotas.take_at(60 * SECOND, call("a", most)).unwrap();
    assert_eq!(quotas.add_bytes_at(60 * SECOND, key("a"), &most, 0), 0);
}

#[test]
fn a_handshake_counts_once_with_its_largest_weight() {
    let quotas = Quotas::default();
    let ten = calls(10, periods(60));
    let first = quotas.take_at(0, call("a", ten)).unwrap().unwrap();
    let own = [first];
    let again = Call {
        own: &own,
        weight: 3,
        ..call("a", ten)
    };
    let more = quotas.take_at(0, again).unwrap().unwrap();
    assert_eq!(more.weight, 2);
    let own = [first, more];
    let again = Call {
        own: &own,
        ..call("a", ten)
    };
    assert_eq!(quotas.take_at(0, again).unwrap(), None);
    quotas.give_back(first);
    quotas.give_back(more);
    for _ in 0..10 {
        quotas.take_at(0, call("a", ten)).unwrap();
    }
    quotas.take_at(0, call("a", ten)).unwrap_err();
}

#[test]
fn what_must_not_count_needs_room_for_one() {
    let quotas = Quotas::default();
    let one = calls(1, periods(60));
    let free = Call {
        weight: 0,
        ..call("a", one)
    };
    assert_eq!(quotas.take_at(0, free), Ok(None));
    assert_eq!(quotas.keys(), 0);
    quotas.take_at(0, call("a", one)).unwrap();
    assert!(quotas.take_at(0, free).is_err());
}

#[test]
fn what_is_given_back_in_the_next_period_is_not_taken_from_it() {
    let quotas = Quotas::default();
    let one = calls(1, periods(60));
    let old = quotas.take_at(0, call("a", one)).unwrap().unwrap();
    quotas.take_at(60 * SECOND, call("a", one)).unwrap();
    quotas.give_back(old);
    quotas.take_at(61 * SECOND, call("a", one)).unwrap_err();
}

#[test]
fn a_flood_of_keys_is_bounded_and_renews_no_quota_that_is_used_up() {
    let quotas = Quotas::default();
    let five = calls(5, periods(0));
    for _ in 0..5 {
        quotas.take_at(0, call("victim", five)).unwrap();
    }
    for i in 0..3 * MAX_KEYS {
        let name = i.to_string();
        let _ = quotas.take_at(0, call(&name, five));
    }
    assert!(quotas.keys() <= MAX_KEYS, "{}", quotas.keys());
    assert!(quotas.evicted() > 0);
    quotas.take_at(0, call("victim", five)).unwrap_err();
}

#[test]
fn keys_whose_period_has_ended_are_forgotten() {
    let quotas = Quotas::default();
    quotas
        .take_at(0, call("old", calls(1, periods(60))))
        .unwrap();
    quotas
        .take_at(0, call("ever", calls(1, periods(0))))
        .unwrap();
    assert_eq!(quotas.keys(), 2);
    quotas.forget_ended();
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
    before.add_bytes_at(now(), key("ever"), &ever, 10);
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
    let foreign = whole.replace("\"version\":1", "\"version\":2");
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
async fn what_can_not_be_written_now_is_written_later() {
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
