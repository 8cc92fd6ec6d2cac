//! A case as written: manifests, what the client does, and what is expected.
//!
//! The format is described in conformance/README.md.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_config::Duration;

use super::frame::FrameText;

/// One file of the suite.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chapter {
    /// Heading in reports.
    pub title: String,
    /// Its cases, independent of each other.
    pub cases: Vec<Case>,
}

/// One behaviour.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// Unique in the suite; also name and path of its API.
    pub name: String,
    /// What is checked, as a sentence for the report.
    pub says: String,
    /// Fields of its WebSocketApi's spec. They override the defaults of the suite.
    #[serde(default)]
    pub api: Map<String, Value>,
    /// Steps for the Gateway's `onHandshake`, by section; they run for this case's API only.
    #[serde(default)]
    pub gateway: BTreeMap<String, Vec<Value>>,
    /// Named values for the Gateway.
    #[serde(default)]
    pub gateway_values: Vec<Value>,
    /// More objects.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// HTTP services that policies of this case call.
    #[serde(default)]
    pub services: Vec<Service>,
    /// The objects are accepted, with a finding that contains this text.
    pub warns: Option<String>,
    /// The objects are rejected, with a finding that contains this text. Such a case has no steps.
    pub refused: Option<String>,
    /// Its steps, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
}

impl Case {
    /// Whether a step uses TLS.
    pub fn needs_tls(&self) -> bool {
        self.steps.iter().any(|step| step.tls.is_some())
    }
}

/// A scripted HTTP service at `<<service>>` and its path.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Its path, with a leading slash.
    pub path: String,
    /// Its responses, one for each call. The last one repeats.
    pub answers: Vec<ServiceAnswer>,
}

/// A response of a service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAnswer {
    /// Its status.
    #[serde(default = "ok")]
    pub status: u16,
    /// Its header lines.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Its body, if it is text.
    #[serde(default)]
    pub body: String,
    /// Its body, if it is JSON.
    pub json: Option<Value>,
    /// How long it waits before the response.
    #[serde(default)]
    pub delay: Duration,
}

/// One handshake and what is expected of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// First close this tunnel. An earlier step kept it, and it must still be open.
    pub close: Option<String>,
    /// Then wait for this time.
    #[serde(default)]
    pub wait: Duration,
    /// A token to sign. It replaces `<<token>>` in the request.
    pub token: Option<Token>,
    /// The handshake request.
    #[serde(default)]
    pub request: Request,
    /// The response of the backend.
    #[serde(default)]
    pub backend: BackendScript,
    /// Frames that the client sends after the 101. Default: one text.
    pub send: Option<Vec<FrameText>>,
    /// The client disconnects without a Close.
    #[serde(default)]
    pub abandon: bool,
    /// Use the TLS listener with this client certificate. Default: the plain listener.
    pub tls: Option<TlsClient>,
    /// Keep the tunnel open under this name.
    pub keep: Option<String>,
    /// What is expected.
    #[serde(default)]
    pub expect: Expect,
}

/// A handshake request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Default: GET.
    pub method: Option<String>,
    /// Default: the API's path.
    pub path: Option<String>,
    /// Without `?`.
    pub query: Option<String>,
    /// Default: the gateway's.
    pub host: Option<String>,
    /// Header lines.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Offered subprotocols.
    #[serde(default)]
    pub subprotocols: Vec<String>,
    /// Header lines instead of the usual ones of a WebSocket handshake.
    pub upgrade: Option<Vec<String>>,
}

/// A token (JWT).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    /// The key that signs it.
    #[serde(default)]
    pub key: TokenKey,
    /// Its `kid`; default: the key's name, `null` for none.
    #[serde(default = "own_kid")]
    pub kid: Option<String>,
    /// Its claims.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// Seconds from now until `exp`, negative for the past; `null` for no `exp`.
    #[serde(default = "an_hour")]
    pub expires_in: Option<i64>,
    /// Seconds from now until `nbf`.
    pub not_before: Option<i64>,
    /// Use the signature of another token.
    #[serde(default)]
    pub forged: bool,
}

/// The keys of the suite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TokenKey {
    /// ES256, `kid` es.
    #[default]
    Es,
    /// RS256, `kid` rs.
    Rs,
    /// HS256 with the secret `HMAC_SECRET`, `kid` hs.
    Hs,
    /// `alg: none`.
    None,
}

/// The response of the backend.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendScript {
    /// Default: 101.
    pub status: Option<u16>,
    /// More header lines.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Body of an answer other than 101.
    #[serde(default)]
    pub body: String,
    /// How long it waits before the response.
    #[serde(default)]
    pub delay: Duration,
    /// Value of Sec-WebSocket-Accept instead of the right one.
    pub accept: Option<String>,
    /// Frames that it sends after the 101. After a Close it waits for the gateway's.
    #[serde(default)]
    pub send: Vec<FrameText>,
    /// It disconnects without a Close after the 101.
    #[serde(default)]
    pub abandon: bool,
}

/// What is expected of a step. Absent fields without a default are not checked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// Default: 101.
    pub status: Option<u16>,
    /// The message of the usual JSON body, whose `statusCode` must be the status.
    pub message: Option<Text>,
    /// The whole body.
    pub body: Option<Text>,
    /// Headers of the response; `null`: absent.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<Text>>,
    /// Reason of the refusal in the metrics.
    pub reason: Option<String>,
    /// By how much custom counters grow, by `NAME{LABELS}` as in the metrics, without the label `api`.
    #[serde(default)]
    pub emits: BTreeMap<String, u64>,
    /// Whether the backend was called. Default: if the status is 101.
    pub asked: Option<bool>,
    /// Path and query of the backend's handshake.
    pub target: Option<Text>,
    /// Header of the backend's handshake, all lines joined by `, `; `null`: absent.
    #[serde(default)]
    pub backend_headers: BTreeMap<String, Option<Text>>,
    /// Frames that the client receives. Default: what the backend sends, and the echo of what the client sent.
    pub frames: Option<Vec<FrameText>>,
    /// The Close that the client receives.
    pub close: Option<CloseText>,
    /// Code of the Close that the backend receives.
    pub backend_close: Option<u16>,
    /// Calls of services since the step began.
    pub calls: Option<Vec<Call>>,
}

/// Client certificate on the TLS listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TlsClient {
    /// No certificate.
    Anonymous,
    /// The certificate of the suite.
    Known,
}

/// A text, or a pattern for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// Exactly this.
    Exactly(String),
    /// A text that matches the pattern.
    Matching(Matching),
}

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matching {
    /// A regular expression for the whole text.
    pub matches: String,
}

/// A Close.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseText {
    /// Its code.
    pub code: u16,
    /// Its reason.
    pub reason: Option<Text>,
}

/// A call that a service must have received.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// Path and query below `<<service>>`.
    pub path: Text,
    /// Its method.
    pub method: Option<String>,
    /// Its headers; `null`: absent.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<Text>>,
    /// Its body.
    pub body: Option<Text>,
}

/// Secret for [`TokenKey::Hs`]. Manifests contain it.
pub const HMAC_SECRET: &str = "conformance: no secret at all, 32 bytes and more";

/// Placeholder for the name of the key.
pub(super) const OWN_KID: &str = "<<own>>";

fn own_kid() -> Option<String> {
    Some(OWN_KID.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn an_hour() -> Option<i64> {
    Some(3600)
}

fn ok() -> u16 {
    200
}
