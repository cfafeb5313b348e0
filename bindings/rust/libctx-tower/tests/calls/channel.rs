// SPDX-License-Identifier: MIT
//! Calls of tonic that go with a context.

use crate::support::*;
use bytes::Bytes;
use http::HeaderMap;
use http::uri::PathAndQuery;
use libctx::{Context, Ended};
use libctx_tower::{ContextChannel, ContextLayer, cause};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::{Code, Request, Response, Status, Streaming};

/// The metadata of each call, which has no answer.
async fn metadata() -> (String, UnboundedReceiver<HeaderMap>) {
    let (tell, told) = unbounded_channel();
    let calls = Calls::new(move |request: Request<Streaming<Bytes>>| {
        tell.send(request.metadata().clone().into_headers()).unwrap();
        std::future::ready(Err(Status::not_found("nothing is there")))
    });
    (serve(None, calls).await, told)
}

fn end_in(status: &Status) -> &Ended {
    Ended::find(status).expect("it is there")
}

#[test]
fn what_a_context_carries_goes_out() {
    run(async {
        let (address, mut came) = metadata().await;
        let channel = ContextChannel::new(connect(&address).await);
        let (ctx, _canceler) = root().with_timeout(HOUR).unwrap();
        let ctx = ctx.with_baggage("user", "ada").unwrap().with_string("x-id", "7").unwrap();
        let ctx = ctx.with_string("x-bad", "7\n8").unwrap();
        let mut headers = async |channel: &ContextChannel<_>, request| {
            let status = call(channel.clone(), request).await.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::NotFound, "nothing is there"));
            came.recv().await.unwrap()
        };
        let sent = headers(&channel, request(&ctx)).await;
        assert_eq!(sent["baggage"], "user=ada");
        assert!(sent["grpc-timeout"].len() > 3 && sent.get("x-request-timeout-ms").is_none());
        let number = sent["ctx-call"].to_str().unwrap();
        assert!(number.len() == 32 && number.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(sent.get("x-id").is_none());
        let again = headers(&channel, request(&ctx)).await;
        assert_ne!(again["ctx-call"], sent["ctx-call"]);

        // What the caller has set stays.
        let mut own = request(&ctx);
        own.set_timeout(Duration::from_secs(9));
        own.metadata_mut().insert("baggage", "own=1".parse().unwrap());
        let sent = headers(&channel, own).await;
        assert_eq!(
            (&sent["grpc-timeout"], &sent["baggage"]),
            (&"9000000u".parse().unwrap(), &"own=1".parse().unwrap())
        );

        let named = channel.clone().strings(["x-id", "x-bad"]);
        let sent = headers(&named, request(&ctx)).await;
        assert_eq!(
            (&sent["x-id"], sent.get("x-bad"), sent.get("baggage")),
            (&"7".parse().unwrap(), None, None)
        );
        // Without a context nothing does, nor a number where none will be told.
        for (channel, request) in [
            (&channel, Request::new(Bytes::new())),
            (&channel, request(&root())),
            (&channel.clone().tell(false).name("client"), request(&ctx)),
        ] {
            assert!(headers(channel, request).await.get("ctx-call").is_none());
        }
    });
}

#[test]
fn a_context_that_is_done_makes_no_call() {
    run(async {
        let (address, came) = metadata().await;
        let (ctx, canceler) = root().with_cancel().unwrap();
        canceler.cancel_because("enough");
        let channel = ContextChannel::new(connect(&address).await);
        let status = call(channel, request(&ctx)).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Cancelled, "context canceled: enough")
        );
        assert_eq!(end_in(&status), &ctx.ended().unwrap());
        assert!(came.is_empty());
    });
}

/// Whatever tonic says of it, and also where no server looks at the deadline.
#[test]
fn the_deadline_is_deadline_exceeded() {
    run(async {
        for layer in [None, Some(ContextLayer::new())] {
            let (address, _ctxs) = endless(layer).await;
            let channel = ContextChannel::new(connect(&address).await);
            for time in [1, 2, 3, 5, 8] {
                let (ctx, _canceler) = root().with_timeout(Duration::from_millis(time)).unwrap();
                let status = call(channel.clone(), request(&ctx)).await.unwrap_err();
                assert_eq!(status.code(), Code::DeadlineExceeded);
                assert!(end_in(&status).is_deadline_exceeded());
            }
        }
    });
}

#[test]
fn a_cancel_ends_the_call_and_the_handler() {
    run(async {
        let (address, mut ctxs) = endless(Some(ContextLayer::new())).await;
        let channel = ContextChannel::new(connect(&address).await).tell(false);
        let (ctx, canceler) = root().with_cancel().unwrap();
        let waits = tokio::spawn(call(channel, request(&ctx)));
        let theirs = ctxs.recv().await.unwrap();
        canceler.cancel_because("enough");
        let status = waits.await.unwrap().unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Cancelled, "context canceled: enough")
        );
        assert_eq!(end_in(&status), &ctx.ended().unwrap());
        assert_eq!(theirs.done().await.unwrap().cause().message(), "the client has gone");
    });
}

/// A call that streams both ways, and the server's side of it.
async fn streaming(
    ctx: &Context,
    tell: bool,
) -> (Streaming<Bytes>, tokio::sync::mpsc::UnboundedSender<Bytes>, (Context, Streaming<Bytes>)) {
    let (tell_test, mut told) = unbounded_channel();
    let calls = Calls::new(move |request| {
        tell_test.send((context(&request), request.into_inner())).unwrap();
        async { Ok(Response::new(Box::pin(tokio_stream::pending()) as Messages)) }
    });
    let address = serve(Some(ContextLayer::new()), calls).await;
    let channel = ContextChannel::new(connect(&address).await).tell(tell);
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let (sends, coming) = unbounded_channel();
    let mut request = Request::new(Coming(coming).map(Result::unwrap));
    request.extensions_mut().insert(ctx.clone());
    let path = PathAndQuery::from_static(PATH);
    let answer = client.streaming(request, path, Plain).await.unwrap().into_inner();
    (answer, sends, told.recv().await.unwrap())
}

#[test]
fn a_stream_ends_with_the_context() {
    run(async {
        for tell in [false, true] {
            let (ctx, canceler) = root().with_cancel().unwrap();
            let (mut answer, sends, (theirs, mut came)) = streaming(&ctx, tell).await;
            sends.send(Bytes::from_static(b"ping")).unwrap();
            assert_eq!(came.message().await.unwrap().unwrap(), "ping");
            let waits = tokio::spawn(async move { answer.message().await });
            canceler.cancel_because("enough");
            let status = waits.await.unwrap().unwrap_err();
            assert_eq!(status.code(), Code::Cancelled);
            assert_eq!(end_in(&status), &ctx.ended().unwrap());
            // A stream that was reset is over: tonic takes that for its end.
            assert!(!matches!(came.message().await, Ok(Some(_))));
            let ended = theirs.done().await.unwrap();
            assert!(tell || ended.cause().message() == "the client has gone");
            sends.closed().await;
        }
    });
}

#[test]
fn a_stream_ends_at_the_deadline() {
    run(async {
        let (clock, parent) = clock();
        let (ctx, _canceler) = parent.with_timeout(HOUR).unwrap();
        let (mut answer, _sends, (theirs, _came)) = streaming(&ctx, true).await;
        let waits = tokio::spawn(async move { answer.message().await });
        clock.advance(HOUR).unwrap();
        let status = waits.await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        theirs.done().await.unwrap();
    });
}

/// A caller who waits for both drops the call, and the server learns of it.
#[test]
fn a_stream_that_is_dropped_has_ended() {
    run(async {
        let (ctx, _canceler) = root().with_cancel().unwrap();
        let (answer, sends, (theirs, _came)) = streaming(&ctx, true).await;
        drop(answer);
        assert_eq!(theirs.done().await.unwrap().cause().message(), "the client has gone");
        sends.closed().await;
    });
}

#[test]
fn a_server_says_why() {
    run(async {
        let (parent, stop) = root().with_cancel().unwrap();
        stop.cancel_because("it stops");
        let layer = ContextLayer::new().parent(&parent).name("shop");
        let (address, _ctxs) = endless(Some(layer)).await;
        let (ctx, _canceler) = root().with_timeout(HOUR).unwrap();
        let channel = ContextChannel::new(connect(&address).await);
        let status = call(channel, request(&ctx)).await.unwrap_err();
        assert!(status.code() == Code::Unavailable && Ended::find(&status).is_none());
        let why = cause(status.metadata().as_ref()).unwrap();
        assert_eq!((&*why.message(), why.peer().as_deref()), ("it stops", Some("shop")));
        for text in ["", "no", "v=1&code=x"] {
            let mut hostile = HeaderMap::new();
            hostile.insert("ctx-cause", text.parse().unwrap());
            assert!(cause(&hostile).is_none(), "{text}");
        }
        assert!(cause(&HeaderMap::new()).is_none());
    });
}

/// An error that comes when the context is done is the context's.
#[test]
fn the_own_context_comes_first() {
    run(async {
        let (ctx, canceler) = root().with_cancel().unwrap();
        for in_trailers in [false, true] {
            let (ctx, canceler) = match in_trailers {
                false => (ctx.clone(), canceler.clone()),
                true => root().with_cancel().unwrap(),
            };
            // The engine ends the context, and says something else in the same poll.
            let engine = tower::service_fn(move |_: http::Request<Body>| {
                let canceler = canceler.clone();
                async move {
                    let mut says = HeaderMap::new();
                    says.insert("grpc-status", 5.into());
                    let mut answer = http::Response::new(Body::empty());
                    if in_trailers {
                        let body = http_body_util::StreamBody::new(tokio_stream::once(()).map(
                            move |_| {
                                canceler.cancel();
                                Ok::<_, Status>(http_body::Frame::trailers(says.clone()))
                            },
                        ));
                        answer = answer.map(|_| Body::new(body));
                    } else {
                        canceler.cancel();
                        *answer.headers_mut() = says;
                    }
                    Ok::<_, Status>(answer)
                }
            });
            let channel = ContextChannel::new(engine);
            let status = match call(channel, request(&ctx)).await {
                Ok(mut answer) => answer.get_mut().message().await.unwrap_err(),
                Err(status) => status,
            };
            assert_eq!(status.code(), Code::Cancelled);
            assert_eq!(end_in(&status), &ctx.ended().unwrap());
        }
    });
}

/// Its clock is not ours: a call that breaks so near to the deadline broke by it, also if a server says so, which had the
/// deadline first.
#[test]
fn a_call_that_breaks_near_the_deadline_is_the_deadline() {
    run(async {
        type Answer = Result<http::Response<Body>, Status>;
        let says = |code: Code| -> Answer {
            let mut says = http::Response::new(Body::empty());
            says.headers_mut().insert("grpc-status", (code as i32).into());
            Ok(says)
        };
        let breaks = || -> Answer { Err(Status::unavailable("it broke")) };
        for (passes, answer, code) in [
            (99, breaks(), Code::DeadlineExceeded),
            (98, breaks(), Code::Unavailable),
            (99, says(Code::Cancelled), Code::DeadlineExceeded),
            (98, says(Code::Cancelled), Code::Cancelled),
            (99, says(Code::DeadlineExceeded), Code::DeadlineExceeded),
            (99, says(Code::NotFound), Code::NotFound),
        ] {
            let (clock, parent) = clock();
            let (ctx, _canceler) = parent.with_timeout(Duration::from_secs(100)).unwrap();
            let (answer, moved) = (Arc::new(Mutex::new(Some(answer))), clock.clone());
            let engine = tower::service_fn(move |_: http::Request<Body>| {
                moved.advance(Duration::from_secs(passes)).unwrap();
                std::future::ready(answer.lock().unwrap().take().unwrap())
            });
            let status = call(ContextChannel::new(engine), request(&ctx)).await.unwrap_err();
            assert_eq!(status.code(), code, "{passes} {status:?}");
            assert_eq!(Ended::find(&status).is_some(), code == Code::DeadlineExceeded);
            drop(clock);
        }
    });
}
