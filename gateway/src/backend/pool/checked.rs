//! Results of active health checks for a member. The checks themselves are in `backend::health`.

use std::sync::Arc;
use std::time::Instant;

use tidegate_config::ActiveHealthCheck;

use super::MemberState;

/// State of a member by active checks. It is healthy until checks say otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    /// Checks in a row that contradict `is_unhealthy`.
    contrary: u32,
    is_unhealthy: bool,
    /// When the next check is due. Kept here, so that a change of the configuration neither delays checks nor
    /// runs all of them at once.
    due: Option<Instant>,
}

impl Checked {
    pub(super) fn is_unhealthy(&self) -> bool {
        self.is_unhealthy
    }

    /// Counts a check. True: the state changed.
    fn found(&mut self, healthy: bool, rule: &ActiveHealthCheck) -> bool {
        if healthy != self.is_unhealthy {
            self.contrary = 0;
            return false;
        }
        self.contrary += 1;
        let threshold = if healthy {
            rule.healthy_threshold
        } else {
            rule.unhealthy_threshold
        };
        let changes = self.contrary >= threshold;
        if changes {
            self.is_unhealthy = !healthy;
            self.contrary = 0;
        }
        changes
    }
}

/// Access to a member's health for the active checks.
#[derive(Clone, Debug)]
pub(crate) struct HealthHandle(pub(super) Arc<MemberState>);

impl HealthHandle {
    /// When the next check is due; `None`: there was no check yet.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.health().checked.due
    }

    /// Sets when the next check is due.
    pub(crate) fn set_due(&self, due: Instant) {
        self.0.health().checked.due = Some(due);
    }

    /// Records a check. True: the state changed.
    pub(crate) fn found(&self, healthy: bool, rule: &ActiveHealthCheck) -> bool {
        self.0.health().checked.found(healthy, rule)
    }

    /// Resets the state: the member is no longer checked.
    pub(crate) fn forget(&self) {
        self.0.health().checked = Checked::default();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_takes_so_many_checks_in_a_row_to_change_our_mind() {
        let rule = json!({"type": "Tcp", "healthyThreshold": 2, "unhealthyThreshold": 3});
        let rule: ActiveHealthCheck = serde_json::from_value(rule).unwrap();
        let mut checked = Checked::default();
        let mut states = Vec::new();
        for healthy in [
            false, false, true, false, false, false, true, false, true, true, true,
        ] {
            let before = checked.is_unhealthy();
            assert_eq!(
                checked.found(healthy, &rule),
                before != checked.is_unhealthy()
            );
            states.push(u8::from(checked.is_unhealthy()));
        }
        assert_eq!(states, [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0]);
    }
}
