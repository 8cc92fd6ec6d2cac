use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::exchange::Exchange;
use crate::policy::tests::{compile_error, exchange, refused, run_inbound};
use crate::refusal::Reason;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock();
        all.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The only line that the step writes.
async fn line(step: Value, exchange: &mut Exchange) -> Value {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    run_inbound(&[step], exchange).await.unwrap();
    drop(guard);
    let bytes = lines.0.lock().clone();
    let all = String::from_utf8(bytes).unwrap();
    let mut own = all.lines().filter(|line| line.contains("tidegate::policy"));
    let line = own.next().expect("a line");
    assert_eq!(own.next(), None, "{all}");
    serde_json::from_str(line).unwrap()
}

#[tokio::test]
async fn a_line_says_who_wrote_it_and_what() {
    for (severity, level) in [
        ("Debug", "DEBUG"),
        ("Info", "INFO"),
        ("Warn", "WARN"),
        ("Error", "ERROR"),
    ] {
        let step = json!({"id": "told", "log": {
            "message": "from ${client.ip}", "severity": severity,
            "fields": [{"name": "room", "value": "${request.params.room}"}, {"name": "b", "value": "\""}],
        }});
        let line = line(step, &mut exchange(&[])).await;
        assert_eq!(line["level"], level);
        let fields = &line["fields"];
        assert_eq!(fields["event"], "log");
        assert_eq!(fields["message"], "from 192.0.2.7");
        assert_eq!(
            (&fields["id"], &fields["step"]),
            (&json!("id-1"), &json!("told"))
        );
        let own: Value = serde_json::from_str(fields["fields"].as_str().unwrap()).unwrap();
        assert_eq!(own, json!({"room": "blue", "b": "\""}));
    }
}

#[tokio::test]
async fn credentials_are_masked() {
    let mut exchange = exchange(&[
        ("authorization", "Bearer token-of-alice"),
        ("cookie", "theme=d; session=cookie-of-alice"),
    ]);
    let names = exchange.api.subscription_key.clone();
    let key = names.header.parse::<http::HeaderName>().unwrap();
    let value = "key-in-header".parse().unwrap();
    exchange.request.headers.insert(key, value);
    exchange.request.raw_query = Some(format!("a=1&{}=key%2Din-query", names.query));
    let step = json!({"log": {
        "message": "${request.headers}",
        "fields": [{"name": "url", "value": "${request.originalUrl} ${request.query}"}],
    }});
    let line = line(step, &mut exchange).await.to_string();
    for secret in ["of-alice", "key-in-header", "in-query"] {
        assert!(!line.contains(secret), "{secret}: {line}");
    }
    assert!(
        line.contains("Bearer ***") && line.contains("a=1"),
        "{line}"
    );
}

#[tokio::test]
async fn a_text_is_cut_after_it_is_masked_and_stays_on_its_line() {
    let long = format!("{}secret-token", "x".repeat(1020));
    let mut exchange = exchange(&[("authorization", "Bearer secret-token")]);
    exchange.request.raw_query = Some(format!("v={long}&w=a%0ab"));
    let step = json!({"log": {
        "message": "${request.query('v')}",
        "fields": [{"name": "w", "value": "${request.query('w')}"}],
    }});
    let line = line(step, &mut exchange).await;
    let message = line["fields"]["message"].as_str().unwrap();
    assert!(
        message.len() <= 1024 && !message.contains("se"),
        "{message}"
    );
    assert_eq!(line["fields"]["fields"], r#"{"w":"a b"}"#);
}

#[tokio::test]
async fn a_template_that_fails_refuses_as_everywhere() {
    let step = json!({"log": {"message": "${request.headers['x-a'][0]}"}});
    let refusal = refused(run_inbound(&[step], &mut exchange(&[])).await);
    assert_eq!(
        (refusal.status, refusal.reason),
        (500, Reason::ExpressionFailed)
    );
}

#[test]
fn a_template_that_does_not_compile_is_named_by_its_place() {
    let fields = json!([{"name": "a", "value": "${clinet.ip}"}]);
    let error = compile_error(json!({"log": {"message": "a", "fields": fields}}));
    assert!(
        error.starts_with("onHandshake.inbound[0].log.fields[0].value: "),
        "{error}"
    );
}

#[tokio::test]
async fn trace_is_a_line_at_debug_and_nothing_where_nobody_reads_it() {
    let step = json!({"trace": {"message": "room ${request.params.room}"}});
    let line = line(step, &mut exchange(&[])).await;
    assert_eq!(line["level"], "DEBUG");
    assert_eq!(line["fields"]["event"], "trace");
    assert_eq!(line["fields"]["message"], "room blue");
    // Without a reader it is not even rendered: this one would fail.
    let costly = json!({"trace": {"message": "${request.params.nobody}"}});
    run_inbound(&[costly], &mut exchange(&[])).await.unwrap();
}

#[tokio::test]
async fn trace_is_noted_where_the_handshake_is_recorded() {
    let step = json!({"trace": {"message": "room ${request.params.room}", "fields": [{"name": "a", "value": "1"}]}});
    let mut recorded = exchange(&[]);
    recorded.evaluation.trace = Some(Vec::new());
    run_inbound(std::slice::from_ref(&step), &mut recorded)
        .await
        .unwrap();
    assert_eq!(recorded.evaluation.notes, ["room blue", r#"{"a":"1"}"#]);
    let mut unseen = exchange(&[]);
    run_inbound(&[step], &mut unseen).await.unwrap();
    assert!(unseen.evaluation.notes.is_empty());
}
