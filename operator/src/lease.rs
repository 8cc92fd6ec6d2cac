//! Which replica writes: one Lease, one leader. Client required.
//!
//! A replica that does not lead keeps watching, so that it can take over at once. Losing the Lease
//! ends nothing but writing: the replica campaigns again.

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
use elector::{Elector, Move, Record};

/// A request that takes longer has failed: two of them must fit into the deadline.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// How long giving the Lease back may take at the end; after that it expires by itself.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Until when this replica leads. Cheap to ask before every write.
#[derive(Clone, Debug)]
pub(crate) struct Leadership(watch::Receiver<Option<Instant>>);

impl Leadership {
    /// Without an election: this replica leads for good.
    pub(crate) fn forever() -> Self {
        // A century; `Instant` has no greatest value.
        let end = Instant::now() + Duration::from_secs(100 * 365 * 24 * 3600);
        Self(watch::channel(Some(end)).1)
    }

    /// May this replica write now?
    pub(crate) fn leads(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Resolves when leadership was won, renewed or lost; never when the election is over.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Takes part in the election until told to stop.
pub(crate) struct Campaign {
    api: Api<Lease>,
    name: String,
    elector: Elector,
    claim: watch::Sender<Option<Instant>>,
}

/// Why a step of the campaign failed.
#[derive(Debug, thiserror::Error)]
enum CampaignError {
    #[error("failed to read the lease")]
    Read(#[source] kube::Error),
    #[error("failed to write the lease")]
    Write(#[source] kube::Error),
    #[error("the API server did not answer in time")]
    Timeout,
}

impl Campaign {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: String,
    ) -> (Self, Leadership) {
        let (claim, leadership) = watch::channel(None);
        let campaign = Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            elector: Elector::new(identity, Timing::default()),
            claim,
        };
        (campaign, Leadership(leadership))
    }

    /// Campaigns and renews until `stop`, then gives the Lease back.
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

    /// Tells everyone who leads; returns how long to pause.
    fn publish(&mut self, failed: bool) -> Duration {
        let now = Instant::now();
        let until = self.elector.leads_until(now);
        let Timing { renew, retry, .. } = self.elector.timing();
        let led = self.claim.send_replace(until).is_some();
        match (led, until.is_some()) {
            (false, true) => tracing::info!(lease = self.name, "this replica leads"),
            (true, false) => tracing::warn!(lease = self.name, "this replica no longer leads"),
            (true, true) | (false, false) => {}
        }
        match until {
            // Never asleep past the end of what we hold.
            Some(until) if failed => retry.min(until - now),
            Some(_) => renew,
            None => retry,
        }
    }

    async fn step(&mut self) -> Result<(), CampaignError> {
        let read = tokio::time::timeout(REQUEST_TIMEOUT, self.api.get_opt(&self.name));
        let lease = read
            .await
            .map_err(|_| CampaignError::Timeout)?
            .map_err(CampaignError::Read)?;
        let record = lease.as_ref().map(record_of);
        let next = self.elector.decide(record, Instant::now());
        let sent = Instant::now();
        let written = match (next, lease) {
            (Move::Wait, _) => return Ok(()),
            (Move::Create, _) | (_, None) => self.write(self.draft(None, 0), false).await?,
            (Move::Take(transitions), Some(lease)) => {
                self.write(self.draft(Some(lease), transitions), true)
                    .await?
            }
            (Move::Renew, Some(lease)) => self.write(renewed(lease), true).await?,
        };
        if written {
            self.elector.wrote(sent);
        } else {
            self.elector.lost();
        }
        Ok(())
    }

    /// Writes `lease`; false when somebody else wrote first.
    async fn write(&self, lease: Lease, replace: bool) -> Result<bool, CampaignError> {
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
            Err(_) => Err(CampaignError::Timeout),
            Ok(Ok(_)) => Ok(true),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(false),
            Ok(Err(error)) => Err(CampaignError::Write(error)),
        }
    }

    /// The record that names us. Keeps the resource version of `old`, which makes the write fail
    /// when somebody else wrote in between.
    fn draft(&self, old: Option<Lease>, transitions: i32) -> Lease {
        let now = MicroTime(Timestamp::now());
        let seconds = self.elector.timing().duration.as_secs();
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
        let led = self.claim.send_replace(None).is_some();
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
                // The API server wants a duration above 0.
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
                spec.renew_time = Some(MicroTime(Timestamp::now()));
                matches!(self.write(lease, true).await, Ok(true))
            };
        match tokio::time::timeout(RELEASE_TIMEOUT, release).await {
            Ok(true) => tracing::info!(lease = self.name, "gave the lease back"),
            Ok(false) | Err(_) => {
                tracing::warn!(lease = self.name, "could not give the lease back")
            }
        }
    }
}

fn renewed(mut lease: Lease) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.renew_time = Some(MicroTime(Timestamp::now()));
    lease
}

fn record_of(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    Record {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or_default(),
    }
}
