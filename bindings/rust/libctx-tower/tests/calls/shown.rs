// SPDX-License-Identifier: MIT
//! What the README shows of other crates: reqwest, and the trace in a span of tracing.

use crate::support::*;
use axum::{Router, routing};
use http::Request;
use libctx::{Context, Ended};
use libctx_tower::{ContextClientLayer, ContextLayer, trace_id};
use std::sync::{Arc, Mutex};
use tower::{ServiceBuilder, ServiceExt};
use tower_http::trace::TraceLayer;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, info_span, subscriber};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn web(app: Router) -> String {
    let (listener, address) = listen().await;
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    address
}

#[test]
fn reqwest_goes_with_a_context() {
    run(async {
        let (probe, mut ctxs) = Probe::new();
        let app = Router::new()
            .route("/", routing::get(|| async { "here" }))
            .route(
                "/slow",
                routing::get(async move |axum::Extension(ctx)| {
                    probe.tell(ctx);
                    std::future::pending::<()>().await
                }),
            )
            .layer(ContextLayer::new());
        let address = web(app).await;
        let client = ServiceBuilder::new()
            .layer(ContextClientLayer::new())
            .map_request(|request: Request<reqwest::Body>| {
                reqwest::Request::try_from(request).unwrap()
            })
            .map_response(http::Response::<reqwest::Body>::from)
            .service(reqwest::Client::new());
        let (ctx, canceler) = root().with_timeout(HOUR).unwrap();
        let request = |path: &str| {
            let uri = format!("{address}{path}");
            Request::get(uri).extension(ctx.clone()).body(reqwest::Body::default()).unwrap()
        };
        let answer = client.clone().oneshot(request("/")).await.unwrap();
        assert_eq!(answer.status(), 200);
        let waits = tokio::spawn(client.clone().oneshot(request("/slow")));
        let theirs = ctxs.recv().await.unwrap();
        assert!(theirs.deadline().is_some());
        canceler.cancel_because("enough");
        let error = waits.await.unwrap().unwrap_err();
        assert_eq!(Ended::find(&*error).unwrap().cause().message(), "enough");
        theirs.done().await.unwrap();
    });
}

/// Keeps the fields of spans, as text.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl Visit for Spans {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push(format!("{field}={value:?}"));
    }
}

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn the_trace_is_a_field_of_the_span() {
    let spans = Spans::default();
    // Of this thread: others have subscribers of their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    subscriber::with_default(spans.clone(), || {
        runtime.block_on(async {
            let span = |request: &Request<axum::body::Body>| {
                let trace = request.extensions().get::<Context>().and_then(trace_id);
                info_span!("request", trace)
            };
            let app = Router::new()
                .route("/", routing::get(|| async { "here" }))
                .layer(TraceLayer::new_for_http().make_span_with(span))
                .layer(ContextLayer::new()); // outside, so first
            let request = |trace: &str| {
                Request::get("/")
                    .header("traceparent", trace)
                    .body(axum::body::Body::empty())
                    .unwrap()
            };
            app.clone().oneshot(request(TRACEPARENT)).await.unwrap();
            app.oneshot(request("none")).await.unwrap();
        });
    });
    let spans = spans.0.lock().unwrap().clone();
    assert_eq!(spans, ["trace=\"0af7651916cd43dd8448eb211c80319c\""]);
    let ctx = root().with_string("traceparent", "00-12-x").unwrap();
    assert_eq!((trace_id(&root()), trace_id(&ctx)), (None, None));
}
