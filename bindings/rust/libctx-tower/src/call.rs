// SPDX-License-Identifier: MIT
//! A call of a client, which its context ends: the future, and then the body of the response.

use crate::BoxError;
use crate::failure::Failure;
use crate::late::{self, Limit};
use crate::wire;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use libctx::{Context, Done, Ended};
use pin_project_lite::pin_project;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{self, Poll};

const CANCELLED: &str = "1";
const DEADLINE_EXCEEDED: &str = "4";

/// The context of a call, and its limit, which the engine keeps: or here, if that says nothing.
#[derive(Debug)]
pub(crate) struct Tie {
    ctx: Context,
    done: Done,
    limit: Limit,
}

impl Tie {
    pub(crate) fn new(ctx: Context) -> Tie {
        Tie { done: ctx.done(), limit: Limit::of(&ctx), ctx }
    }

    #[cfg(feature = "tonic")]
    pub(crate) fn ctx(&self) -> &Context {
        &self.ctx
    }

    fn ended(&self) -> Option<Ended> {
        self.ctx.ended()
    }

    /// As `ended`, and else this task is woken at the end.
    fn poll_ended(&mut self, cx: &mut task::Context<'_>) -> Option<Ended> {
        match Pin::new(&mut self.done).poll(cx) {
            Poll::Ready(_) => self.ctx.ended(),
            Poll::Pending => None,
        }
    }

    /// Our own end, as a reason for a call that has failed. Near the deadline that may be told only in a moment.
    fn own(&self, is_broken: bool) -> Option<Ended> {
        let is_late = is_broken && self.limit.is_near(&self.ctx);
        self.ended().or_else(|| is_late.then(late::deadline_exceeded).flatten())
    }

    /// Why a call broke: our own end comes first.
    fn failure<E: Failure>(&self, error: BoxError) -> E {
        self.own(true).map_or_else(|| E::other(error), E::ended)
    }

    /// Our own end, if a server says that its call has failed. A server that had the deadline first says one of these two.
    fn instead_of(&self, headers: &HeaderMap) -> Option<Ended> {
        let code = headers.get(wire::GRPC_STATUS).filter(|code| *code != "0")?;
        self.own(code == CANCELLED || code == DEADLINE_EXCEEDED)
    }
}

pin_project! {
    /// The future of a call of a client.
    #[derive(Debug)]
    pub struct ContextCall<F, E> {
        #[pin]
        call: Option<F>,
        tie: Option<Tie>, // to no context, if there is none
        failure: Option<E>,
    }
}

impl<F, E> ContextCall<F, E> {
    pub(crate) fn new(call: F, tie: Option<Tie>) -> ContextCall<F, E> {
        ContextCall { call: Some(call), tie, failure: None }
    }

    pub(crate) fn failed(error: E) -> ContextCall<F, E> {
        ContextCall { call: None, tie: None, failure: Some(error) }
    }
}

impl<F, R, X, E> Future for ContextCall<F, E>
where
    F: Future<Output = Result<Response<R>, X>>,
    X: Into<BoxError>,
    E: Failure,
{
    type Output = Result<Response<CallBody<R, E>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(error) = this.failure.take() {
            return Poll::Ready(Err(error));
        }
        let mut ended = this.tie.as_ref().and_then(Tie::ended);
        if ended.is_none() {
            let call =
                this.call.as_mut().as_pin_mut().expect("it is not polled after it was ready");
            match call.poll(cx) {
                Poll::Ready(Ok(response)) => {
                    ended = this.tie.as_ref().and_then(|tie| tie.instead_of(response.headers()));
                    if ended.is_none() {
                        let tie = this.tie.take();
                        let wrap = |body| CallBody { body: Some(body), tie, kind: PhantomData };
                        return Poll::Ready(Ok(response.map(wrap)));
                    }
                }
                Poll::Ready(Err(error)) => {
                    let error = error.into();
                    return Poll::Ready(Err(match this.tie.take() {
                        Some(tie) => tie.failure(error),
                        None => E::other(error),
                    }));
                }
                Poll::Pending => {
                    ended = this.tie.as_mut().and_then(|tie| tie.poll_ended(cx));
                    if ended.is_none() {
                        return Poll::Pending;
                    }
                }
            }
        }
        this.call.set(None);
        Poll::Ready(Err(E::ended(ended.expect("it is looked for above"))))
    }
}

pin_project! {
    /// The body of a response to a client: it ends with an error when the context ends.
    #[derive(Debug)]
    pub struct CallBody<R, E> {
        #[pin]
        body: Option<R>,
        tie: Option<Tie>,
        kind: PhantomData<fn() -> E>,
    }
}

impl<R, E> Body for CallBody<R, E>
where
    R: Body,
    R::Error: Into<BoxError>,
    E: Failure,
{
    type Data = R::Data;
    type Error = E;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, E>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let mut ended = this.tie.as_ref().and_then(Tie::ended);
        if ended.is_none() {
            match body.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let trailers = frame.trailers_ref();
                    ended = trailers.and_then(|trailers| this.tie.as_ref()?.instead_of(trailers));
                    if ended.is_none() {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    let error = error.into();
                    return Poll::Ready(Some(Err(match this.tie.take() {
                        Some(tie) => tie.failure(error),
                        None => E::other(error),
                    })));
                }
                Poll::Ready(None) => {
                    *this.tie = None;
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    ended = this.tie.as_mut().and_then(|tie| tie.poll_ended(cx));
                    if ended.is_none() {
                        return Poll::Pending;
                    }
                }
            }
        }
        this.body.set(None);
        *this.tie = None;
        Poll::Ready(ended.map(|ended| Err(E::ended(ended))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
