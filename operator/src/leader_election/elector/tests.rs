use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn elector(name: &str) -> Elector {
    Elector::new(name.to_owned(), Timing::default())
}

fn record(holder: Option<&str>, version: u64) -> ElectionRecord {
    ElectionRecord {
        holder: holder.map(str::to_owned),
        duration: Duration::from_secs(15),
        version: version.to_string(),
        transitions: 3,
    }
}

#[tokio::test(start_paused = true)]
async fn actions_follow_from_the_record_and_the_time_since_it_changed() {
    let start = Instant::now();
    let cases = [
        ("no lease", vec![(None, 0, Action::Create)]),
        (
            "released",
            vec![(Some(record(None, 1)), 0, Action::Acquire(4))],
        ),
        ("ours", vec![(Some(record(Some("a"), 1)), 0, Action::Renew)]),
        (
            "another's counts from when it was seen, whatever its clock says",
            vec![
                (Some(record(Some("b"), 1)), 0, Action::Wait),
                (Some(record(Some("b"), 1)), 14, Action::Wait),
                (Some(record(Some("b"), 1)), 15, Action::Acquire(4)),
            ],
        ),
        (
            "a renewal starts the count anew",
            vec![
                (Some(record(Some("b"), 1)), 0, Action::Wait),
                (Some(record(Some("b"), 2)), 14, Action::Wait),
                (Some(record(Some("b"), 2)), 28, Action::Wait),
                (Some(record(Some("b"), 2)), 29, Action::Acquire(4)),
            ],
        ),
    ];
    for (name, steps) in cases {
        let mut elector = elector("a");
        for (record, at, expected) in steps {
            let now = start + SECOND * at;
            assert_eq!(elector.decide(record, now), expected, "{name} at {at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn leadership_ends_with_the_deadline_and_with_a_lost_write() {
    let start = Instant::now();
    let mut elector = elector("a");
    elector.write_succeeded(start);
    assert!(elector.leads_until(start + SECOND * 9).is_some());
    assert!(elector.leads_until(start + SECOND * 10).is_none());
    elector.write_succeeded(start + SECOND * 10);
    elector.lost();
    assert!(elector.leads_until(start + SECOND * 11).is_none());
    elector.write_succeeded(start + SECOND * 12);
    elector.decide(Some(record(Some("b"), 9)), start + SECOND * 13);
    assert!(elector.leads_until(start + SECOND * 13).is_none());
}

#[test]
fn a_leader_stops_well_before_another_may_start() {
    let Timing {
        lease_duration,
        renew_deadline,
        renew_interval,
        retry_period,
    } = Timing::default();
    assert!(renew_deadline < lease_duration);
    assert!(
        renew_interval + retry_period * 2 < renew_deadline,
        "one failure must not lose the Lease"
    );
    assert!(
        retry_period < SECOND * 2,
        "a released Lease is acquired within 2 s"
    );
}

/// A Lease in a server that refuses stale writes, and whose requests and answers may be lost.
struct Server {
    record: Option<ElectionRecord>,
    version: u64,
}

impl Server {
    fn write(&mut self, next: Action, by: &str, read: Option<&ElectionRecord>) -> bool {
        if self.record.as_ref() != read {
            return false;
        }
        self.version += 1;
        let transitions = match next {
            Action::Acquire(transitions) => transitions,
            _ => read.map_or(0, |read| read.transitions),
        };
        self.record = Some(ElectionRecord {
            holder: Some(by.to_owned()),
            duration: Timing::default().lease_duration,
            version: self.version.to_string(),
            transitions,
        });
        true
    }
}

struct Candidate {
    elector: Elector,
    wakes: Instant,
    /// A write on its way: what was read, what was decided, when it was sent, when it arrives.
    write: Option<(Option<ElectionRecord>, Action, Instant, Instant)>,
}

/// Candidates whose requests take up to 4 s, get lost, or whose answers get lost: never two leaders.
#[tokio::test(start_paused = true)]
async fn no_two_candidates_lead_at_once_whatever_is_lost() {
    for seed in 0..300 {
        simulate(seed);
    }
}

fn simulate(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let start = Instant::now();
    let mut server = Server {
        record: None,
        version: 0,
    };
    let mut candidates: Vec<Candidate> = ["a", "b", "c"]
        .map(|name| Candidate {
            elector: elector(name),
            wakes: start,
            write: None,
        })
        .into();
    let mut led = 0_u32;
    for tick in 0..6000 {
        let now = start + Duration::from_millis(100) * tick;
        for candidate in &mut candidates {
            step(candidate, &mut server, &mut random, now);
        }
        let leaders = candidates
            .iter()
            .filter(|candidate| candidate.elector.leads_until(now).is_some());
        let leaders = leaders.count();
        assert!(
            leaders <= 1,
            "seed {seed}: {leaders} leaders at {:?}",
            now - start
        );
        led += u32::try_from(leaders).unwrap();
    }
    assert!(
        led > 600,
        "seed {seed}: nobody led for long ({led} of 6000)"
    );
}

fn step(candidate: &mut Candidate, server: &mut Server, random: &mut StdRng, now: Instant) {
    if let Some((read, next, sent, arrives)) = candidate.write.take() {
        if now < arrives {
            candidate.write = Some((read, next, sent, arrives));
            return;
        }
        let name = candidate.elector.identity().to_owned();
        let arrived = random.random_bool(0.85);
        let written = arrived && server.write(next, &name, read.as_ref());
        let answered = random.random_bool(0.85);
        if arrived && answered {
            if written {
                candidate.elector.write_succeeded(sent);
            } else {
                candidate.elector.lost();
            }
        }
        let pause = if random.random_bool(0.05) {
            20_000
        } else {
            random.random_range(500..5000)
        };
        candidate.wakes = now + Duration::from_millis(pause);
        return;
    }
    if now < candidate.wakes {
        return;
    }
    let read = server.record.clone();
    match candidate.elector.decide(read.clone(), now) {
        Action::Wait => candidate.wakes = now + SECOND,
        next => {
            let takes = Duration::from_millis(random.random_range(0..4000));
            candidate.write = Some((read, next, now, now + takes));
        }
    }
}
