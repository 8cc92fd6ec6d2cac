//! Collects the dependencies that the pod cannot reach, so that the operator can report them to the objects
//! that need them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::GatewayState;
use crate::policy::Services;

/// How often to check; the acknowledgement is at most this late.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Runs for ever. Spawn it once, through the drain.
pub(super) async fn watch(state: Arc<GatewayState>, services: Arc<Services>) {
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let unreachable = services.unreachable();
        state.applied.send_if_modified(|applied| {
            let is_news = applied.unreachable != unreachable;
            applied.unreachable = unreachable;
            is_news
        });
    }
}
