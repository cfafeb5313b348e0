// SPDX-License-Identifier: MIT
//! Requests of HTTP that a server serves: what they know, and what ends them.

use crate::support::{Coming, HOUR, Probe, clock, flag, root, run};
use axum::body::Body;
use axum::{Extension, Router, routing};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use libctx::{Context, Ended, Origin};
use libctx_tower::{ContextBody, ContextLayer, ContextService, cause, trace_id};
use std::convert::Infallible;
use std::future::{Future, Ready, pending, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{self, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tower::{Layer, Service, ServiceExt};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn serve(app: Router) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    client
}

/// Sends a request, and reads until the server closes or the text ends so.
async fn ask(client: &mut TcpStream, headers: &str, end: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nhost: here\r\n{headers}\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut some = [0; 4096];
        let n = client.read(&mut some).await.unwrap();
        assert!(n > 0, "{text}");
        text.push_str(std::str::from_utf8(&some[..n]).unwrap());
    }
    text
}

fn request(headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

fn context(request: &Request<Body>) -> Context {
    request.extensions().get::<Context>().unwrap().clone()
}

type Answer = Response<ContextBody<Body>>;

/// The answer to one request, of a handler that never ends.
async fn refused(layer: ContextLayer, request: Request<Body>) -> Answer {
    let never = tower::service_fn(|_| pending::<Result<Response<Body>, Infallible>>());
    layer.layer(never).oneshot(request).await.unwrap()
}

async fn text(answer: Answer) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

/// What a handler finds in its context.
async fn shown(Extension(ctx): Extension<Context>) -> String {
    let strings: Vec<_> = ["x-request-id", "own"].iter().map(|name| ctx.string(name)).collect();
    let left = ctx.remaining().map(|left| left > Duration::ZERO && left <= 1500 * MS);
    format!("{:?} {:?} {strings:?} {left:?}.", trace_id(&ctx), ctx.baggage("user"))
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_handler_has_what_the_headers_say() {
    run(async {
        let parent = root().with_string("own", "text").unwrap();
        let parent = parent.with_string("x-request-id", "the server's").unwrap();
        let parent = parent.with_string("traceparent", &TRACEPARENT.replace("01", "00")).unwrap();
        let names = ["traceparent", "baggage", "X-Request-Id"];
        let layer = ContextLayer::new().parent(&parent).strings(names);
        let mut client = serve(Router::new().route("/", routing::get(shown)).layer(layer)).await;
        let headers = format!(
            "traceparent: {TRACEPARENT}\r\nbaggage: a=b\r\nbaggage: user=ada, a bad one\r\n\
             x-request-id: 7\r\nx-request-timeout-ms: 1500\r\n"
        );
        let said = ask(&mut client, &headers, ".").await;
        let expected = "Some(\"0af7651916cd43dd8448eb211c80319c\") Some(\"ada\") \
                        [Some(\"7\"), Some(\"text\")] Some(true).";
        assert!(said.ends_with(expected), "{said}");
        // What is malformed is left out, and nothing of it is the parent's.
        let headers = "traceparent: 00-1-2-3\r\nx-request-id: \u{e4}\r\n";
        let said = ask(&mut client, headers, ".").await;
        assert!(said.ends_with("None None [None, Some(\"text\")] None."), "{said}");
    });
}

#[test]
fn a_megabyte_of_baggage_is_not_taken() {
    run(async {
        let layer = ContextLayer::new().strings(["baggage", "x-big"]);
        let big = "x".repeat(1 << 20);
        let baggage = format!("user={big}");
        let (tell, told) = mpsc::channel();
        let handler = tower::service_fn(move |request| {
            tell.send(context(&request)).unwrap();
            ready(Ok::<_, Infallible>(Response::new(Body::empty())))
        });
        let request = request(&[("baggage", &baggage), ("x-big", &big)]);
        layer.layer(handler).oneshot(request).await.unwrap();
        let ctx = told.recv().unwrap();
        assert_eq!(ctx.string("baggage"), None);
        assert_eq!(ctx.string("x-big").as_deref(), Some(&*big)); // which the program has asked for
    });
}

#[test]
fn the_deadline_is_answered_by_504() {
    run(async {
        let (clock, parent) = clock();
        let layer = ContextLayer::new().parent(&parent).name("shop");
        for (layer, headers) in [
            (layer.clone(), &[("x-request-timeout-ms", "1000")][..]),
            (layer.clone().timeout_header(c"grpc-timeout"), &[("grpc-timeout", "1S")]),
            (layer.clone().default_timeout(1000 * MS), &[]),
            (layer.clone().maximum_timeout(1000 * MS), &[("x-request-timeout-ms", "2000")]),
            (layer.clone().maximum_timeout(1000 * MS), &[]),
        ] {
            let (dropped, mut held) = flag();
            let handler = tower::service_fn(move |_| {
                let held = held.take();
                async move {
                    let _held = held;
                    pending::<Result<Response<Body>, Infallible>>().await
                }
            });
            let mut future = Box::pin(layer.layer(handler).call(request(headers)));
            clock.advance(999 * MS).unwrap();
            assert!(futures_poll(future.as_mut()).is_pending() && !dropped());
            clock.advance(MS).unwrap();
            let answer = future.await.unwrap();
            assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
            let why = cause(answer.headers()).unwrap();
            assert_eq!(
                (&*why.message(), why.origin()),
                ("context deadline exceeded", Origin::DEADLINE)
            );
            assert_eq!(why.peer().as_deref(), Some("shop"));
            assert_eq!(text(answer).await, "context deadline exceeded");
            assert!(dropped(), "the handler");
        }
    });
}

fn futures_poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut task::Context::from_waker(Waker::noop()))
}

#[test]
fn the_end_of_the_parent_is_answered_by_503() {
    run(async {
        for is_born_done in [false, true] {
            let (parent, stop) = root().with_cancel().unwrap();
            let layer = ContextLayer::new().parent(&parent).default_timeout(HOUR);
            if is_born_done {
                stop.cancel_because("it stops");
            }
            let answer = refused(layer, request(&[]));
            let mut answer = Box::pin(answer);
            if !is_born_done {
                assert!(futures_poll(answer.as_mut()).is_pending());
                stop.cancel_because("it stops");
            }
            let answer = answer.await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(cause(answer.headers()).unwrap().message(), "it stops");
            assert_eq!(text(answer).await, "context canceled");
        }
        // Its deadline is not that of the request.
        let (parent, _canceler) = root().with_timeout(Duration::ZERO).unwrap();
        // Nor does the handler begin.
        let none = tower::service_fn(|_| -> Ready<Result<Response<Body>, Infallible>> { panic!() });
        let answer = ContextLayer::new().parent(&parent).layer(none).oneshot(request(&[])).await;
        assert_eq!(answer.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    });
}

#[test]
fn a_timeout_that_is_malformed_is_answered_by_400() {
    run(async {
        for timeout in ["soon", "-1", "", "1 2", "99999999999999999999999"] {
            let answer =
                refused(ContextLayer::new(), request(&[("x-request-timeout-ms", timeout)]));
            let answer = answer.await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{timeout}");
            assert!(!text(answer).await.is_empty());
        }
        let none = ContextLayer::new().timeout_header(None).maximum_timeout(Duration::ZERO);
        let answer = refused(none, request(&[("x-request-timeout-ms", "soon")])).await;
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    });
}

#[test]
fn names_that_are_none_are_refused() {
    for bad in ["", "a b", "a:b", "\u{e4}"] {
        assert!(std::panic::catch_unwind(|| ContextLayer::new().strings([bad])).is_err(), "{bad}");
    }
    assert!(std::panic::catch_unwind(|| ContextLayer::new().timeout_header(c"a b")).is_err());
}

/// A client that closes its connection, before the response and within it.
#[test]
fn a_hang_up_ends_the_context_and_drops_the_handler() {
    run(async {
        for has_begun in [false, true] {
            let (probe, mut ctxs) = Probe::new();
            let (frames, coming) = unbounded_channel();
            frames.send(data("first.")).unwrap();
            let coming = Arc::new(Mutex::new(Some(coming)));
            let handler = move |Extension(ctx): Extension<Context>| async move {
                let coming = coming.lock().unwrap().take().unwrap();
                probe.tell(ctx);
                if !has_begun {
                    let _held = coming;
                    return pending().await;
                }
                Body::new(StreamBody::new(Coming(coming)))
            };
            let app = Router::new().route("/", routing::get(handler)).layer(ContextLayer::new());
            let mut client = serve(app).await;
            if has_begun {
                ask(&mut client, "", "first.\r\n").await;
            } else {
                client.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
            }
            let ctx = ctxs.recv().await.unwrap();
            assert!(!ctx.is_done() && !frames.is_closed());
            drop(client);
            let ended = ctx.done().await.unwrap();
            assert_eq!(ended.cause().origin(), Origin::PEER);
            assert_eq!(ended.cause().message(), "the client has gone");
            frames.closed().await;
        }
    });
}

/// Its clock is not ours.
#[test]
fn a_hang_up_near_the_deadline_is_the_deadline() {
    for (timeout, passes, is_deadline) in [
        (1000 * MS, 990 * MS, true),
        (1000 * MS, 989 * MS, false),
        (100 * MS, 95 * MS, true),
        (100 * MS, 94 * MS, false),
        (Duration::MAX, HOUR, false),
    ] {
        let (clock, parent) = clock();
        let (probe, mut ctxs) = Probe::new();
        let handler = tower::service_fn(move |request| {
            probe.tell(context(&request));
            pending::<Result<Response<Body>, Infallible>>()
        });
        let layer = ContextLayer::new().parent(&parent).default_timeout(timeout);
        let mut future = Box::pin(layer.layer(handler).oneshot(request(&[])));
        assert!(futures_poll(future.as_mut()).is_pending());
        let ctx = ctxs.try_recv().unwrap();
        clock.advance(passes).unwrap();
        assert!(!ctx.is_done());
        drop(future);
        let ended = ctx.ended().unwrap();
        assert_eq!(ended.is_deadline_exceeded(), is_deadline, "{timeout:?} {passes:?}");
        assert_eq!(ended.cause().is_given(), !is_deadline);
    }
}

/// A response of frames that the test hands out, one by one.
/// Tells at its drop whether the context had ended by then.
struct Look(Context, mpsc::Sender<Option<String>>);

impl Drop for Look {
    fn drop(&mut self) {
        let why = self.0.cause().map(|cause| cause.message().to_string());
        self.1.send(why).unwrap();
    }
}

/// So what the handler has asked of others can tell them why it is canceled.
#[test]
fn the_context_ends_before_what_is_dropped() {
    run(async {
        let (tell, told) = mpsc::channel();
        let handler = tower::service_fn(move |request: Request<Body>| {
            let look = Look(context(&request), tell.clone());
            async move {
                let _look = look;
                pending::<Result<Response<Body>, Infallible>>().await
            }
        });
        let mut future = Box::pin(ContextLayer::new().layer(handler).call(request(&[])));
        assert!(futures_poll(future.as_mut()).is_pending());
        drop(future);
        assert_eq!(told.recv().unwrap().as_deref(), Some("the client has gone"));

        let (tell, told) = mpsc::channel();
        let handler = tower::service_fn(move |request: Request<Body>| {
            let look = Look(context(&request), tell.clone());
            let parts = tokio_stream::iter([Ok::<_, Infallible>(data("some"))]);
            let body = StreamBody::new(tokio_stream::StreamExt::map(parts, move |part| {
                let _look = &look;
                part
            }));
            ready(Ok::<_, Infallible>(Response::new(Body::new(body))))
        });
        drop(ContextLayer::new().layer(handler).call(request(&[])).await.unwrap());
        assert_eq!(told.recv().unwrap().as_deref(), Some("the client has gone"));
    });
}

async fn streaming(
    parent: &Context,
    change: impl Fn(&mut Response<Body>),
    request: Request<Body>,
) -> (Context, UnboundedSender<Frame<Bytes>>, ContextBody<Body>) {
    let (frames, coming) = unbounded_channel();
    let (probe, mut ctxs) = Probe::new();
    let mut response = Response::new(Body::new(StreamBody::new(Coming(coming))));
    change(&mut response);
    let mut response = Some(response);
    let handler = tower::service_fn(move |request| {
        probe.tell(context(&request));
        ready(Ok::<_, Infallible>(response.take().unwrap()))
    });
    let mut service = ContextLayer::new().parent(parent).layer(handler);
    let response = service.call(request).await.unwrap();
    (ctxs.try_recv().unwrap(), frames, response.into_body())
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

#[test]
fn the_context_lives_as_long_as_the_body() {
    run(async {
        let over = |ctx: &Context| ctx.cause().unwrap().message() == "the request is over";
        let (ctx, frames, mut body) = streaming(&root(), |_| (), request(&[])).await;
        for _ in 0..2 {
            frames.send(data("some")).unwrap();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "some");
            assert!(!ctx.is_done());
        }
        drop(frames);
        assert!(body.frame().await.is_none());
        assert!(over(&ctx) && ctx.ended().unwrap().is_canceled());

        // Trailers are the last.
        let (ctx, frames, mut body) = streaming(&root(), |_| (), request(&[])).await;
        frames.send(Frame::trailers(HeaderMap::new())).unwrap();
        assert!(body.frame().await.unwrap().unwrap().is_trailers() && over(&ctx));

        // So is the end of the length: hyper asks for no more then.
        let long = |answer: &mut Response<Body>| {
            answer.headers_mut().insert("content-length", 6.into());
        };
        let (ctx, frames, mut body) = streaming(&root(), long, request(&[])).await;
        frames.send(data("two")).unwrap();
        body.frame().await.unwrap().unwrap();
        assert!(!ctx.is_done());
        frames.send(data("one")).unwrap();
        body.frame().await.unwrap().unwrap();
        assert!(over(&ctx));

        // And these have no body at all.
        let mut head = request(&[]);
        *head.method_mut() = Method::HEAD;
        let (ctx, _frames, _body) = streaming(&root(), long, head).await;
        assert!(over(&ctx));
        let none = |answer: &mut Response<Body>| *answer.status_mut() = StatusCode::NO_CONTENT;
        let (ctx, _frames, _body) = streaming(&root(), none, request(&[])).await;
        assert!(over(&ctx));
        let empty = |answer: &mut Response<Body>| *answer.body_mut() = Body::empty();
        let (ctx, _frames, _body) = streaming(&root(), empty, request(&[])).await;
        assert!(over(&ctx));
        // One that is dropped before its end has lost its client.
        let (ctx, _frames, body) = streaming(&root(), |_| (), request(&[])).await;
        drop(body);
        assert_eq!(ctx.cause().unwrap().message(), "the client has gone");
    });
}

#[test]
fn a_body_under_way_ends_with_the_error() {
    run(async {
        let (parent, stop) = root().with_cancel().unwrap();
        let (_ctx, frames, mut body) = streaming(&parent, |_| (), request(&[])).await;
        frames.send(data("some")).unwrap();
        body.frame().await.unwrap().unwrap();
        let waits = tokio::spawn(async move { (body.frame().await, body.frame().await) });
        stop.cancel_because("it stops");
        let (error, end) = waits.await.unwrap();
        let error = error.unwrap().unwrap_err();
        assert_eq!(Ended::find(&*error).unwrap().cause().message(), "it stops");
        assert!(end.is_none() && frames.is_closed());
    });
}

#[test]
fn an_error_of_the_handler_is_the_end_of_the_request() {
    run(async {
        let (probe, mut ctxs) = Probe::new();
        let handler = tower::service_fn(move |request| {
            probe.tell(context(&request));
            ready(Err::<Response<Body>, _>("broken"))
        });
        let mut service: ContextService<_> = ContextLayer::default().layer(handler);
        assert_eq!(service.call(request(&[])).await.unwrap_err(), "broken");
        let ctx = ctxs.try_recv().unwrap();
        assert_eq!(ctx.cause().unwrap().message(), "the request is over");
    });
}
