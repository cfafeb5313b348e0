// SPDX-License-Identifier: MIT
//! Requests of HTTP clients that go with a context.

use crate::support::*;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use libctx::{Context, Ended};
use libctx_tower::{BoxError, ContextClientLayer, ContextLayer, cause};
use std::convert::Infallible;
use std::future::{pending, ready};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_stream::StreamExt;
use tower::{Layer, Service, ServiceExt};

type Frames = StreamBody<Coming<http_body::Frame<Bytes>>>;

/// A server of HTTP/1 and HTTP/2 with the layer, and the headers of each request. It answers `/stream` with a message and
/// no end, and `/` never.
async fn server(layer: ContextLayer) -> (String, UnboundedReceiver<(HeaderMap, Context)>) {
    let (tell, told) = unbounded_channel();
    let (listener, address) = listen().await;
    let handler = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
        let ctx = request.extensions().get::<Context>().unwrap().clone();
        tell.send((request.headers().clone(), ctx)).unwrap();
        async move {
            if request.uri().path() == "/" {
                pending::<()>().await;
            }
            let (frames, coming) = unbounded_channel();
            frames.send(http_body::Frame::data(Bytes::from_static(b"first"))).unwrap();
            std::mem::forget(frames);
            Ok::<_, Infallible>(Response::new(Frames::new(Coming(coming))))
        }
    });
    let service = layer.layer(handler);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let serve = auto::Builder::new(TokioExecutor::new());
                let _ = serve.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    (address, told)
}

fn client(
    is_http2: bool,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<
        impl http_body::Body<Data = Bytes, Error = BoxError> + Send + std::fmt::Debug,
    >,
    Error = BoxError,
    Future: Send,
> + Clone {
    let client = Client::builder(TokioExecutor::new()).http2_only(is_http2).build_http();
    ContextClientLayer::new().strings(["baggage", "x-id"]).layer(client)
}

fn request(address: &str, path: &str, ctx: &Context) -> Request<Full<Bytes>> {
    let uri = format!("{address}{path}");
    Request::builder().uri(uri).extension(ctx.clone()).body(Full::default()).unwrap()
}

#[test]
fn what_a_context_carries_goes_out_and_its_end_ends_the_request() {
    run(async {
        for is_http2 in [false, true] {
            let (address, mut came) = server(ContextLayer::new()).await;
            let client = client(is_http2);
            let (ctx, canceler) = root().with_timeout(HOUR).unwrap();
            let ctx = ctx.with_baggage("user", "ada").unwrap().with_string("x-id", "7").unwrap();
            let mut own = request(&address, "/", &ctx);
            own.headers_mut().insert("x-id", "own".parse().unwrap());
            let waits = tokio::spawn(client.clone().oneshot(own));
            let (headers, theirs) = came.recv().await.unwrap();
            assert!(headers["baggage"] == "user=ada" && headers["x-id"] == "own");
            let ms: u64 = headers["x-request-timeout-ms"].to_str().unwrap().parse().unwrap();
            assert!((3_000_000..=3_600_000).contains(&ms));
            canceler.cancel_because("enough");
            let error = waits.await.unwrap().unwrap_err();
            assert_eq!(Ended::find(&*error), ctx.ended().as_ref());
            // HTTP has no way to tell why.
            assert_eq!(theirs.done().await.unwrap().cause().message(), "the client has gone");
            // It begins no more.
            let error = client.oneshot(request(&address, "/", &ctx)).await.unwrap_err();
            assert_eq!(Ended::find(&*error), ctx.ended().as_ref());
            assert!(came.is_empty());
        }
    });
}

#[test]
fn the_end_of_the_context_ends_the_body() {
    run(async {
        for is_http2 in [false, true] {
            let (address, mut came) = server(ContextLayer::new()).await;
            let (ctx, canceler) = root().with_cancel().unwrap();
            let answer = client(is_http2).oneshot(request(&address, "/stream", &ctx)).await;
            let mut body = answer.unwrap().into_body();
            let (_, theirs) = came.recv().await.unwrap();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
            let waits = tokio::spawn(async move { (body.frame().await, body.frame().await) });
            canceler.cancel();
            let (error, end) = waits.await.unwrap();
            assert!(Ended::find(&*error.unwrap().unwrap_err()).is_some() && end.is_none());
            theirs.done().await.unwrap();
        }
    });
}

#[test]
fn a_request_without_a_context_goes_as_it_is() {
    run(async {
        let layer = ContextLayer::new().maximum_timeout(Duration::from_millis(1)).name("shop");
        let (address, mut came) = server(layer).await;
        let plain = Request::get(&address).body(Full::default()).unwrap();
        let answer = client(false).oneshot(plain).await.unwrap();
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
        let why = cause(answer.headers()).unwrap();
        assert_eq!(why.peer().as_deref(), Some("shop"));
        let (headers, _) = came.recv().await.unwrap();
        assert!(headers.keys().all(|name| name == "host"), "{headers:?}");
    });
}

fn shown(headers: &HeaderMap) -> String {
    headers.iter().map(|(name, text)| format!("{name}: {}\n", text.to_str().unwrap())).collect()
}

#[test]
fn names_of_the_headers_are_the_programs() {
    run(async {
        let (_clock, parent) = clock();
        let (ctx, _canceler) = parent.with_timeout(Duration::from_secs(2)).unwrap();
        for (layer, expected) in [
            (ContextClientLayer::default(), Some(("x-request-timeout-ms", "2000"))),
            (ContextClientLayer::new().timeout_header(c"t"), Some(("t", "2000"))),
            (
                ContextClientLayer::new().timeout_header(c"grpc-timeout"),
                Some(("grpc-timeout", "2000000u")),
            ),
            (ContextClientLayer::new().timeout_header(None), None),
        ] {
            let engine = tower::service_fn(|request: Request<Full<Bytes>>| {
                ready(Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(shown(
                    request.headers(),
                )))))
            });
            let answer =
                layer.layer(engine).oneshot(request("http://here", "/", &ctx)).await.unwrap();
            let said = answer.into_body().collect().await.unwrap().to_bytes();
            let expected =
                expected.map_or(String::new(), |(name, text)| format!("{name}: {text}\n"));
            assert_eq!(said, expected);
        }
    });
}

/// Near its deadline a request that breaks broke by it, and so did a body.
#[test]
fn what_breaks_is_an_error_of_its_own_unless_the_deadline_is_near() {
    run(async {
        for (passes, is_near, is_of_body) in
            [(98, false, false), (99, true, false), (98, false, true), (99, true, true)]
        {
            let (clock, parent) = clock();
            let (ctx, _canceler) = parent.with_timeout(Duration::from_secs(100)).unwrap();
            let clock = &clock;
            let engine = tower::service_fn(move |_: Request<Full<Bytes>>| {
                let passes = Duration::from_secs(passes);
                if !is_of_body {
                    clock.advance(passes).unwrap();
                    return ready(Err("it broke"));
                }
                let breaks = tokio_stream::once(()).map(move |()| {
                    clock.advance(passes).unwrap();
                    Err::<http_body::Frame<Bytes>, _>(BoxError::from("it broke"))
                });
                ready(Ok(Response::new(StreamBody::new(breaks))))
            });
            let client = ContextClientLayer::new().layer(engine);
            let error = match client.oneshot(request("http://here", "/", &ctx)).await {
                Ok(answer) => answer.into_body().frame().await.unwrap().unwrap_err(),
                Err(error) => error,
            };
            let ended = Ended::find(&*error);
            assert_eq!(ended.is_some_and(Ended::is_deadline_exceeded), is_near, "{error:?}");
            assert!(!ctx.is_done() && (is_near || error.to_string() == "it broke"));
        }
    });
}
