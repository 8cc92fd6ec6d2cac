//! Forbidden destinations of the gateway's own requests: addresses that trust every process of this machine. The
//! admin server is one of them.
//!
//! Metadata services of clouds hand out credentials to any local process. A policy's URL, a
//! discovery document or a redirect must not make the gateway fetch them. Names are judged by the
//! addresses they resolve to, and the connection goes to those judged: a second lookup between the
//! judgement and the connect could answer otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::http_client::admin_ports::{AdminPorts, OwnAdminServer, is_own};

/// Metadata services of clouds outside the link-local ranges: Alibaba, Azure's wire server, Oracle.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// Google's metadata service.
const METADATA_V6: [Ipv6Addr; 1] = [Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// A request would have gone to an address that it may not go to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Forbidden {
    #[error("{0} is a link-local or metadata address, where requests of the gateway may not go")]
    Metadata(IpAddr),
    #[error(transparent)]
    Admin(#[from] OwnAdminServer),
}

/// Keeps requests away from forbidden addresses, unless the Gateway lets them go there. Clones are
/// one and the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    open: Arc<AtomicBool>,
    admin_ports: AdminPorts,
}

impl Guard {
    /// One that keeps requests away from these admin servers besides.
    pub(crate) fn new(admin_ports: AdminPorts) -> Self {
        Self {
            admin_ports,
            ..Self::default()
        }
    }

    /// The admin servers, which are always forbidden.
    pub(crate) fn admin_ports(&self) -> &AdminPorts {
        &self.admin_ports
    }

    /// Lets requests go everywhere, or no longer.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Refuses a URL whose host is a forbidden address: those never reach the resolver.
    pub(super) fn check_url(&self, url: &Url) -> Result<(), Forbidden> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        if let Some(port) = url.port_or_known_default() {
            self.admin_ports.check(SocketAddr::new(address, port))?;
        }
        match self.is_open() {
            true => Ok(()),
            false => check(address),
        }
    }

    /// Does the URL name a port at which an admin server listens, here or elsewhere?
    pub(super) fn has_admin_port(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        port.is_some_and(|port| self.admin_ports.has(port))
    }
}

/// The system's resolver, without forbidden addresses.
#[derive(Debug)]
pub(super) struct GuardedResolver {
    pub(super) guard: Guard,
    /// Are names for the port of an admin server? The port itself it is not told.
    pub(super) at_admin_port: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, at_admin_port) = (self.guard.clone(), self.at_admin_port);
        Box::pin(async move {
            // The port of the URL replaces 0.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<_> = found.collect();
            if at_admin_port && let Some(own) = found.iter().find(|found| is_own(**found)) {
                return Err(OwnAdminServer::new(*own).into());
            }
            if guard.is_open() {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            Ok(Box::new(allowed(found.into_iter())?.into_iter()) as Addrs)
        })
    }
}

/// All addresses of a name or none: who mixes a forbidden one in has no good reason to.
fn allowed(found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Forbidden> {
    found
        .map(|address| check(address.ip()).map(|()| address))
        .collect()
}

fn check(address: IpAddr) -> Result<(), Forbidden> {
    let forbidden = match address {
        IpAddr::V4(v4) => is_forbidden_v4(v4),
        IpAddr::V6(v6) => is_forbidden_v6(v6),
    };
    if forbidden {
        return Err(Forbidden::Metadata(address));
    }
    Ok(())
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    address.is_link_local() || METADATA_V4.contains(&address)
}

fn is_forbidden_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Amazon's range of local services: metadata and credentials of pods.
    let is_amazon = segments[..2] == [0xfd00, 0xec2];
    address.is_unicast_link_local()
        || is_amazon
        || METADATA_V6.contains(&address)
        || embedded_v4(address).any(is_forbidden_v4)
}

/// The IPv4 addresses that packets to this one may reach through a translator or a tunnel.
pub(crate) fn embedded_v4(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let octets = address.octets();
    let places: &[[usize; 4]] = match address.segments() {
        // Compatible and mapped (RFC 4291 §2.5.5), translated (RFC 2765 §2.1), and the well-known
        // prefix of translators (RFC 6052 §2.1).
        [0, 0, 0, 0, 0, 0, ..]
        | [0, 0, 0, 0, 0, 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..] => &[LAST],
        // The prefix for translators of one network (RFC 8215): it may be split anyhow.
        [0x64, 0xff9b, 1, ..] => &TRANSLATED,
        // 6to4 (RFC 3056 §2).
        [0x2002, ..] => &[[2, 3, 4, 5]],
        // Teredo (RFC 4380 §4): the server's; the client's is below.
        [0x2001, 0, ..] => &[[4, 5, 6, 7]],
        // ISATAP (RFC 5214 §6.1).
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => &[LAST],
        _ => &[],
    };
    let teredo = octets[..4] == [0x20, 1, 0, 0];
    let client = teredo.then(|| LAST.map(|place| !octets[place]));
    let embedded = places.iter().map(move |place| place.map(|at| octets[at]));
    embedded.chain(client).map(Ipv4Addr::from)
}

/// Octets of an IPv4 address at the end of an IPv6 address.
const LAST: [usize; 4] = [12, 13, 14, 15];

/// Octets of an IPv4 address after a prefix of 48, 56, 64 or 96 bits (RFC 6052 §2.2).
const TRANSLATED: [[usize; 4]; 4] = [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], LAST];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_forbidden_however_they_are_written() {
        for (url, forbidden) in [
            ("http://169.254.169.254/latest", true),
            ("http://169.254.0.1:8080/", true),
            ("http://2852039166/", true),
            ("http://0xa9fea9fe/", true),
            ("http://0251.0376.0251.0376/", true),
            ("http://169.254.169.254./", true),
            ("http://[fe80::1]/", true),
            ("http://[febf::1]/", true),
            ("http://[fd00:ec2::254]/", true),
            ("http://[fd00:ec2::23]/", true),
            ("http://[fd20:ce::254]/", true),
            ("http://[::ffff:169.254.169.254]/", true),
            ("http://[::169.254.169.254]/", true),
            ("http://[64:ff9b::a9fe:a9fe]/", true),
            ("http://[64:ff9b:1::a9fe:a9fe]/", true),
            ("http://[64:ff9b:1:abcd:12::169.254.169.254]/", true),
            ("http://[64:ff9b:1:a9fe:a9:fe00::]/", true),
            ("http://[64:ff9b:1:a9:fe:a9fe::]/", true),
            ("http://[64:ff9b:1:0:a9:fea9:fe00:0]/", true),
            ("http://[64:ff9b:1::100.100.100.200]/", true),
            ("http://[::ffff:0:169.254.169.254]/", true),
            ("http://[2002:a9fe:a9fe::]/", true),
            ("http://[2002:a9fe:a9fe::1]/", true),
            ("http://[2002:a83f:8110:1::1]/", true),
            ("http://[2001:0:a9fe:a9fe::1]/", true),
            ("http://[2001:0:a00:1::5601:5601]/", true),
            ("http://[2001:db8::5efe:169.254.169.254]/", true),
            ("http://[2001:db8::200:5efe:169.254.169.254]/", true),
            ("http://100.100.100.200/", true),
            ("http://168.63.129.16/", true),
            ("http://192.0.0.192/", true),
            ("http://169.253.255.255/", false),
            ("http://169.255.0.0/", false),
            ("http://10.0.0.1/", false),
            ("http://127.0.0.1/", false),
            ("http://[::1]/", false),
            ("http://[fec0::1]/", false),
            ("http://[fd00:ec3::254]/", false),
            ("http://[64:ff9b::a00:1]/", false),
            ("http://[64:ff9b:1::a00:1]/", false),
            ("http://[64:ff9b:2::a9fe:a9fe]/", false),
            ("http://[2002:a00:1::a9fe:a9fe]/", false),
            ("http://[2001:0:a00:1::1]/", false),
            ("http://[2001:db8::a9fe:a9fe]/", false),
            ("http://[::ffff:10.0.0.1]/", false),
            ("http://login.example.com/", false),
        ] {
            let parsed = Url::parse(url).unwrap();
            let guard = Guard::default();
            assert_eq!(guard.check_url(&parsed).is_err(), forbidden, "{url}");
            guard.set_open(true);
            assert_eq!(guard.check_url(&parsed), Ok(()), "{url}");
        }
    }

    #[test]
    fn one_forbidden_address_condemns_a_name() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let good = addresses(&["10.0.0.1:0", "[::1]:0"]);
        assert_eq!(allowed(good.iter().copied()), Ok(good.clone()));
        let mixed = addresses(&["10.0.0.1:0", "169.254.169.254:0"]);
        let forbidden = Forbidden::Metadata(mixed[1].ip());
        assert_eq!(allowed(mixed.into_iter()), Err(forbidden));
    }

    #[test]
    fn an_admin_server_is_out_of_reach_however_its_address_is_written() {
        let ports = AdminPorts::default();
        let _port = ports.add(9090);
        let guard = Guard::new(ports);
        // Whoever may have metadata may not have this.
        guard.set_open(true);
        for (url, forbidden) in [
            ("http://127.0.0.1:9090/explain", true),
            ("https://127.0.0.1:9090/explain", true),
            ("http://127.8.8.8:9090/", true),
            ("http://2130706433:9090/", true),
            ("http://0x7f.1:9090/", true),
            ("http://0177.0.0.1:9090/", true),
            ("http://0:9090/", true),
            ("http://0.0.0.0:9090/", true),
            ("http://[::1]:9090/", true),
            ("http://[::]:9090/", true),
            ("http://[::ffff:127.0.0.1]:9090/", true),
            ("http://[::ffff:0.0.0.0]:9090/", true),
            ("http://[::127.0.0.1]:9090/", true),
            ("http://[64:ff9b::7f00:1]:9090/", true),
            ("http://127.0.0.1:9091/", false),
            ("http://127.0.0.1/", false),
            ("http://[::1]:8080/", false),
            ("http://192.0.2.1:9090/", false),
            ("http://[2001:db8::1]:9090/", false),
            // Judged by what it resolves to.
            ("http://localhost:9090/", false),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!(guard.check_url(&parsed).is_err(), forbidden, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_no_way_to_an_admin_server() {
        for (at_admin_port, found) in [(true, false), (false, true)] {
            let resolver = GuardedResolver {
                guard: Guard::default(),
                at_admin_port,
            };
            let name = "localhost".parse().unwrap();
            assert_eq!(resolver.resolve(name).await.is_ok(), found);
        }
    }
}
