//! Where clients reach an API.

use kube::ResourceExt;
use tidegate_api::Gateway;
use tidegate_config::Protocol;

use crate::gateway::ListenerDraft;
use crate::hostnames::ANY;

/// The URL of a path on a listener. For a listener that answers for all hosts: the Gateway's
/// address, once there is one, otherwise its Service's name.
pub(crate) fn url(gateway: &Gateway, listener: &ListenerDraft, host: &str, path: &str) -> String {
    let (scheme, default_port) = match listener.protocol {
        Protocol::Ws => ("ws", 80),
        Protocol::Wss => ("wss", 443),
    };
    let host = if host == ANY {
        address(gateway)
    } else {
        host.to_owned()
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    match listener.port {
        port if port == default_port => format!("{scheme}://{host}{path}"),
        port => format!("{scheme}://{host}:{port}{path}"),
    }
}

fn address(gateway: &Gateway) -> String {
    let addresses = gateway.status.iter().flat_map(|status| &status.addresses);
    match addresses.into_iter().next() {
        Some(address) => address.value.clone(),
        None => match gateway.namespace() {
            Some(namespace) => format!("{}.{namespace}.svc", gateway.name_any()),
            None => "localhost".to_owned(),
        },
    }
}
