use std::sync::Arc;

use tidegate_config::{ANNOTATION_CONFIG_ERROR, ANNOTATION_REVISION, SHARD_KEY};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::server::Server;
use super::*;
use crate::configuration::Applied;
use crate::configuration::update::testing::update;

mod server;

const LIMIT: Duration = Duration::from_secs(20);

struct Following {
    updates: watch::Receiver<Option<Arc<Update>>>,
    problems: watch::Receiver<Option<Problem>>,
    _task: JoinSet<()>,
}

fn cluster(server: &Server) -> Cluster {
    // Fails when another test was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let url = format!("http://{}", server.address).parse().unwrap();
    Cluster {
        client: Client::try_from(Config::new(url)).unwrap(),
        gateway: update(1).config.settings.key,
    }
}

fn follow(server: &Server, backup: Option<StateDir>) -> Following {
    let (feed, updates, problems) = Feed::new();
    let mut task = JoinSet::new();
    task.spawn(cluster(server).run(feed, backup));
    Following {
        updates,
        problems,
        _task: task,
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {LIMIT:?} for {what}"),
    }
}

impl Following {
    async fn update(&mut self, expected: &Update) {
        let found = self
            .updates
            .wait_for(|update| update.as_deref() == Some(expected));
        within("the update", found).await.unwrap();
    }

    async fn problem(&mut self, expected: Option<&'static str>) {
        let what = format!("the problem {expected:?}");
        let found = self
            .problems
            .wait_for(|problem| problem.as_ref().map(|problem| problem.reason) == expected);
        within(&what, found).await.unwrap();
    }

    fn revision(&self) -> u64 {
        self.updates
            .borrow()
            .as_ref()
            .map_or(0, |update| update.revision)
    }
}

fn other(revision: u64) -> Update {
    let mut other = update(revision);
    other.config.settings.generation += 1;
    other
}

#[tokio::test]
async fn every_whole_revision_is_published() {
    let server = Server::start().await;
    let mut following = follow(&server, None);
    following.problem(Some("index_missing")).await;
    server.publish(&update(7));
    following.update(&update(7)).await;
    server.publish(&other(8));
    following.update(&other(8)).await;
    following.problem(None).await;
}

#[tokio::test]
async fn a_role_that_comes_late_is_waited_for() {
    let server = Server::start().await;
    server.set_forbidden(true);
    server.publish(&update(7));
    let mut following = follow(&server, None);
    following.problem(Some("secret_unreadable")).await;
    server.set_forbidden(false);
    following.update(&update(7)).await;
    following.problem(None).await;
}

#[tokio::test]
async fn the_last_good_revision_stays_while_a_part_is_damaged() {
    let server = Server::start().await;
    let rendered = server.publish(&update(7));
    let mut following = follow(&server, None);
    following.update(&update(7)).await;

    let (name, text) = rendered.shards.first_key_value().unwrap();
    server.put(name, SHARD_KEY, "{}");
    following.problem(Some("part_corrupt")).await;
    server.delete(name);
    following.problem(Some("part_missing")).await;
    assert_eq!(following.revision(), 7);

    server.put(name, SHARD_KEY, text);
    following.problem(None).await;
    assert_eq!(following.revision(), 7);
}

#[tokio::test]
async fn an_api_server_that_was_away_is_followed_again() {
    let server = Server::start().await;
    server.publish(&update(7));
    let mut following = follow(&server, None);
    following.update(&update(7)).await;

    server.set_down(true);
    server.publish(&other(8));
    within("a request that is refused", server.refused()).await;
    assert_eq!(following.revision(), 7);
    server.set_down(false);
    following.update(&other(8)).await;
}

#[tokio::test]
async fn a_start_without_the_api_server_uses_the_backup() {
    let root = tempfile::tempdir().unwrap();
    let backup = StateDir::new(root.path());
    backup.save(&update(7)).unwrap();
    let server = Server::start().await;
    server.set_down(true);
    let mut following = follow(&server, Some(backup));
    following.problem(Some("watch_failed")).await;
    following.update(&update(7)).await;
    following.problem(Some("saved_configuration")).await;

    server.publish(&other(8));
    server.set_down(false);
    following.update(&other(8)).await;
    following.problem(None).await;
}

#[tokio::test]
async fn the_backup_of_another_gateway_is_not_used() {
    let root = tempfile::tempdir().unwrap();
    let backup = StateDir::new(root.path());
    let mut foreign = update(7);
    foreign.config.settings.key.name = "other".to_owned();
    backup.save(&foreign).unwrap();
    let server = Server::start().await;
    let (feed, updates, _problems) = Feed::new();
    let mut follower = Follower::new(cluster(&server), feed);
    follower.start_cold(&backup).await;
    assert_eq!(*updates.borrow(), None);
}

#[tokio::test]
async fn the_acknowledgement_follows_the_status_and_is_withdrawn() {
    let server = Server::start().await;
    let pod = Pod {
        name: "edge-1".to_owned(),
        uid: None,
    };
    let ack = cluster(&server).ack(pod);
    let status = watch::Sender::new(Applied {
        revision: 3,
        ..Applied::default()
    });
    let annotation = |lease: Option<&serde_json::Value>, name: &str| {
        lease.and_then(|lease| {
            lease["metadata"]["annotations"][name]
                .as_str()
                .map(str::to_owned)
        })
    };
    let mut task = JoinSet::new();
    let (running, applied) = (ack.clone(), status.subscribe());
    task.spawn(async move { running.run(applied).await });
    let at = |revision: &'static str| {
        server.lease("edge-1", move |lease| {
            annotation(lease, ANNOTATION_REVISION).as_deref() == Some(revision)
        })
    };
    within("the first revision", at("3")).await;

    // Sooner than the next renewal, or the limit would be missed by the operator's users.
    status.send_modify(|applied| applied.revision = 4);
    within("the next revision", at("4")).await;
    status.send_modify(|applied| applied.error = Some("torn".to_owned()));
    let torn = server.lease("edge-1", |lease| {
        annotation(lease, ANNOTATION_CONFIG_ERROR).as_deref() == Some("torn")
    });
    within("the error", torn).await;

    task.shutdown().await;
    ack.withdraw().await;
    within(
        "the Lease to go",
        server.lease("edge-1", |lease| lease.is_none()),
    )
    .await;
}
