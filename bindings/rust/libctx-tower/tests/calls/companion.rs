// SPDX-License-Identifier: MIT
//! The companion of a cancel, which tells the server why.

use crate::support::*;
use http::HeaderMap;
use libctx::Cause;
use libctx_tower::{ContextChannel, ContextLayer};
use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tonic::body::Body;
use tonic::{Code, Status};

const TELL: &str = "/libctx.Causes/Tell";

/// Calls that are canceled, one after the other; how many of the servers' contexts know the reason. The others have
/// ended without it, as they may.
async fn cancels(n: usize, is_dropped: bool) -> usize {
    let (address, mut ctxs) = endless(Some(ContextLayer::new())).await;
    let channel = ContextChannel::new(connect(&address).await).name("client");
    let mut told = 0;
    for _ in 0..n {
        let (ctx, canceler) = root().with_cancel().unwrap();
        let (channel, request) = (channel.clone(), request(&ctx));
        let own = if is_dropped { ctx } else { root() };
        let waits = tokio::spawn(async move {
            match own.run(call(channel, request)).await {
                Err(error) => assert!(is_dropped && error.is_canceled()),
                Ok(result) => assert_eq!(result.unwrap_err().code(), Code::Cancelled),
            }
        });
        let theirs = ctxs.recv().await.unwrap();
        canceler.cancel_with(&Cause::new(-7, "enough").unwrap());
        waits.await.unwrap();
        let ended = theirs.done().await.unwrap();
        let cause = ended.cause();
        if cause.message() == "enough" {
            assert_eq!((cause.code(), cause.peer().as_deref()), (-7, Some("client")));
            told += 1;
        } else {
            assert_eq!(cause.message(), "the client has gone");
        }
    }
    told
}

#[test]
fn the_reason_of_a_cancel_arrives() {
    run(async {
        assert!(cancels(100, false).await > 0);
        assert!(cancels(100, true).await > 0, "of calls that are dropped");
    });
}

#[test]
#[ignore = "it measures"]
fn how_many_arrive() {
    run(async {
        let n = std::env::var("CTX_CASES").map_or(10_000, |n| n.parse().unwrap());
        println!("{} of {n} arrived", cancels(n, false).await);
    });
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Status>> + Send>>;

type Engine = tower::util::BoxCloneService<http::Request<Body>, http::Response<Body>, Status>;

/// A channel whose calls never end, and whose companions are answered so.
fn channel(
    answer: impl Fn() -> Answer + Clone + Send + Sync + 'static,
) -> (ContextChannel<Engine>, UnboundedReceiver<HeaderMap>, Arc<AtomicUsize>) {
    let (tell, told) = unbounded_channel();
    let live = Arc::new(AtomicUsize::new(0));
    let counted = live.clone();
    let engine = Engine::new(tower::service_fn(move |request: http::Request<Body>| -> Answer {
        if request.uri().path() == TELL {
            tell.send(request.headers().clone()).unwrap();
            return answer();
        }
        counted.fetch_add(1, Ordering::SeqCst);
        let live = Live(counted.clone());
        Box::pin(async move {
            let _live = live;
            pending().await
        })
    }));
    (ContextChannel::new(engine), told, live)
}

struct Live(Arc<AtomicUsize>);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An answer of these headers.
fn says(name: &'static str, value: &'static str) -> Answer {
    let mut answer = http::Response::new(Body::empty());
    answer.headers_mut().insert(name, value.parse().unwrap());
    Box::pin(ready(Ok(answer)))
}

async fn cancel<T>(channel: &T, end: impl Fn(&libctx::Canceler) -> bool)
where
    T: tonic::client::GrpcService<Body> + Clone + Send + 'static,
    T::Future: Send,
    T::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<libctx_tower::BoxError>,
{
    let (ctx, canceler) = root().with_cancel().unwrap();
    let mut waits = Box::pin(call(channel.clone(), request(&ctx)));
    std::future::poll_fn(|cx| {
        assert!(waits.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    assert!(end(&canceler));
    assert_eq!(waits.await.unwrap_err().code(), Code::Cancelled);
}

#[test]
fn a_companion_is_as_the_contract_says() {
    run(async {
        let (channel, mut told, live) = channel(|| says("grpc-status", "0"));
        let channel = channel.name("client");
        cancel(&channel, |canceler| canceler.cancel_because("enough")).await;
        let came = told.recv().await.unwrap();
        assert_eq!(
            (&came["content-type"], &came["grpc-timeout"], &came["te"]),
            (
                &"application/grpc".parse().unwrap(),
                &"100m".parse().unwrap(),
                &"trailers".parse().unwrap()
            )
        );
        assert_eq!(came["ctx-call"].len(), 32);
        let cause = libctx_tower::cause(&came).unwrap();
        assert_eq!((&*cause.message(), cause.peer().as_deref()), ("enough", Some("client")));
        until(|| live.load(Ordering::SeqCst) == 0).await;
    });
}

#[test]
fn only_a_reason_that_somebody_gave_is_told() {
    run(async {
        let (channel, told, live) = channel(|| says("grpc-status", "0"));
        cancel(&channel, |canceler| canceler.cancel()).await;
        cancel(&channel.clone().tell(false), |canceler| canceler.cancel_because("enough")).await;
        let channel = channel.tell(true);
        // Nor a deadline, of which the server knows.
        let late = Cause::new(-7, "too slow").unwrap();
        let (ctx, _canceler) =
            root().with_timeout_cause(std::time::Duration::from_millis(20), &late).unwrap();
        assert_eq!(call(channel, request(&ctx)).await.unwrap_err().code(), Code::DeadlineExceeded);
        assert!(told.is_empty());
        until(|| live.load(Ordering::SeqCst) == 0).await;
    });
}

/// Cancels until that is told no more, or a test takes too long.
async fn until_untold<T>(channel: &T, told: &mut UnboundedReceiver<HeaderMap>)
where
    T: tonic::client::GrpcService<Body> + Clone + Send + 'static,
    T::Future: Send,
    T::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<libctx_tower::BoxError>,
{
    let mut untold = 0; // one alone may be so because too many are under way
    while untold < 100 {
        cancel(channel, |canceler| canceler.cancel_because("enough")).await;
        untold = if told.try_recv().is_err() { untold + 1 } else { 0 };
        tokio::task::yield_now().await; // the answer comes later
    }
}

#[test]
fn a_server_that_does_not_know_it_is_told_no_more() {
    run(async {
        let (unimplemented, mut told, _) = channel(|| says("grpc-status", "12"));
        until_untold(&unimplemented, &mut told).await;
        let (not_found, mut told, _) = channel(|| {
            let mut answer = http::Response::new(Body::empty());
            *answer.status_mut() = http::StatusCode::NOT_FOUND;
            Box::pin(ready(Ok(answer)))
        });
        until_untold(&not_found, &mut told).await;
        // An error of another kind says nothing of the next.
        let (other, mut told, _) = channel(|| Box::pin(ready(Err(Status::unavailable("")))));
        for _ in 0..10 {
            cancel(&other, |canceler| canceler.cancel_because("enough")).await;
            told.try_recv().unwrap();
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_real_server_without_the_layer_is_told_no_more() {
    run(async {
        let (tell, mut told) = unbounded_channel();
        let calls = Calls::new(move |request: tonic::Request<_>| {
            tell.send(request.metadata().get("ctx-call").is_some()).unwrap();
            pending()
        });
        let channel = ContextChannel::new(connect(&serve(None, calls).await).await);
        loop {
            let (ctx, canceler) = root().with_cancel().unwrap();
            let waits = tokio::spawn(call(channel.clone(), request(&ctx)));
            let has_number = told.recv().await.unwrap();
            canceler.cancel_because("enough");
            waits.await.unwrap().unwrap_err();
            if !has_number {
                return;
            }
        }
    });
}

#[test]
fn a_companion_without_an_answer_holds_its_call_for_a_while_and_few_are_under_way() {
    run(async {
        loop {
            let alive = Arc::new(AtomicUsize::new(0));
            let counted = alive.clone();
            let (channel, mut told, live) = channel(move || {
                counted.fetch_add(1, Ordering::SeqCst);
                let alive = Live(counted.clone());
                Box::pin(async move {
                    let _alive = alive;
                    pending().await
                })
            });
            let begin = std::time::Instant::now();
            for _ in 0..70 {
                cancel(&channel, |canceler| canceler.cancel_because("enough")).await;
            }
            let mut n = 0;
            while told.try_recv().is_ok() {
                n += 1;
            }
            let (alive, held) = (alive.load(Ordering::SeqCst), live.load(Ordering::SeqCst));
            let in_time = begin.elapsed() < std::time::Duration::from_millis(80);
            until(|| live.load(Ordering::SeqCst) == 0).await;
            if in_time {
                assert_eq!((n, alive, held), (64, 64, 64), "they wait for longer");
                return;
            }
        }
    });
}

/// A channel that is busy would make the cancel wait, and without a runtime nobody would wait for the companion.
#[test]
fn what_cannot_be_told_at_once_is_not() {
    run(async {
        let (channel, told, live) = channel(|| says("grpc-status", "0"));
        let (ctx, canceler) = root().with_cancel().unwrap();
        let waits = Box::pin(call(channel, request(&ctx)));
        std::thread::spawn(move || {
            let mut waits = waits;
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(waits.as_mut().poll(&mut cx).is_pending());
            canceler.cancel_because("enough");
            drop(waits);
            assert_eq!(live.load(Ordering::SeqCst), 0);
        })
        .join()
        .unwrap();
        assert!(told.is_empty());

        #[derive(Clone)]
        struct Busy(Arc<AtomicUsize>);
        impl tower::Service<http::Request<Body>> for Busy {
            type Response = http::Response<Body>;
            type Error = Status;
            type Future = Answer;
            fn poll_ready(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Status>> {
                match self.0.load(Ordering::SeqCst) {
                    0 => std::task::Poll::Ready(Ok(())),
                    _ => std::task::Poll::Pending,
                }
            }
            fn call(&mut self, request: http::Request<Body>) -> Answer {
                assert_ne!(request.uri().path(), TELL);
                self.0.fetch_add(1, Ordering::SeqCst);
                let live = Live(self.0.clone());
                Box::pin(async move {
                    let _live = live;
                    pending().await
                })
            }
        }
        let live = Arc::new(AtomicUsize::new(0));
        let busy = ContextChannel::new(Busy(live.clone()));
        cancel(&busy, |canceler| canceler.cancel_because("enough")).await;
        assert_eq!(live.load(Ordering::SeqCst), 0);
    });
}
