//! Addresses that authors write.

use std::net::IpAddr;

use ipnet::IpNet;

/// Is this an address or a CIDR?
pub(crate) fn is_network(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok()
}
