//! ipFilter: only some client addresses pass, or all but some.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use crate::exchange::Exchange;
use crate::refusal::{Origin, Reason, Refusal};

/// The policy, compiled.
#[derive(Debug)]
struct IpFilter {
    /// Both ends included; in order, none touches the next.
    ranges: Vec<(IpAddr, IpAddr)>,
    /// Do the ranges pass, or everything else?
    allow: bool,
}

impl IpFilter {
    fn compile(policy: &policy::IpFilter, compiler: &Compiler<'_>) -> Result<Self, InvalidPolicy> {
        let (field, entries, allow) = match (&policy.allow, &policy.forbid) {
            (Some(entries), None) => ("allow", entries, true),
            (None, Some(entries)) => ("forbid", entries, false),
            _ => {
                let problem = "exactly one of allow, forbid must be set";
                return Err(compiler.invalid("ipFilter", problem));
            }
        };
        let one = |(i, entry): (usize, &String)| {
            range(entry).ok_or_else(|| {
                let problem =
                    format!("\"{entry}\" is not an address, a range (10.0.0.1-10.0.0.9) or a CIDR");
                compiler.invalid(&format!("ipFilter.{field}[{i}]"), problem)
            })
        };
        let ranges = entries
            .iter()
            .enumerate()
            .map(one)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            ranges: merged(ranges),
            allow,
        })
    }

    fn contains(&self, address: IpAddr) -> bool {
        // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2).
        let address = address.to_canonical();
        let behind = self.ranges.partition_point(|(from, _)| *from <= address);
        let candidate = behind.checked_sub(1).and_then(|at| self.ranges.get(at));
        candidate.is_some_and(|(_, to)| address <= *to)
    }
}

impl Compile for policy::IpFilter {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        IpFilter::compile(self, compiler).map(Action::now)
    }
}

impl Now for IpFilter {
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let listed = self.contains(exchange.client.ip);
        let reason = match (self.allow, listed) {
            (true, true) | (false, false) => return Ok(()),
            (true, false) => Reason::CallerIpNotAllowed,
            (false, true) => Reason::CallerIpBlocked,
        };
        Err(Refusal::new(403, reason, Origin::Policy, "Forbidden"))
    }
}

/// An address, a range or a CIDR, whose host part may be set: `10.1.2.3/8` is `10.0.0.0/8`.
fn range(entry: &str) -> Option<(IpAddr, IpAddr)> {
    let (from, to) = match (entry.split_once('-'), entry.contains('/')) {
        (Some((from, to)), _) => (from.trim().parse().ok()?, to.trim().parse().ok()?),
        (None, true) => {
            let net: IpNet = entry.parse().ok()?;
            (net.network(), net.broadcast())
        }
        (None, false) => {
            let address: IpAddr = entry.parse().ok()?;
            (address, address)
        }
    };
    let (from, to): (IpAddr, IpAddr) = (from.to_canonical(), to.to_canonical());
    (from.is_ipv4() == to.is_ipv4() && from <= to).then_some((from, to))
}

fn merged(mut ranges: Vec<(IpAddr, IpAddr)>) -> Vec<(IpAddr, IpAddr)> {
    ranges.sort_unstable();
    let mut merged: Vec<(IpAddr, IpAddr)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match merged.last_mut() {
            Some((_, end)) if successor(*end).is_some_and(|next| from <= next) => {
                *end = to.max(*end);
            }
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// The next address of the same family.
fn successor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let next = u32::from(address).checked_add(1)?;
            Some(IpAddr::V4(Ipv4Addr::from(next)))
        }
        IpAddr::V6(address) => {
            let next = u128::from(address).checked_add(1)?;
            Some(IpAddr::V6(Ipv6Addr::from(next)))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::policy::tests::{compile_error, exchange, refused, run_inbound};
    use crate::refusal::Reason;

    async fn refusal_of(filter: Value, client: &str) -> Option<Reason> {
        let mut exchange = exchange(&[]);
        exchange.client.ip = client.parse().unwrap();
        let result = run_inbound(&[json!({ "ipFilter": filter })], &mut exchange).await;
        result
            .map_err(|refusal| {
                assert_eq!(
                    (refusal.status, refusal.message.as_str()),
                    (403, "Forbidden")
                );
                refusal.reason
            })
            .err()
    }

    #[tokio::test]
    async fn addresses_ranges_and_cidrs_match() {
        for (entry, inside, outside) in [
            (
                "10.1.2.3",
                &["10.1.2.3", "::ffff:10.1.2.3"][..],
                &["10.1.2.4", "::1"][..],
            ),
            (
                "10.0.0.5-10.0.1.2",
                &["10.0.0.5", "10.0.0.255", "10.0.1.2"],
                &["10.0.0.4", "10.0.1.3"],
            ),
            (
                "10.1.0.0/16",
                &["10.1.0.0", "10.1.255.255"],
                &["10.0.255.255", "10.2.0.0"],
            ),
            ("10.1.2.3/16", &["10.1.0.0"], &["10.2.0.0"]),
            ("0.0.0.0/0", &["1.2.3.4"], &["2001:db8::1"]),
            ("::/0", &["2001:db8::1"], &["1.2.3.4"]),
            ("2001:db8::/32", &["2001:db8:1::1"], &["2001:db9::1"]),
            (
                "2001:db8::1-2001:db8::ff",
                &["2001:db8::7f"],
                &["2001:db8::100"],
            ),
            ("::ffff:10.0.0.0/104", &["10.9.9.9"], &["11.0.0.0"]),
        ] {
            for client in inside {
                assert_eq!(
                    refusal_of(json!({"allow": [entry]}), client).await,
                    None,
                    "{client} in {entry}"
                );
                let forbidden = refusal_of(json!({"forbid": [entry]}), client).await;
                assert_eq!(
                    forbidden,
                    Some(Reason::CallerIpBlocked),
                    "{client} in {entry}"
                );
            }
            for client in outside {
                let refused = refusal_of(json!({"allow": [entry]}), client).await;
                assert_eq!(
                    refused,
                    Some(Reason::CallerIpNotAllowed),
                    "{client} not in {entry}"
                );
                assert_eq!(
                    refusal_of(json!({"forbid": [entry]}), client).await,
                    None,
                    "{client} not in {entry}"
                );
            }
        }
    }

    #[tokio::test]
    async fn many_entries_in_any_order_overlap_freely() {
        let allow = json!({"allow": ["10.0.0.9", "10.0.0.0/29", "10.0.0.4-10.0.0.6", "10.0.0.8", "fe80::1", "10.0.0.20"]});
        for (client, passes) in [
            ("10.0.0.7", true),
            ("10.0.0.9", true),
            ("10.0.0.10", false),
            ("10.0.0.20", true),
            ("fe80::1", true),
        ] {
            assert_eq!(
                refusal_of(allow.clone(), client).await.is_none(),
                passes,
                "{client}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_place() {
        for entry in [
            "10.0.0",
            "10.0.0.0/33",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-::2",
            "a",
            "fe80::1%eth0",
        ] {
            let error = compile_error(json!({"ipFilter": {"allow": ["10.0.0.1", entry]}}));
            assert!(
                error.starts_with("onHandshake.inbound[0].ipFilter.allow[1]: "),
                "{error}"
            );
        }
        let both =
            compile_error(json!({"ipFilter": {"allow": ["10.0.0.1"], "forbid": ["10.0.0.1"]}}));
        assert!(both.contains("exactly one of"), "{both}");
    }

    #[tokio::test]
    async fn the_step_is_named() {
        let refusal = refused(
            run_inbound(
                &[json!({"id": "office", "ipFilter": {"allow": ["10.0.0.1"]}})],
                &mut exchange(&[]),
            )
            .await,
        );
        assert_eq!(refusal.step.as_deref(), Some("office"));
    }
}
