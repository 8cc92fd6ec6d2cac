//! What the pod needs besides its configuration and cannot reach: looked at now and then, for the
//! operator to tell those whose policies need it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::State;
use crate::policy::Services;

/// How late the acknowledgement may be with it.
const LOOK: Duration = Duration::from_secs(1);

/// For ever. To be spawned once, through the drain.
pub(super) async fn watch(state: Arc<State>, services: Arc<Services>) {
    let mut ticks = interval(LOOK);
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
