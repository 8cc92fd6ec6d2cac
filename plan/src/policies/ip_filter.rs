//! ipFilter: are its entries addresses, ranges or CIDRs?

use std::net::IpAddr;

use tidegate_config::policy::IpFilter;

use super::address::is_network;
use super::check::{Access, Check, StepContext};
use crate::problem::Problem;

impl Check for IpFilter {
    const ACCESS: Access = Access::Always;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        check(self, step.path)
    }
}

fn check(policy: &IpFilter, path: &str) -> Vec<Problem> {
    if policy.allow.is_some() == policy.forbid.is_some() {
        return vec![Problem::invalid("exactly one of allow, forbid must be set").at(path)];
    }
    let lists = [("allow", &policy.allow), ("forbid", &policy.forbid)];
    let entries = lists.into_iter().flat_map(|(name, entries)| {
        let entries = entries.iter().flatten().enumerate();
        entries.map(move |(i, entry)| (format!("{path}.{name}[{i}]"), entry))
    });
    entries
        .filter(|(_, entry)| !is_entry(entry))
        .map(|(field, entry)| {
            let text = format!(
                "\"{entry}\" is not an address (10.1.2.3), range (10.0.0.1-10.0.0.9) or CIDR (10.0.0.0/8)"
            );
            Problem::invalid(text).at(&field)
        })
        .collect()
}

fn is_entry(entry: &str) -> bool {
    match entry.split_once('-') {
        Some((first, last)) => is_range(first.trim(), last.trim()),
        None => is_network(entry),
    }
}

fn is_range(first: &str, last: &str) -> bool {
    match (first.parse(), last.parse()) {
        (Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))) => first <= last,
        (Ok(IpAddr::V6(first)), Ok(IpAddr::V6(last))) => first <= last,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_addresses_ranges_or_cidrs() {
        for good in [
            "10.1.2.3",
            "2001:db8::1",
            "10.0.0.1-10.0.0.9",
            "10.0.0.1 - 10.0.0.1",
            "2001:db8::1-2001:db8::f",
            "10.0.0.0/8",
            "10.1.2.3/8",
            "2001:db8::/32",
        ] {
            assert!(is_entry(good), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "10.0.0",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-2001:db8::1",
            "10.0.0.0/33",
            "10.0.0.0-",
            "10.0.0.1-10.0.0.2-10.0.0.3",
        ] {
            assert!(!is_entry(bad), "{bad}");
        }
    }
}
