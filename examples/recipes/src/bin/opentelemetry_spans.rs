//! The spans of this crate in OpenTelemetry.

#![allow(clippy::print_stdout, reason = "a program")]

use codehost_oauth::transport::{HttpClient, Network};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use recipes::Result;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

#[tokio::main]
async fn main() -> Result<()> {
    // In an app, the exporter of `opentelemetry-otlp`, and `with_batch_exporter`.
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer(&provider)))?;
    let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build()?;
    recipes::gitlab(http, "127.0.0.1").await?;
    // `shutdown` does it too, at the end of an app.
    provider.force_flush()?;
    for span in exporter.get_finished_spans()? {
        let values = ["operation", "outcome", "duration_ms"].map(|key| attribute(&span, key).unwrap_or_default());
        println!("{}: {}", span.name, values.join(" "));
    }
    Ok(())
}

/// Only the spans and events of this crate; give your own targets too.
fn layer<S>(provider: &SdkTracerProvider) -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let targets = Targets::new().with_target("codehost_oauth", tracing::Level::INFO);
    tracing_opentelemetry::layer().with_tracer(provider.tracer("my-app")).with_filter(targets)
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.as_str().into_owned())
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::Status;

    use super::*;

    #[tokio::test]
    async fn each_operation_is_a_span_with_the_documented_attributes() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let subscriber = tracing_subscriber::registry().with(layer(&provider));
        // The runtime of the test has one thread.
        let guard = tracing::subscriber::set_default(subscriber);
        let http = HttpClient::builder(Network::public_only().allow_loopback_http()).build().unwrap();
        let demo = recipes::gitlab(http, "127.0.0.1").await.unwrap();
        let token = &demo.login.tokens.access_token;
        demo.integration.api_get(&["api", "v4", "user"]).send(token).await.unwrap();
        demo.fake.revoke_all();
        let refresh_token = demo.login.tokens.refresh_token.as_ref().unwrap();
        demo.integration.refresh(refresh_token).await.unwrap_err();
        let closed = HttpClient::builder(Network::public_only()).build().unwrap();
        recipes::integration(std::sync::Arc::clone(demo.integration.provider()), &closed)
            .unwrap()
            .refresh(refresh_token)
            .await
            .unwrap_err();
        drop(guard);
        provider.force_flush().unwrap();

        let spans = exporter.get_finished_spans().unwrap();
        let named = |key: &str| -> Vec<String> { spans.iter().map(|span| attribute(span, key).unwrap()).collect() };
        assert!(spans.iter().all(|span| span.name == "codehost_oauth"), "{spans:?}");
        assert_eq!(named("operation"), ["finish_login", "api", "refresh", "refresh"]);
        assert_eq!(named("outcome"), ["ok", "ok", "refresh_rejected", "address_not_allowed"]);
        assert_eq!(named("integration"), ["demo"; 4]);
        assert_eq!(named("platform"), ["gitlab"; 4]);
        assert!(named("duration_ms").iter().all(|text| text.parse::<u64>().is_ok()), "{spans:?}");

        // The event of the failure is in its span. An error that the operator need not fix is no error of the span.
        let events: Vec<usize> = spans.iter().map(|span| span.events.len()).collect();
        assert_eq!(events, [0, 0, 1, 1]);
        let event = spans[2].events.first().unwrap();
        let code = event.attributes.iter().find(|attribute| attribute.key.as_str() == "code");
        assert_eq!(code.unwrap().value.as_str(), "refresh_rejected");
        assert_eq!(spans[2].status, Status::Unset);
        assert!(matches!(spans[3].status, Status::Error { .. }), "{:?}", spans[3].status);

        let text = format!("{spans:?}");
        for token in [token.expose_for(demo.integration.provider().base_url()).unwrap(), "secret"] {
            assert!(!text.contains(token), "{token} is in {text}");
        }
    }
}
