// SPDX-License-Identifier: MIT
//! What the layers cost above bare tonic: both sides in one run, in turns, client and server on one thread and loopback.
//! Prints medians, a name and a figure a line; `ratio` is the median of the ratios of the turns.
#![allow(missing_docs)]

#[path = "../tests/calls/support.rs"]
#[allow(dead_code)]
mod support;

use bytes::Bytes;
use libctx::Context;
use libctx_tower::{ContextChannel, ContextLayer};
use std::future::{Future, pending, poll_fn};
use std::sync::Mutex;
use std::task::Poll;
use std::time::{Duration, Instant};
use support::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tonic::transport::Channel;
use tonic::{Request, Response, Streaming};

const TURNS: usize = 61;
const EACH: usize = 200;
const MINUTE: Duration = Duration::from_secs(60);

/// Of this thread, in microseconds.
fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is written to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Prints microseconds of bare tonic and of ours, and their ratio; the first turn is not counted.
fn print(name: &str, mut bare: Vec<f64>, mut ours: Vec<f64>) {
    let mut ratios: Vec<_> =
        bare.iter().zip(&ours).skip(1).map(|(bare, ours)| ours / bare).collect();
    println!("P21/rust/{name}/bare {:.2}", median(&mut bare[1..]));
    println!("P21/rust/{name}/ours {:.2}", median(&mut ours[1..]));
    println!("P21/rust/{name}/ratio {:.3}", median(&mut ratios));
}

/// Both sides in turns; which goes first takes turns, too.
async fn compare(name: &str, bare: impl AsyncFn() -> f64, ours: impl AsyncFn() -> f64) {
    let (mut theirs, mut our) = (vec![], vec![]);
    for turn in 0..=TURNS {
        if turn % 2 == 0 {
            theirs.push(bare().await);
            our.push(ours().await);
        } else {
            our.push(ours().await);
            theirs.push(bare().await);
        }
    }
    print(name, theirs, our);
}

/// One that answers at once, with and without the layer.
async fn echo(layer: Option<ContextLayer>) -> Channel {
    let calls = Calls::new(async |_: Request<Streaming<Bytes>>| {
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(Bytes::new()))) as Messages))
    });
    connect(&serve(layer, calls).await).await
}

async fn finish<T>(channel: T, request: Request<Bytes>)
where
    T: tonic::client::GrpcService<tonic::body::Body>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<libctx_tower::BoxError>,
{
    let mut answer = call(channel, request).await.unwrap().into_inner();
    while answer.message().await.unwrap().is_some() {}
}

async fn unary() {
    let bare = echo(None).await;
    let ours = ContextChannel::new(echo(Some(ContextLayer::new())).await);
    let each = |begin: f64| (processor_time() - begin) / EACH as f64;
    compare(
        "unary",
        async || {
            let begin = processor_time();
            for _ in 0..EACH {
                let mut request = Request::new(Bytes::from_static(b"?"));
                request.set_timeout(MINUTE);
                finish(bare.clone(), request).await;
            }
            each(begin)
        },
        async || {
            let begin = processor_time();
            for _ in 0..EACH {
                let (ctx, _canceler) = Context::background().with_timeout(MINUTE).unwrap();
                finish(ours.clone(), request(&ctx)).await;
            }
            each(begin)
        },
    )
    .await;
}

/// One whose handlers never end, and when each was dropped.
async fn never(
    layer: Option<ContextLayer>,
) -> (Channel, Mutex<UnboundedReceiver<Option<Instant>>>) {
    struct Told(tokio::sync::mpsc::UnboundedSender<Option<Instant>>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(Some(Instant::now()));
        }
    }
    let (tell, told) = unbounded_channel();
    let calls = Calls::new(move |_: Request<Streaming<Bytes>>| {
        let told = Told(tell.clone());
        async move {
            told.0.send(None).unwrap();
            let _told = told;
            pending().await
        }
    });
    (connect(&serve(layer, calls).await).await, Mutex::new(told))
}

/// From a cancel to the drop of the handler.
#[allow(clippy::await_holding_lock)] // nobody else wants it
async fn wake_up(told: &Mutex<UnboundedReceiver<Option<Instant>>>, cancel: impl FnOnce()) -> f64 {
    let mut told = told.lock().unwrap();
    assert!(told.recv().await.unwrap().is_none());
    let begin = Instant::now();
    cancel();
    let end = told.recv().await.unwrap().unwrap();
    (end - begin).as_secs_f64() * 1e6
}

async fn cancel(name: &str, reason: Option<&str>) {
    let (bare, bare_told) = never(None).await;
    let (ours, told) = never(Some(ContextLayer::new())).await;
    let ours = ContextChannel::new(ours);
    compare(
        name,
        async || {
            let mut all = vec![];
            for _ in 0..EACH {
                let (stop, mut stopped) = oneshot::channel::<()>();
                let channel = bare.clone();
                let waits = tokio::spawn(async move {
                    let request = Request::new(Bytes::from_static(b"?"));
                    let mut call = Box::pin(call(channel, request));
                    poll_fn(|cx| match call.as_mut().poll(cx) {
                        Poll::Ready(_) => Poll::Ready(()),
                        Poll::Pending => std::pin::Pin::new(&mut stopped).poll(cx).map(|_| ()),
                    })
                    .await;
                });
                all.push(wake_up(&bare_told, || stop.send(()).unwrap()).await);
                waits.await.unwrap();
            }
            median(&mut all)
        },
        async || {
            let mut all = vec![];
            for _ in 0..EACH {
                let (ctx, canceler) = Context::background().with_cancel().unwrap();
                let waits = tokio::spawn(call(ours.clone(), request(&ctx)));
                let cancel = || match reason {
                    Some(reason) => assert!(canceler.cancel_because(reason)),
                    None => assert!(canceler.cancel()),
                };
                all.push(wake_up(&told, cancel).await);
                waits.await.unwrap().unwrap_err();
            }
            median(&mut all)
        },
    )
    .await;
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        unary().await;
        cancel("cancel", None).await;
        cancel("reason", Some("enough")).await;
    });
}
