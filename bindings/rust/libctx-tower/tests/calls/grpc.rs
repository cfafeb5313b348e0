// SPDX-License-Identifier: MIT
//! Calls of gRPC that a server serves, and clients without the layer.

use crate::support::*;
use bytes::Bytes;
use http::uri::PathAndQuery;
use libctx::{Cause, Context, Origin};
use libctx_tower::{ContextLayer, cause};
use std::future::pending;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::{Code, Request, Response, Status, Streaming};

const TELL: &str = "/libctx.Causes/Tell";

fn plain() -> Request<Bytes> {
    Request::new(Bytes::from_static(b"?"))
}

/// What a server answers that says why.
fn why(status: &Status) -> (Code, String, Option<String>) {
    let cause = cause(status.metadata().as_ref()).unwrap();
    (status.code(), cause.message().into_owned(), cause.peer().map(Into::into))
}

#[test]
fn a_handler_has_what_the_metadata_says() {
    run(async {
        let calls = Calls::new(async |request: Request<Streaming<Bytes>>| {
            let ctx = context(&request);
            assert!(ctx.remaining().unwrap() <= HOUR);
            let said = format!("{:?} {:?}", ctx.baggage("user"), ctx.string("x-request-id"));
            Ok(Response::new(Box::pin(tokio_stream::once(Ok(said.into()))) as Messages))
        });
        let layer = ContextLayer::new().strings(["baggage", "x-request-id"]);
        let channel = connect(&serve(Some(layer), calls).await).await;
        let mut request = plain();
        request.set_timeout(HOUR);
        request.metadata_mut().insert("baggage", "user=ada".parse().unwrap());
        request.metadata_mut().insert("x-request-id", "7".parse().unwrap());
        request.metadata_mut().insert("x-request-timeout-ms", "of HTTP".parse().unwrap());
        let mut answer = call(channel, request).await.unwrap().into_inner();
        let said = answer.message().await.unwrap().unwrap();
        assert_eq!(said, "Some(\"ada\") Some(\"7\")");
        assert!(answer.message().await.unwrap().is_none());
    });
}

#[test]
fn the_end_of_a_context_is_the_status() {
    run(async {
        let (clock, virtual_root) = clock();
        let (parent, stop) = virtual_root.with_cancel().unwrap();
        let layer = ContextLayer::new().parent(&parent).name("shop").default_timeout(HOUR);
        let (address, mut ctxs) = endless(Some(layer)).await;
        let channel = connect(&address).await;
        let waits = tokio::spawn(call(channel.clone(), plain()));
        ctxs.recv().await.unwrap();
        clock.advance(HOUR).unwrap();
        let status = waits.await.unwrap().unwrap_err();
        assert_eq!(status.message(), "context deadline exceeded");
        let text = status.message().to_owned();
        assert_eq!(why(&status), (Code::DeadlineExceeded, text, Some("shop".into())));

        let waits = tokio::spawn(call(channel.clone(), plain()));
        ctxs.recv().await.unwrap();
        stop.cancel_because("it stops");
        let expected = (Code::Unavailable, "it stops".into(), Some("shop".into()));
        assert_eq!(why(&waits.await.unwrap().unwrap_err()), expected);
        // From now on none begins.
        assert_eq!(why(&call(channel, plain()).await.unwrap_err()), expected);
        assert!(ctxs.is_empty());
    });
}

/// tonic looks at `grpc-timeout`, too, and says `CANCELLED` if it comes first: on its clock a deadline may be a
/// millisecond later.
#[test]
fn the_deadline_of_the_client_ends_a_call() {
    run(async {
        let (address, mut ctxs) = endless(Some(ContextLayer::new())).await;
        let mut request = plain();
        request.set_timeout(Duration::from_millis(1));
        let status = call(connect(&address).await, request).await.unwrap_err();
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
        let ended = ctxs.recv().await.unwrap().done().await.unwrap();
        assert!(ended.is_deadline_exceeded() && !ended.cause().is_given());
    });
}

#[test]
fn a_timeout_that_is_malformed_is_internal() {
    run(async {
        let (address, ctxs) = endless(Some(ContextLayer::new())).await;
        for timeout in ["soon", "1", "-1S", "123456789S"] {
            let mut request = plain();
            request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
            let status = call(connect(&address).await, request).await.unwrap_err();
            assert_eq!(status.code(), Code::Internal, "{timeout}");
        }
        assert!(ctxs.is_empty());
    });
}

#[test]
fn a_reset_of_the_client_ends_the_context() {
    run(async {
        let (address, mut ctxs) = endless(Some(ContextLayer::new())).await;
        let waits = tokio::spawn(call(connect(&address).await, plain()));
        let ctx = ctxs.recv().await.unwrap();
        assert!(!ctx.is_done());
        waits.abort();
        let ended = ctx.done().await.unwrap();
        assert_eq!(ended.cause().origin(), Origin::PEER);
    });
}

/// A server whose answers stream what the test sends, which also gets what came.
async fn streams(
    layer: ContextLayer,
) -> (String, UnboundedSender<Bytes>, UnboundedReceiver<(Context, Streaming<Bytes>)>) {
    let (messages, coming) = unbounded_channel();
    let (tell, told) = unbounded_channel();
    let coming = Mutex::new(Some(coming));
    let calls = Calls::new(move |request| {
        let coming = coming.lock().unwrap().take().unwrap();
        tell.send((context(&request), request.into_inner())).unwrap();
        async { Ok(Response::new(Box::pin(Coming(coming)) as Messages)) }
    });
    (serve(Some(layer), calls).await, messages, told)
}

/// A call that streams both ways.
async fn streaming(address: &str) -> (UnboundedSender<Bytes>, Streaming<Bytes>) {
    let (sends, coming) = unbounded_channel();
    let mut client = tonic::client::Grpc::new(connect(address).await);
    client.ready().await.unwrap();
    let coming = tokio_stream::StreamExt::map(Coming(coming), Result::unwrap);
    let path = PathAndQuery::from_static(PATH);
    let answer = client.streaming(Request::new(coming), path, Plain).await.unwrap();
    (sends, answer.into_inner())
}

#[test]
fn a_stream_that_has_begun_ends_with_trailers_that_say_why() {
    run(async {
        let (parent, stop) = root().with_cancel().unwrap();
        let layer = ContextLayer::new().parent(&parent).name("shop");
        let (address, messages, mut told) = streams(layer).await;
        let (sends, mut answer) = streaming(&address).await;
        let (ctx, mut came) = told.recv().await.unwrap();
        for _ in 0..2 {
            sends.send(Bytes::from_static(b"ping")).unwrap();
            assert_eq!(came.message().await.unwrap().unwrap(), "ping");
            messages.send(Bytes::from_static(b"pong")).unwrap();
            assert_eq!(answer.message().await.unwrap().unwrap(), "pong");
            assert!(!ctx.is_done());
        }
        stop.cancel_because("it stops");
        let status = answer.message().await.unwrap_err();
        assert_eq!(why(&status), (Code::Unavailable, "it stops".into(), Some("shop".into())));
        messages.closed().await; // what the handler has given is dropped
    });
}

#[test]
fn the_context_lives_as_long_as_the_streams() {
    run(async {
        let (address, messages, mut told) = streams(ContextLayer::new()).await;
        let (sends, mut answer) = streaming(&address).await;
        let (ctx, mut came) = told.recv().await.unwrap();
        drop(sends);
        assert!(came.message().await.unwrap().is_none() && !ctx.is_done());
        drop(messages);
        assert!(answer.message().await.unwrap().is_none());
        assert_eq!(ctx.done().await.unwrap().cause().message(), "the request is over");

        let (address, _messages, mut told) = streams(ContextLayer::new()).await;
        let (sends, answer) = streaming(&address).await;
        let (ctx, _came) = told.recv().await.unwrap();
        drop((answer, sends)); // hyper resets no stream that is still sending
        assert_eq!(ctx.done().await.unwrap().cause().message(), "the client has gone");
    });
}

/// The companion of a cancel, as any client may send it.
async fn tell(address: &str, number: &str, cause: &[u8]) {
    let mut client = tonic::client::Grpc::new(connect(address).await);
    client.ready().await.unwrap();
    let mut request = Request::new(Bytes::new());
    request.metadata_mut().insert("ctx-call", number.parse().unwrap());
    let cause = http::HeaderValue::from_bytes(cause).unwrap();
    request.metadata_mut().as_mut().insert("ctx-cause", cause);
    let answer = client.unary(request, PathAndQuery::from_static(TELL), Plain).await.unwrap();
    assert!(answer.into_inner().is_empty());
}

#[test]
fn a_companion_ends_the_call_that_it_names() {
    run(async {
        let (address, mut ctxs) = endless(Some(ContextLayer::new())).await;
        let channel = connect(&address).await;
        let begin = |number: &str| {
            let mut request = plain();
            request.metadata_mut().insert("ctx-call", number.parse().unwrap());
            tokio::spawn(call(channel.clone(), request))
        };
        let number = "0123456789abcdef0123456789ABCDEF";
        let text = Cause::new(-7, "enough").unwrap().encode("client");
        let waits = begin(number);
        let ctx = ctxs.recv().await.unwrap();
        // These name no call that there is.
        for other in ["", "7", "+123456789abcdef0123456789abcdef", &number[1..], &"f".repeat(32)] {
            tell(&address, other, text.as_bytes()).await;
            let _no_number = begin(other);
            ctxs.recv().await.unwrap();
        }
        assert!(!ctx.is_done());
        tell(&address, number, text.as_bytes()).await;
        let told = ctx.ended().expect("it has ended when that is answered");
        assert_eq!((&*told.cause().message(), told.cause().code()), ("enough", -7));
        assert_eq!(told.cause().peer().as_deref(), Some("client"));
        let expected = (Code::Cancelled, "enough".into(), Some("client".into()));
        assert_eq!(why(&waits.await.unwrap().unwrap_err()), expected);
        tell(&address, number, text.as_bytes()).await; // it is over
        let _again = begin(number); // so the number is free
        let ctx = ctxs.recv().await.unwrap();
        tell(&address, number, text.as_bytes()).await;
        assert!(ctx.is_done());

        // What is no cause ends it, too, without a reason.
        let hostile = [&b""[..], b"no", b"v=1&code=x", b"v=1&message=%ff\xff", &[b'x'; 5000]];
        for (i, hostile) in hostile.into_iter().enumerate() {
            let number = format!("{i:032x}");
            let _waits = begin(&number);
            let ctx = ctxs.recv().await.unwrap();
            tell(&address, &number, hostile).await;
            assert_eq!(ctx.cause().unwrap().message(), "the client has gone");
        }
        // Of two calls with one number the first has it.
        let number = &"1".repeat(32);
        let _first = begin(number);
        let first = ctxs.recv().await.unwrap();
        let second = begin(number);
        let other = ctxs.recv().await.unwrap();
        second.abort();
        other.done().await.unwrap();
        assert!(!first.is_done());
        tell(&address, number, text.as_bytes()).await;
        assert!(first.is_done());
    });
}

/// As of a program without libctx.
#[test]
fn without_the_layer_a_call_has_no_context() {
    run(async {
        let (tell, mut told) = unbounded_channel();
        let calls = Calls::new(move |request: Request<Streaming<Bytes>>| {
            tell.send(request.extensions().get::<Context>().is_none()).unwrap();
            pending()
        });
        let channel = connect(&serve(None, calls).await).await;
        let _waits = tokio::spawn(call(channel, plain()));
        assert!(told.recv().await.unwrap());
    });
}
