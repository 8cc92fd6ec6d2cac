//! Where clients reach an API.

use tidegate_config::Protocol;

use crate::gateway::ListenerDraft;
use crate::hostnames::ANY;

/// The URL of a path on a listener. `address` is for a listener that answers for all hosts.
pub(crate) fn url(address: &str, listener: &ListenerDraft, host: &str, path: &str) -> String {
    let (scheme, default_port) = match listener.protocol {
        Protocol::Ws => ("ws", 80),
        Protocol::Wss => ("wss", 443),
    };
    let host = if host == ANY { address } else { host };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    match listener.port {
        port if port == default_port => format!("{scheme}://{host}{path}"),
        port => format!("{scheme}://{host}:{port}{path}"),
    }
}
