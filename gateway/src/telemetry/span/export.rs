//! Sends spans by OTLP over HTTP: in batches, from a bounded queue, by a task of the drain. A
//! receiver that is slow or away costs spans, never a handshake.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tidegate_config::{ObjectKey, TraceExport};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::{SpanCounts, Tracer};
use crate::http_client;
use crate::http_client::admin_ports::AdminPorts;
use tidegate_tunnel::drain::Drain;

/// Spans that wait; at about 1 KiB each this bounds the memory.
const QUEUE: usize = 4096;

/// Spans in one request, as OpenTelemetry's own batches.
const BATCH: usize = 512;

/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);

/// Time limit of one request; then its spans are lost.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit of the last request: the gateway waits one second for all tasks to end.
const LAST_EXPORT_TIMEOUT: Duration = Duration::from_millis(800);

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidExport {
    #[error("telemetry.traces.endpoint cannot be sent to")]
    Client(#[source] http_client::ExportError),
    #[error("telemetry.traces.endpoint cannot be used")]
    Endpoint(#[source] opentelemetry_otlp::ExporterBuildError),
}

/// Starts exporters, and counts for all of them.
#[derive(Debug)]
pub(crate) struct Exports {
    drain: Drain,
    runtime: Handle,
    admin_ports: AdminPorts,
    pub(crate) counts: Arc<SpanCounts>,
}

impl Exports {
    pub(crate) fn new(drain: Drain, runtime: Handle, admin_ports: AdminPorts) -> Self {
        Self {
            drain,
            runtime,
            admin_ports,
            counts: Arc::default(),
        }
    }

    /// Spans of this Gateway go there from now on, until the tracer is dropped.
    ///
    /// # Errors
    /// [`InvalidExport`]: the endpoint cannot be used.
    pub(crate) fn start(
        &self,
        config: &TraceExport,
        gateway: &ObjectKey,
    ) -> Result<Tracer, InvalidExport> {
        let client = http_client::for_exports(&self.admin_ports, &config.endpoint);
        let client = client.map_err(InvalidExport::Client)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&config.endpoint)
            .with_timeout(EXPORT_TIMEOUT);
        let mut exporter = exporter.build().map_err(InvalidExport::Endpoint)?;
        exporter.set_resource(&resource(gateway));
        let (queue, spans) = mpsc::channel(QUEUE);
        let export = Export {
            exporter,
            spans,
            counts: Arc::clone(&self.counts),
        };
        let drain = self.drain.clone();
        self.drain.spawn_on(export.run(drain), &self.runtime);
        Ok(Tracer {
            config: config.clone(),
            queue,
            counts: Arc::clone(&self.counts),
        })
    }
}

fn resource(gateway: &ObjectKey) -> Resource {
    let own = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.namespace", gateway.namespace.clone()),
        KeyValue::new("tidegate.gateway", gateway.to_string()),
    ];
    let resource = Resource::builder_empty().with_service_name("tidegate");
    resource.with_attributes(own).build()
}

struct Export {
    exporter: SpanExporter,
    spans: mpsc::Receiver<SpanData>,
    counts: Arc<SpanCounts>,
}

impl Export {
    /// Runs until the tracer is dropped or the gateway ends.
    async fn run(mut self, drain: Drain) {
        let mut batch = Vec::new();
        loop {
            let open = tokio::select! {
                biased;
                () = drain.insisted() => break,
                open = gather(&mut self.spans, &mut batch) => open,
            };
            // A gateway that ends waits for this request no longer than for the last one.
            let sent = self.send(&mut batch, EXPORT_TIMEOUT);
            tokio::select! {
                () = sent => {}
                () = ended(&drain) => return,
            }
            if !open {
                return;
            }
        }
        self.spans.close();
        while let Ok(span) = self.spans.try_recv() {
            batch.push(span);
        }
        self.send(&mut batch, LAST_EXPORT_TIMEOUT).await;
    }

    async fn send(&self, batch: &mut Vec<SpanData>, limit: Duration) {
        if batch.is_empty() {
            return;
        }
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let sending = self.exporter.export(std::mem::take(batch));
        let add = |counter: &AtomicU64| counter.fetch_add(count, Ordering::Relaxed);
        match timeout(limit, sending).await {
            Ok(Ok(())) => add(&self.counts.exported),
            Ok(Err(error)) => {
                tracing::debug!(%error, "failed to export spans");
                add(&self.counts.failed)
            }
            Err(_) => add(&self.counts.failed),
        };
    }
}

/// Waits for a span, then a little for others; `false` when no more can come.
async fn gather(spans: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>) -> bool {
    if spans.recv_many(batch, BATCH).await == 0 {
        return false;
    }
    let until = Instant::now() + GATHER;
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        match timeout_at(until, spans.recv_many(batch, room)).await {
            Ok(0) => return false,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    true
}

/// The gateway has ended, and what is on its way had its time.
async fn ended(drain: &Drain) {
    drain.insisted().await;
    tokio::time::sleep(LAST_EXPORT_TIMEOUT).await;
}
