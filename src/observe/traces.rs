//! Traces for an OpenTelemetry collector: the request, the login it began, each question to MAX with its answer. Off unless
//! `traces.endpoint` says where to. OpenTelemetry's own SDK samples and gathers; how a batch gets there is not its business: whoever
//! runs the server posts it ([`Batch`]), since this module knows no network.

use crate::base::repeat::OncePerMinute;
use crate::base::traces::TRACES;
use crate::config;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

/// Batches on their way: one is sent at a time, the next one waits in the SDK.
const BATCHES: usize = 2;

/// Spans of one batch, to be posted to `traces.endpoint` as JSON.
pub struct Batch {
    pub body: Bytes,
    done: oneshot::Sender<Result<(), String>>,
}

impl Batch {
    /// What became of it.
    pub fn done(self, outcome: Result<(), String>) {
        let _ = self.done.send(outcome);
    }
}

/// What is sent, for whoever posts it; to be kept until the end.
pub struct Traces {
    provider: SdkTracerProvider,
    batches: Option<mpsc::Receiver<Batch>>,
}

impl Traces {
    /// To be called once.
    pub fn batches(&mut self) -> Option<mpsc::Receiver<Batch>> {
        self.batches.take()
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // Whoever posts is gone by now: what is left is lost, and nobody waits for it.
        let _ = self.provider.shutdown_with_timeout(std::time::Duration::from_millis(100));
    }
}

/// A layer that turns our spans into OpenTelemetry's.
pub fn begin<S>(
    settings: &config::Traces,
    node: &str,
) -> Result<Option<(impl Layer<S> + Send + Sync + use<S>, Traces)>, String>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let Some(endpoint) = &settings.endpoint else { return Ok(None) };
    let (sender, batches) = mpsc::channel(BATCHES);
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Posting { sender, failed: Arc::default() })
        .with_protocol(Protocol::HttpJson)
        .with_endpoint(endpoint.as_str())
        .build()
        .map_err(|error| format!("traces.endpoint: {error}"))?;
    let resource = Resource::builder_empty().with_service_name("max-auth").with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", node.to_owned()),
    ]);
    // Who comes with a trace of their own has decided already.
    let share = Sampler::TraceIdRatioBased(f64::from(settings.percent) / 100.0);
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(share)))
        .with_resource(resource.build())
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("max-auth"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false);
    Ok(Some((layer, Traces { provider, batches: Some(batches) })))
}

/// The span of a request goes on with the trace that its headers name (W3C Trace Context).
pub fn continues(span: &Span, headers: &HeaderMap) {
    if headers.contains_key("traceparent") {
        let context = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        let _ = span.set_parent(context);
    }
}

/// Whether anybody collects spans.
pub fn are_on() -> bool {
    tracing::enabled!(target: TRACES, tracing::Level::INFO)
}

/// Hands a batch on, and waits for what became of it, on the SDK's own thread.
#[derive(Debug)]
struct Posting {
    sender: mpsc::Sender<Batch>,
    failed: Arc<Failed>,
}

#[derive(Default)]
struct Failed(OncePerMinute);

impl std::fmt::Debug for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Failed")
    }
}

#[async_trait::async_trait]
impl HttpClient for Posting {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (done, outcome) = oneshot::channel();
        let sent = self.sender.try_send(Batch { body: request.into_body(), done });
        let outcome = match sent {
            Ok(()) => outcome.await.unwrap_or_else(|_| Err("the server stops".to_owned())),
            Err(_) => Err("the batch before it is still on its way".to_owned()),
        };
        match outcome {
            Ok(()) => Ok(Response::new(Bytes::new())),
            Err(why) => {
                if let Some(times) = self.failed.0.due() {
                    tracing::warn!(times, "traces.endpoint: spans were lost: {why}");
                }
                Err(why.into())
            }
        }
    }
}
