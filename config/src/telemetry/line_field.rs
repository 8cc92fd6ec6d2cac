//! The fields of the access log's lines. `docs/logs.md` describes them; a test compares.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which of the two lines of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// At the end of its handshake.
    Handshake,
    /// At the end of its tunnel.
    Close,
}

/// A field of a line.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/logs.md says what they hold")]
pub enum LineField {
    Timestamp,
    Event,
    Id,
    Name,
    From,
    To,
    Result,
    Status,
    Reason,
    Source,
    Step,
    Message,
    Detail,
    Api,
    Product,
    Subscription,
    Listener,
    Client,
    Peer,
    Tls,
    Http,
    Method,
    Host,
    Path,
    Query,
    UserAgent,
    Subprotocol,
    Backend,
    DurationMs,
    Initiator,
    Cause,
    ClientCode,
    BackendCode,
    CloseReason,
    FromClientMessages,
    FromClientBytes,
    FromBackendMessages,
    FromBackendBytes,
}

impl LineField {
    /// All of them.
    pub const ALL: [Self; 38] = [
        Self::Timestamp,
        Self::Event,
        Self::Id,
        Self::Name,
        Self::From,
        Self::To,
        Self::Result,
        Self::Status,
        Self::Reason,
        Self::Source,
        Self::Step,
        Self::Message,
        Self::Detail,
        Self::Api,
        Self::Product,
        Self::Subscription,
        Self::Listener,
        Self::Client,
        Self::Peer,
        Self::Tls,
        Self::Http,
        Self::Method,
        Self::Host,
        Self::Path,
        Self::Query,
        Self::UserAgent,
        Self::Subprotocol,
        Self::Backend,
        Self::DurationMs,
        Self::Initiator,
        Self::Cause,
        Self::ClientCode,
        Self::BackendCode,
        Self::CloseReason,
        Self::FromClientMessages,
        Self::FromClientBytes,
        Self::FromBackendMessages,
        Self::FromBackendBytes,
    ];

    /// Its name in lines and manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Event => "event",
            Self::Id => "id",
            Self::Name => "name",
            Self::From => "from",
            Self::To => "to",
            Self::Result => "result",
            Self::Status => "status",
            Self::Reason => "reason",
            Self::Source => "source",
            Self::Step => "step",
            Self::Message => "message",
            Self::Detail => "detail",
            Self::Api => "api",
            Self::Product => "product",
            Self::Subscription => "subscription",
            Self::Listener => "listener",
            Self::Client => "client",
            Self::Peer => "peer",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Method => "method",
            Self::Host => "host",
            Self::Path => "path",
            Self::Query => "query",
            Self::UserAgent => "user_agent",
            Self::Subprotocol => "subprotocol",
            Self::Backend => "backend",
            Self::DurationMs => "duration_ms",
            Self::Initiator => "initiator",
            Self::Cause => "cause",
            Self::ClientCode => "client_code",
            Self::BackendCode => "backend_code",
            Self::CloseReason => "close_reason",
            Self::FromClientMessages => "from_client_messages",
            Self::FromClientBytes => "from_client_bytes",
            Self::FromBackendMessages => "from_backend_messages",
            Self::FromBackendBytes => "from_backend_bytes",
        }
    }

    /// May it have a value in lines of this kind?
    pub const fn stands_in(self, kind: LineKind) -> bool {
        match self {
            Self::Timestamp
            | Self::Event
            | Self::Id
            | Self::Name
            | Self::From
            | Self::To
            | Self::Api
            | Self::Product
            | Self::Subscription
            | Self::Client
            | Self::DurationMs => true,
            Self::Result
            | Self::Status
            | Self::Reason
            | Self::Source
            | Self::Step
            | Self::Message
            | Self::Detail
            | Self::Listener
            | Self::Peer
            | Self::Tls
            | Self::Http
            | Self::Method
            | Self::Host
            | Self::Path
            | Self::Query
            | Self::UserAgent
            | Self::Subprotocol
            | Self::Backend => matches!(kind, LineKind::Handshake),
            Self::Initiator
            | Self::Cause
            | Self::ClientCode
            | Self::BackendCode
            | Self::CloseReason
            | Self::FromClientMessages
            | Self::FromClientBytes
            | Self::FromBackendMessages
            | Self::FromBackendBytes => matches!(kind, LineKind::Close),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_manifests() {
        for field in LineField::ALL {
            let written = serde_json::to_value(field).unwrap();
            assert_eq!(written, field.as_str());
        }
        let mut all = LineField::ALL.to_vec();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), LineField::ALL.len());
    }

    /// The fields that the rows of a section describe.
    fn described(heading: &str) -> Vec<String> {
        let page = include_str!("../../../docs/logs.md");
        let (_, section) = page.split_once(heading).unwrap();
        let section = section.split_once("\n## ").map_or(section, |(own, _)| own);
        let section = section.split_once("\n# ").map_or(section, |(own, _)| own);
        let names = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let cells = names.filter_map(|row| row.split(" | ").next());
        let mut names: Vec<String> = cells
            .flat_map(|cell| cell.split(' '))
            .map(|name| name.trim_matches('`').to_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_documentation_describes_every_field() {
        for (heading, kind) in [
            ("\n## `event: \"handshake\"`", LineKind::Handshake),
            ("\n## `event: \"close\"`", LineKind::Close),
        ] {
            let fields = LineField::ALL.into_iter();
            let fields = fields.filter(|field| field.stands_in(kind));
            let mut names: Vec<String> = fields.map(|field| field.as_str().to_owned()).collect();
            names.sort();
            assert_eq!(described(heading), names, "{heading}");
        }
    }
}
