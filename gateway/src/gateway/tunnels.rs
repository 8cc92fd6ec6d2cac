//! Live tunnels as the admin server shows and closes them: what stands in its requests and answers.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_config::{CloseCode, ObjectKey};
use tidegate_tunnel::session::{LiveTunnel, Page, Passed, TunnelFilter};

/// Longest reason in bytes: what fits into a Close (RFC 6455 §5.5).
const MAX_REASON: usize = 123;

/// Which tunnels: those that have everything that is named here. Objects are `NAMESPACE/NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TunnelQuery {
    /// The tunnel with this id, which is that of the access log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Tunnels of this API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Tunnels in this product's scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Tunnels with a key of this subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// Tunnels that came through this listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// Tunnels of this client address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
}

/// What is closed, and what the clients are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloseTunnels {
    /// Which tunnels.
    #[serde(default)]
    pub filter: TunnelQuery,
    /// All of them, when the filter names nothing.
    #[serde(default)]
    pub all: bool,
    /// Close code for the client; absent: 1001.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CloseCode>,
    /// Text of the Close, at most 123 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How many tunnels were told to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedTunnels {
    /// The number.
    pub closed: usize,
}

/// Some tunnels, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TunnelPage {
    /// The tunnels.
    pub tunnels: Vec<TunnelEntry>,
    /// `from` of the next page; absent: this is the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// How many live tunnels the filter has.
    pub matched: usize,
}

/// A live tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TunnelEntry {
    /// As in the access log.
    pub id: String,
    /// The API.
    pub api: String,
    /// The product whose scope applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The subscription whose key was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// Name of the listener that the client came through.
    pub listener: String,
    /// Address of the client, as trusted proxies name it.
    pub client: IpAddr,
    /// When it opened, in RFC 3339.
    pub opened_at: String,
    /// Its age in seconds.
    pub age_seconds: i64,
    /// What the client sent.
    pub from_client: Traffic,
    /// What the backend sent.
    pub from_backend: Traffic,
}

/// What one side of a tunnel sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Messages.
    pub messages: u64,
    /// Bytes on the wire, inside TLS.
    pub bytes: u64,
}

/// Why a request is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// An object without a namespace.
    #[error("{0}: write NAMESPACE/NAME")]
    Object(String),
    /// Nothing says which tunnels.
    #[error("name a filter, or set all to true")]
    NoFilter,
    /// A filter and `all`.
    #[error("all closes every tunnel: name no filter with it")]
    FilterAndAll,
    /// A reason that does not fit.
    #[error("the reason has {0} bytes: a Close takes 123 at most")]
    Reason(usize),
}

impl TunnelQuery {
    /// Does it name nothing?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The filter.
    ///
    /// # Errors
    /// [`InvalidRequest::Object`]: an object without a namespace.
    pub(super) fn filter(&self) -> Result<TunnelFilter, InvalidRequest> {
        let key = |name: &Option<String>| name.as_deref().map(object_key).transpose();
        Ok(TunnelFilter {
            id: self.id.clone(),
            api: key(&self.api)?,
            product: key(&self.product)?,
            subscription: key(&self.subscription)?,
            listener: self.listener.clone(),
            client: self.client,
        })
    }
}

impl CloseTunnels {
    /// Checks the request, and gives its filter.
    ///
    /// # Errors
    /// [`InvalidRequest`]: it does not say which tunnels, or its reason is too long.
    pub(super) fn filter(&self) -> Result<TunnelFilter, InvalidRequest> {
        match (self.filter.is_empty(), self.all) {
            (true, false) => return Err(InvalidRequest::NoFilter),
            (false, true) => return Err(InvalidRequest::FilterAndAll),
            (true, true) | (false, false) => {}
        }
        let length = self.reason.as_ref().map_or(0, String::len);
        if length > MAX_REASON {
            return Err(InvalidRequest::Reason(length));
        }
        self.filter.filter()
    }
}

fn object_key(text: &str) -> Result<ObjectKey, InvalidRequest> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(ObjectKey::new(namespace, name))
        }
        _ => Err(InvalidRequest::Object(text.to_owned())),
    }
}

impl TunnelPage {
    pub(super) fn of(page: Page, now: Timestamp) -> Self {
        let tunnels = page.tunnels.into_iter();
        Self {
            tunnels: tunnels.map(|tunnel| entry(tunnel, now)).collect(),
            next: page.next,
            matched: page.matched,
        }
    }
}

fn entry(tunnel: LiveTunnel, now: Timestamp) -> TunnelEntry {
    let opened = Timestamp::from_second(tunnel.opened).unwrap_or(Timestamp::UNIX_EPOCH);
    let traffic = |Passed { messages, bytes }| Traffic { messages, bytes };
    TunnelEntry {
        id: tunnel.id,
        api: tunnel.api.to_string(),
        product: tunnel.product.map(|key| key.to_string()),
        subscription: tunnel.subscription.map(|key| key.to_string()),
        listener: tunnel.listener,
        client: tunnel.client,
        opened_at: opened.to_string(),
        // The clock may have been set back.
        age_seconds: (now.as_second() - tunnel.opened).max(0),
        from_client: traffic(tunnel.from_client),
        from_backend: traffic(tunnel.from_backend),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_request_to_close_says_which_tunnels() {
        let long = "x".repeat(124);
        for (name, request, expected) in [
            ("a filter", json!({"filter": {"api": "shop/chat"}}), Ok(())),
            (
                "all",
                json!({"all": true, "code": 4000, "reason": "moved"}),
                Ok(()),
            ),
            ("nothing", json!({}), Err(InvalidRequest::NoFilter)),
            (
                "an empty filter",
                json!({"filter": {}}),
                Err(InvalidRequest::NoFilter),
            ),
            (
                "both",
                json!({"all": true, "filter": {"id": "1"}}),
                Err(InvalidRequest::FilterAndAll),
            ),
            (
                "no namespace",
                json!({"filter": {"subscription": "ann"}}),
                Err(InvalidRequest::Object("ann".to_owned())),
            ),
            (
                "a long reason",
                json!({"all": true, "reason": long}),
                Err(InvalidRequest::Reason(124)),
            ),
        ] {
            let request: CloseTunnels = serde_json::from_value(request).unwrap();
            assert_eq!(request.filter().map(drop), expected, "{name}");
        }
    }

    #[test]
    fn what_is_misspelt_closes_nothing() {
        for request in [
            json!({"filter": {"apis": "shop/chat"}}),
            json!({"fitler": {"api": "shop/chat"}}),
            json!({"all": "true"}),
            json!({"all": true, "code": 1005}),
            json!({"all": true, "code": 70000}),
            json!({"filter": {"client": "somebody"}}),
        ] {
            let parsed = serde_json::from_value::<CloseTunnels>(request.clone());
            assert!(parsed.is_err(), "{request}");
        }
    }

    #[test]
    fn a_tunnel_is_shown_with_names_and_age() {
        let passed = |messages, bytes| Passed { messages, bytes };
        let page = Page {
            tunnels: vec![LiveTunnel {
                id: "7f".to_owned(),
                api: ObjectKey::new("shop", "chat"),
                product: None,
                subscription: Some(ObjectKey::new("shop", "ann")),
                listener: "plain".to_owned(),
                client: IpAddr::from([192, 0, 2, 7]),
                opened: 1_800_000_000,
                from_client: passed(1, 20),
                from_backend: passed(3, 40),
            }],
            next: Some(8),
            matched: 2,
        };
        let now = Timestamp::from_second(1_800_000_060).unwrap();
        let shown: Value = serde_json::to_value(TunnelPage::of(page, now)).unwrap();
        let expected = json!({
            "tunnels": [{"id": "7f", "api": "shop/chat", "subscription": "shop/ann", "listener": "plain",
                "client": "192.0.2.7", "openedAt": "2027-01-15T08:00:00Z", "ageSeconds": 60,
                "fromClient": {"messages": 1, "bytes": 20}, "fromBackend": {"messages": 3, "bytes": 40}}],
            "next": 8, "matched": 2,
        });
        assert_eq!(shown, expected);
    }
}
