//! Leader election: the replica that holds the Lease writes. Client required.
//!
//! A replica that does not lead keeps watching, so that it can take over at once. A leader that loses the
//! Lease only stops writing, and becomes a candidate again.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod elector;

pub(crate) use elector::Timing;
use elector::{Action, ElectionRecord, Elector};

/// Time for one request: two must fit into the deadline of a renewal.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// Time for releasing the Lease at the end; after that it expires by itself.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether this replica leads. Cheap to ask before every write.
#[derive(Clone, Debug)]
pub(crate) struct Leadership(watch::Receiver<Term>);

/// How long this replica leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    /// It does not lead.
    None,
    /// Until this time, unless it renews the Lease.
    Until(Instant),
    /// Without an end: there is no election.
    Unlimited,
}

impl Term {
    fn leads(self) -> bool {
        match self {
            Self::None => false,
            Self::Until(end) => Instant::now() < end,
            Self::Unlimited => true,
        }
    }
}

impl Leadership {
    /// Without an election: this replica always leads.
    pub(crate) fn always() -> Self {
        Self(watch::channel(Term::Unlimited).1)
    }

    /// May this replica write now?
    pub(crate) fn leads(&self) -> bool {
        self.0.borrow().leads()
    }

    /// Resolves when leadership was won, renewed or lost; never when the election is over.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// One candidate in the election.
pub(crate) struct LeaderElection {
    api: Api<Lease>,
    name: String,
    elector: Elector,
    term: watch::Sender<Term>,
}

/// Why a step of the election failed.
#[derive(Debug, thiserror::Error)]
enum ElectionError {
    #[error("failed to read the Lease")]
    Read(#[source] kube::Error),
    #[error("failed to write the Lease")]
    Write(#[source] kube::Error),
    #[error("the API server did not answer in time")]
    Timeout,
}

impl LeaderElection {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: String,
    ) -> (Self, Leadership) {
        let (term, leadership) = watch::channel(Term::None);
        let election = Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            elector: Elector::new(identity, Timing::default()),
            term,
        };
        (election, Leadership(leadership))
    }

    /// Acquires and renews the Lease until `stop`, then releases it.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let failed = match stop.run_until_cancelled(self.step()).await {
                None => break,
                Some(Ok(())) => false,
                Some(Err(error)) => {
                    tracing::warn!(error = %crate::error_chain(&error), "leader election failed");
                    true
                }
            };
            let pause = self.publish(failed);
            if stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                break;
            }
        }
        self.release().await;
    }

    /// Publishes whether this replica leads; returns the pause before the next step.
    fn publish(&mut self, failed: bool) -> Duration {
        let now = Instant::now();
        let until = self.elector.leads_until(now);
        let Timing {
            renew_interval,
            retry_period,
            ..
        } = self.elector.timing();
        let term = until.map_or(Term::None, Term::Until);
        let led = self.term.send_replace(term) != Term::None;
        match (led, until.is_some()) {
            (false, true) => tracing::info!(lease = self.name, "this replica is the leader"),
            (true, false) => {
                tracing::warn!(lease = self.name, "this replica is no longer the leader")
            }
            (true, true) | (false, false) => {}
        }
        match until {
            // The term must not end during the pause.
            Some(until) if failed => retry_period.min(until - now),
            Some(_) => renew_interval,
            None => retry_period,
        }
    }

    async fn step(&mut self) -> Result<(), ElectionError> {
        let read = tokio::time::timeout(REQUEST_TIMEOUT, self.api.get_opt(&self.name));
        let lease = read
            .await
            .map_err(|_| ElectionError::Timeout)?
            .map_err(ElectionError::Read)?;
        let record = lease.as_ref().map(record_of);
        let next = self.elector.decide(record, Instant::now());
        let sent = Instant::now();
        let written = match (next, lease) {
            (Action::Wait, _) => return Ok(()),
            (Action::Create, _) | (_, None) => self.write(self.acquired(None, 0), false).await?,
            (Action::Acquire(transitions), Some(lease)) => {
                self.write(self.acquired(Some(lease), transitions), true)
                    .await?
            }
            (Action::Renew, Some(lease)) => self.write(renewed(lease), true).await?,
        };
        if written {
            self.elector.write_succeeded(sent);
        } else {
            self.elector.lost();
        }
        Ok(())
    }

    /// Writes `lease`; false when another replica wrote it first.
    async fn write(&self, lease: Lease, replace: bool) -> Result<bool, ElectionError> {
        let params = PostParams {
            field_manager: Some(crate::FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let request = async {
            if replace {
                self.api.replace(&self.name, &params, &lease).await
            } else {
                self.api.create(&params, &lease).await
            }
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
            Err(_) => Err(ElectionError::Timeout),
            Ok(Ok(_)) => Ok(true),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(false),
            Ok(Err(error)) => Err(ElectionError::Write(error)),
        }
    }

    /// A Lease that names this replica. It has the resource version of `old`, which makes the write fail when
    /// another replica wrote in between.
    fn acquired(&self, old: Option<Lease>, transitions: i32) -> Lease {
        let now = MicroTime(Timestamp::now());
        let seconds = self.elector.timing().lease_duration.as_secs();
        let spec = LeaseSpec {
            holder_identity: Some(self.elector.identity().to_owned()),
            lease_duration_seconds: i32::try_from(seconds).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        };
        let metadata = old.map_or_else(
            || ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            |lease| lease.metadata,
        );
        Lease {
            metadata,
            spec: Some(spec),
        }
    }

    /// Lets the next replica take over without waiting for expiry.
    async fn release(&self) {
        let led = self.term.send_replace(Term::None) != Term::None;
        if !led {
            return;
        }
        let release =
            async {
                let Ok(Some(mut lease)) = self.api.get_opt(&self.name).await else {
                    return false;
                };
                let Some(spec) = lease.spec.as_mut().filter(|spec| {
                    spec.holder_identity.as_deref() == Some(self.elector.identity())
                }) else {
                    return false;
                };
                // The API server refuses a duration of 0.
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
                spec.renew_time = Some(MicroTime(Timestamp::now()));
                matches!(self.write(lease, true).await, Ok(true))
            };
        match tokio::time::timeout(RELEASE_TIMEOUT, release).await {
            Ok(true) => tracing::info!(lease = self.name, "released the Lease"),
            Ok(false) | Err(_) => {
                tracing::warn!(lease = self.name, "failed to release the Lease")
            }
        }
    }
}

fn renewed(mut lease: Lease) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.renew_time = Some(MicroTime(Timestamp::now()));
    lease
}

fn record_of(lease: &Lease) -> ElectionRecord {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    ElectionRecord {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or_default(),
    }
}
