//! What `run` prints: each thing once, until it is another one.

use std::time::Duration;

use tidegate_config::ObjectKey;
use tidegate_gateway::{Applied, BoundListener};
use tidegate_plan::KeyRequest;

use super::api_lines::{ApiLine, api_lines};
use super::say;
use crate::finding::{Finding, escaped};
use crate::keys::KeyStore;
use crate::standalone::{Report, Standalone};
use crate::summary::ApiUrls;

/// How long to wait until every Gateway has applied a revision, before printing what is known.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many changes a line names.
const MAX_CHANGES: usize = 10;

/// What was printed already.
pub(super) struct Printer {
    keys: KeyStore,
    /// The command that shows a key, without the Subscription.
    key_command: KeyCommand,
    apis: Vec<ApiUrls>,
    printed: Printed,
    /// Of the last report; `None` before the first one.
    revision: Option<u64>,
    closed: u64,
}

/// How `tidegate keys show` finds the keys of this run.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyCommand {
    /// The program.
    pub(super) program: String,
    /// Its options.
    pub(super) options: String,
}

#[derive(Default)]
struct Printed {
    findings: Vec<Finding>,
    stand_ins: Vec<String>,
    addresses: Vec<String>,
    apis: Vec<ApiLine>,
    errors: Vec<String>,
    notes: Vec<String>,
}

impl Printer {
    pub(super) fn new(keys: KeyStore, key_command: KeyCommand) -> Self {
        Self {
            keys,
            key_command,
            apis: Vec::new(),
            printed: Printed::default(),
            revision: None,
            closed: 0,
        }
    }

    /// Prints what a reload did, when all Gateways have applied it.
    pub(super) async fn report(&mut self, standalone: &mut Standalone, report: Report) {
        standalone.settled(SETTLE_TIMEOUT).await;
        for request in &report.generated {
            say(&self.generated(request));
        }
        for secret in &report.removed {
            say(&format!(
                "keys of Secret {secret} removed: its Subscription is gone"
            ));
        }
        print_new(&mut self.printed.findings, report.findings);
        let stand_ins = standalone.stand_ins();
        let stand_ins = stand_ins
            .map(|(backend, address)| format!("echo server for {backend}: ws://{address}"));
        print_new(&mut self.printed.stand_ins, stand_ins.collect());
        self.apis = report.apis;
        self.state(standalone);
        print_new(&mut self.printed.notes, report.notes);
        let closed = standalone.closed_tunnels();
        let is_new = self.revision.is_some_and(|revision| {
            revision != report.revision || !report.changes.is_empty() || closed != self.closed
        });
        if is_new {
            let line = reloaded(report.revision, &report.changes, closed - self.closed);
            say(&escaped(&line));
        }
        (self.revision, self.closed) = (Some(report.revision), closed);
    }

    /// Prints what the Gateways say of themselves.
    pub(super) fn state(&mut self, standalone: &mut Standalone) {
        let states = standalone.states();
        print_new(&mut self.printed.errors, errors(states.into_iter()));
        let bound = standalone.bound();
        let bound = bound.iter();
        let addresses = bound.map(|(gateway, bound)| bound_line(&gateway.name, bound));
        let mut addresses: Vec<_> = addresses.collect();
        let key_command = |subscription: &ObjectKey| self.key_command.of(subscription);
        let apis = api_lines(&self.apis, &standalone.ports(), key_command);
        let admin = standalone.admin_addresses().into_iter();
        let admin =
            admin.map(|(gateway, address)| format!("{} admin http://{address}", gateway.name));
        addresses.extend(admin);
        print_new(&mut self.printed.addresses, addresses);
        print_new(&mut self.printed.apis, apis);
    }

    fn generated(&self, request: &KeyRequest) -> String {
        let which = match (request.primary, request.secondary) {
            (Some(_), None) => "primary key",
            (None, Some(_)) => "secondary key",
            _ => "keys",
        };
        let done = match request.exists {
            true => "renewed",
            false => "generated",
        };
        let path = self.keys.path(&request.secret);
        let subscription = &request.subscription;
        format!(
            "Subscription {subscription}: {which} {done} in {}; to show one: {}",
            path.display(),
            self.key_command.of(subscription)
        )
    }
}

impl KeyCommand {
    fn of(&self, subscription: &ObjectKey) -> String {
        let name = crate::summary::short(subscription);
        format!("{} keys show {name}{}", self.program, self.options)
    }
}

/// `reloaded, revision 4: Subscription globex suspended, 1 tunnel closed`.
fn reloaded(revision: u64, changes: &[String], closed: u64) -> String {
    let mut parts: Vec<_> = changes.iter().take(MAX_CHANGES).cloned().collect();
    let more = changes.len().saturating_sub(MAX_CHANGES);
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    match closed {
        0 => {}
        1 => parts.push("1 tunnel closed".to_owned()),
        _ => parts.push(format!("{closed} tunnels closed")),
    }
    match parts.is_empty() {
        true => format!("reloaded, revision {revision}"),
        false => format!("reloaded, revision {revision}: {}", parts.join(", ")),
    }
}

fn errors(states: impl Iterator<Item = (ObjectKey, Applied)>) -> Vec<String> {
    let mut errors = Vec::new();
    for (gateway, state) in states {
        for rejected in state.rejected {
            let cure = match rejected.message.contains(" cannot be bound to ") {
                true => "; change the port in the manifest, or take any free one with --free-ports",
                false => "",
            };
            errors.push(format!(
                "{} {}: {}{cure}",
                rejected.kind, rejected.key, rejected.message
            ));
        }
        let error = state.error;
        errors.extend(error.map(|error| format!("Gateway {gateway}: {error}")));
    }
    errors
}

fn print_new<T: ToString + PartialEq>(printed: &mut Vec<T>, now: Vec<T>) {
    for line in now.iter().filter(|line| !printed.contains(line)) {
        say(&escaped(&line.to_string()));
    }
    *printed = now;
}

/// One line for a bound address: `GATEWAY/LISTENER SCHEME://ADDRESS`.
fn bound_line(gateway: &str, bound: &BoundListener) -> String {
    let scheme = match bound.protocol {
        tidegate_config::Protocol::Ws => "ws",
        tidegate_config::Protocol::Wss => "wss",
    };
    format!("{gateway}/{} {scheme}://{}", bound.name, bound.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_is_one_line() {
        let suspended = "Subscription globex suspended".to_owned();
        let many = vec!["x".to_owned(); 12];
        for (changes, closed, line) in [
            (&[][..], 0, "reloaded, revision 4"),
            (
                std::slice::from_ref(&suspended),
                1,
                "reloaded, revision 4: Subscription globex suspended, 1 tunnel closed",
            ),
            (&[], 2, "reloaded, revision 4: 2 tunnels closed"),
            (
                &many,
                0,
                "reloaded, revision 4: x, x, x, x, x, x, x, x, x, x, 2 more",
            ),
        ] {
            assert_eq!(reloaded(4, changes, closed), line);
        }
    }
}
