//! A case as it is written: manifests, what the client does, what must come of it.
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
    /// What holds, as a sentence.
    pub says: String,
    /// Fields of its WebSocketApi's spec, over the suite's defaults.
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
    /// The objects are taken, with a finding that has this text.
    pub warns: Option<String>,
    /// The objects are not taken; one of the findings has this text. Such a case has no steps.
    pub refused: Option<String>,
    /// What happens, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
}

impl Case {
    /// Has it a step over TLS?
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
    /// What it answers, call by call; the last one again and again.
    pub answers: Vec<ServiceAnswer>,
}

/// An answer of a service.
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
    /// It waits so long.
    #[serde(default)]
    pub delay: Duration,
}

/// One handshake and what comes of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Close this tunnel first, which an earlier step has kept and which must be open still.
    pub close: Option<String>,
    /// Then wait so long.
    #[serde(default)]
    pub wait: Duration,
    /// A token to sign; stands in the request as `<<token>>`.
    pub token: Option<Token>,
    /// What the client asks.
    #[serde(default)]
    pub request: Request,
    /// What the backend answers.
    #[serde(default)]
    pub backend: BackendScript,
    /// What the client sends once the tunnel is open. Default: one text.
    pub send: Option<Vec<FrameText>>,
    /// The client leaves without a Close.
    #[serde(default)]
    pub abandon: bool,
    /// Over TLS, and as whom. Default: without TLS.
    pub tls: Option<TlsClient>,
    /// Keep the tunnel open under this name.
    pub keep: Option<String>,
    /// What must come of it.
    #[serde(default)]
    pub expect: Expect,
}

/// What the client asks.
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
    /// Subprotocols on offer.
    #[serde(default)]
    pub subprotocols: Vec<String>,
    /// Header lines instead of those that ask for a WebSocket.
    pub upgrade: Option<Vec<String>>,
}

/// A token (JWT).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Token {
    /// Which key signs it.
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
    /// Replace the signature by another one's.
    #[serde(default)]
    pub forged: bool,
}

/// The suite's keys.
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

/// What the backend answers.
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
    /// It waits so long before it answers.
    #[serde(default)]
    pub delay: Duration,
    /// Instead of the right Sec-WebSocket-Accept.
    pub accept: Option<String>,
    /// What it sends once the tunnel is open. After a Close it awaits the other one.
    #[serde(default)]
    pub send: Vec<FrameText>,
    /// It leaves without a Close once the tunnel is open.
    #[serde(default)]
    pub abandon: bool,
}

/// What must come of a step. What is not named is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expect {
    /// Default: 101.
    pub status: Option<u16>,
    /// The message of the usual JSON body, whose `statusCode` must be the status.
    pub message: Option<Text>,
    /// The body as it is.
    pub body: Option<Text>,
    /// Headers of the answer; `null`: not there.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<Text>>,
    /// Why it was refused, as metrics tell.
    pub reason: Option<String>,
    /// What steps add to counters, by name and labels besides the API, as metrics tell.
    #[serde(default)]
    pub emits: BTreeMap<String, u64>,
    /// Was the backend asked? Default: when the status is 101.
    pub asked: Option<bool>,
    /// Path and query of the backend's handshake.
    pub target: Option<Text>,
    /// Header of the backend's handshake, all lines joined by `, `; `null`: not there.
    #[serde(default)]
    pub backend_headers: BTreeMap<String, Option<Text>>,
    /// What the client receives. Default: what it sent, pings as pongs.
    pub frames: Option<Vec<FrameText>>,
    /// The Close that the client receives.
    pub close: Option<CloseText>,
    /// Code of the Close that the backend receives.
    pub backend_close: Option<u16>,
    /// Calls of services since the step began.
    pub calls: Option<Vec<Call>>,
}

/// Who a client of the secure listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TlsClient {
    /// Shows no certificate.
    Anonymous,
    /// Shows the suite's.
    Known,
}

/// A text, or a pattern for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// Exactly this.
    Exactly(String),
    /// What fits the pattern.
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

/// A call that a service must have got.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// Path and query below `<<service>>`.
    pub path: Text,
    /// Its method.
    pub method: Option<String>,
    /// Its headers; `null`: not there.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<Text>>,
    /// Its body.
    pub body: Option<Text>,
}

/// Secret of the tokens signed with [`TokenKey::Hs`], for manifests.
pub const HMAC_SECRET: &str = "conformance: no secret at all, 32 bytes and more";

/// Stands for: as the key is called.
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
