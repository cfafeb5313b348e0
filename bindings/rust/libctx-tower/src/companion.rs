// SPDX-License-Identifier: MIT
//! The companion of a cancel: a second call, which tells the server why the first is canceled. docs/calls.md has it.
//!
//! hyper tells a server of the reset of a stream before it begins the calls that came with it. So a call that is dropped is
//! held until the companion is over. The caller waits for none of this.

use crate::BoxError;
use crate::number::Numbers;
use crate::wire;
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::{Frame, SizeHint};
use libctx::Context;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll, Waker};
use std::time::Duration;
use tokio::runtime::Handle;
use tonic::body::Body;
use tower_service::Service;

const AT_MOST: usize = 64;
const TIMEOUT: Duration = Duration::from_millis(100);
const UNIMPLEMENTED: &[u8] = b"12";

/// Those of a channel.
pub(crate) struct Companions<S> {
    channel: Mutex<S>,
    numbers: Mutex<Numbers>,
    name: String,
    tells: AtomicBool,
    under_way: AtomicUsize,
}

impl<S: Clone> Companions<S> {
    pub(crate) fn new(channel: S) -> Companions<S> {
        Companions {
            channel: Mutex::new(channel),
            numbers: Mutex::default(),
            name: String::new(),
            tells: AtomicBool::new(true),
            under_way: AtomicUsize::new(0),
        }
    }

    pub(crate) fn named(&self, name: String) -> Companions<S> {
        let tells = AtomicBool::new(self.tells.load(Ordering::Relaxed));
        Companions { name, tells, ..Companions::new(self.channel()) }
    }

    pub(crate) fn set(&self, tells: bool) {
        self.tells.store(tells, Ordering::Relaxed);
    }

    fn channel(&self) -> S {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S, R> Companions<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    R: http_body::Body + Send + 'static,
{
    /// Gives a call its number, so that a companion may name it; `None` if none ever will.
    pub(crate) fn of<B>(
        self: &Arc<Companions<S>>,
        ctx: &Context,
        request: &mut Request<B>,
    ) -> Option<Companion> {
        if !self.tells.load(Ordering::Relaxed) || !ctx.is_cancelable() {
            return None;
        }
        let number = self.numbers.lock().unwrap_or_else(PoisonError::into_inner).next()?;
        request.headers_mut().insert(wire::CALL, number.clone());
        Some(Companion {
            teller: self.clone(),
            ctx: ctx.clone(),
            number,
            scheme: request.uri().scheme().cloned(),
            authority: request.uri().authority().cloned(),
        })
    }
}

impl<S> fmt::Debug for Companions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Companions").field("tells", &self.tells).finish_non_exhaustive()
    }
}

/// What a call needs to tell why it is canceled.
pub(crate) struct Companion {
    teller: Arc<dyn Tell>,
    ctx: Context,
    number: HeaderValue,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
}

impl Companion {
    /// For a call that is dropped: tells why, if its context has ended, and then lets go of it.
    pub(crate) fn drop_call(self, call: Box<dyn Send>) {
        if self.ctx.is_done() {
            self.teller.clone().tell(self, call);
        }
    }

    /// The call, if there is something to tell. It has a deadline on both sides: nothing is told of that.
    fn request(&self, name: &str) -> Option<Request<Body>> {
        let ended = self.ctx.ended()?;
        let is_told = ended.cause().is_given() && !self.is_of_deadline(&ended);
        let says = is_told.then(|| wire::encoded(ended.cause(), name)).flatten()?;
        let uri = match (&self.scheme, &self.authority) {
            (Some(scheme), Some(authority)) => {
                let whole = Uri::builder().scheme(scheme.clone()).authority(authority.clone());
                whole.path_and_query(wire::TELL).build().ok()?
            }
            _ => Uri::from_static(wire::TELL),
        };
        let mut request =
            Request::new(Body::new(Message(Some(Bytes::from_static(wire::EMPTY_MESSAGE)))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert("grpc-timeout", HeaderValue::from_static("100m"));
        headers.insert(wire::CALL, self.number.clone());
        headers.insert(wire::CAUSE, says);
        Some(request)
    }

    fn is_of_deadline(&self, ended: &libctx::Ended) -> bool {
        ended.is_deadline_exceeded() && self.ctx.remaining() == Some(Duration::ZERO)
    }
}

/// A channel that tells, of whatever type.
trait Tell: Send + Sync {
    fn tell(self: Arc<Self>, companion: Companion, held: Box<dyn Send>);
}

impl<S, R> Tell for Companions<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    R: http_body::Body + Send + 'static,
{
    fn tell(self: Arc<Self>, companion: Companion, held: Box<dyn Send>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let Some(place) = Place::take(&self) else { return };
        let Some(request) = companion.request(&self.name) else { return };
        let mut channel = self.channel();
        let mut cx = task::Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(())) = channel.poll_ready(&mut cx) else { return }; // it does not wait
        let answer = channel.call(request);
        runtime.spawn(async move {
            let place = place;
            let Ok((limit, _canceler)) = Context::background().with_timeout(TIMEOUT) else {
                return;
            };
            if let Ok(Ok(response)) = limit.run(answer).await {
                if is_unimplemented(response.status(), response.headers()) {
                    place.0.set(false);
                }
            }
            drop(held);
        });
    }
}

/// One of those that may be under way.
struct Place<S: Clone>(Arc<Companions<S>>);

impl<S: Clone> Place<S> {
    fn take(all: &Arc<Companions<S>>) -> Option<Place<S>> {
        let place = Place(all.clone());
        let before = all.under_way.fetch_add(1, Ordering::Relaxed);
        (before < AT_MOST && all.tells.load(Ordering::Relaxed)).then_some(place)
    }
}

impl<S: Clone> Drop for Place<S> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A server of another kind, without libctx, has no such method.
fn is_unimplemented(status: StatusCode, headers: &HeaderMap) -> bool {
    match headers.get(wire::GRPC_STATUS) {
        Some(code) => code.as_bytes() == UNIMPLEMENTED,
        None => status == StatusCode::NOT_FOUND,
    }
}

/// The message of a companion.
struct Message(Option<Bytes>);

impl http_body::Body for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|message| Ok(Frame::data(message))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}
