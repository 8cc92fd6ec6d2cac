//! How messages, Closes and answers are shown.

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::http::Response;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::Ending;
use super::console::Console;

pub(super) fn opened(console: &mut Console, response: &Response<Option<Vec<u8>>>) {
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let subprotocol = header("Sec-WebSocket-Protocol");
    let extensions = header("Sec-WebSocket-Extensions");
    let detail: String = [("subprotocol", subprotocol), ("extensions", extensions)]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| format!(", {name} {value}")))
        .collect();
    console.show(&format!("* connected{detail}"));
}

pub(super) fn refusal(console: &mut Console, response: &Response<Option<Vec<u8>>>) {
    console.show(&format!("! refused: {}", response.status()));
    for (name, value) in response.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        console.show(&format!("! {name}: {value}"));
    }
    if let Some(body) = response.body().as_deref().filter(|body| !body.is_empty()) {
        let body = String::from_utf8_lossy(body);
        console.show(&format!("! {}", body.trim_end()));
    }
}

pub(super) fn message(console: &mut Console, message: &Message) {
    match message {
        Message::Text(text) => console.show(&format!("< {text}")),
        Message::Binary(bytes) => console.show(&format!(
            "< binary, {} bytes: {}",
            bytes.len(),
            hex::encode(bytes)
        )),
        Message::Ping(_) => console.show("* ping"),
        Message::Pong(_) => console.show("* pong"),
        Message::Close(_) | Message::Frame(_) => {}
    }
}

pub(super) fn close(console: &mut Console, frame: Option<&CloseFrame>) -> Ending {
    let Some(CloseFrame { code, reason }) = frame else {
        console.show("* closed without a code");
        return Ending::Closed;
    };
    let code = u16::from(*code);
    let reason = if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    };
    console.show(&format!("* closed: {code}{reason}"));
    if code == 1000 {
        Ending::Closed
    } else {
        Ending::ClosedByPeer
    }
}
