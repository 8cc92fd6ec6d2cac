//! The fields of the access log's lines. `docs/logs.md` describes them; a test compares.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the two lines of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// At the end of its handshake.
    Handshake,
    /// At the end of its tunnel.
    Close,
}

/// Makes the enum of fields, their names, and the lines that have them, from one table.
macro_rules! line_fields {
    ($($field:ident $name:literal in $lines:ident;)+) => {
        /// A field of a line.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[expect(missing_docs, reason = "docs/logs.md says what they hold")]
        pub enum LineField {
            $(#[serde(rename = $name)] $field,)+
        }

        impl LineField {
            /// All fields.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$field),+];

            /// The name of the field in lines and manifests.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)+
                }
            }

            /// Whether the field can have a value in lines of this kind.
            pub const fn stands_in(self, kind: LineKind) -> bool {
                match self {
                    $(Self::$field => line_fields!(@$lines kind),)+
                }
            }
        }
    };
    (@both $kind:ident) => { true };
    (@handshake $kind:ident) => { matches!($kind, LineKind::Handshake) };
    (@close $kind:ident) => { matches!($kind, LineKind::Close) };
}

line_fields! {
    Timestamp "timestamp" in both;
    Event "event" in both;
    Id "id" in both;
    Name "name" in both;
    From "from" in both;
    To "to" in both;
    Result "result" in handshake;
    Status "status" in handshake;
    Reason "reason" in handshake;
    Source "source" in handshake;
    Step "step" in handshake;
    Message "message" in handshake;
    Detail "detail" in handshake;
    Api "api" in both;
    Product "product" in both;
    Subscription "subscription" in both;
    Listener "listener" in handshake;
    Client "client" in both;
    Peer "peer" in handshake;
    Tls "tls" in handshake;
    Http "http" in handshake;
    Method "method" in handshake;
    Host "host" in handshake;
    Path "path" in handshake;
    Query "query" in handshake;
    UserAgent "user_agent" in handshake;
    Subprotocol "subprotocol" in handshake;
    Backend "backend" in handshake;
    DurationMs "duration_ms" in both;
    Initiator "initiator" in close;
    Cause "cause" in close;
    ClientCode "client_code" in close;
    BackendCode "backend_code" in close;
    CloseReason "close_reason" in close;
    FromClientMessages "from_client_messages" in close;
    FromClientBytes "from_client_bytes" in close;
    FromBackendMessages "from_backend_messages" in close;
    FromBackendBytes "from_backend_bytes" in close;
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
