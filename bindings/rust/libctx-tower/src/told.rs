// SPDX-License-Identifier: MIT
//! What a call drops when it is canceled, in a wrapper that tells why. Whatever ends a call drops it: the context, or a
//! caller who has waited for both.

use crate::companion::Companion;
use crate::sending::Sending;
use http::Response;
use http_body::{Frame, SizeHint};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};

/// A call, or the body of its response, that tells its server why it is canceled.
pub struct Told<T: Send + 'static> {
    of: Option<Pin<Box<T>>>,
    sending: Option<Sending>,
    companion: Option<Companion>,
}

impl<T: Send + 'static> Told<T> {
    pub(crate) fn new(of: T, sending: Option<Sending>, companion: Option<Companion>) -> Told<T> {
        Told { of: Some(Box::pin(of)), sending, companion }
    }

    fn of(&mut self) -> Pin<&mut T> {
        self.of.as_mut().expect("it is there until the drop").as_mut()
    }
}

impl<T: Send + 'static> Drop for Told<T> {
    fn drop(&mut self) {
        if let (Some(companion), Some(of)) = (self.companion.take(), self.of.take()) {
            companion.drop_call(Box::new((of, self.sending.take())));
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Told<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").finish_non_exhaustive()
    }
}

impl<F, R, X> Future for Told<F>
where
    F: Future<Output = Result<Response<R>, X>> + Send + 'static,
    R: Send + 'static,
{
    type Output = Result<Response<Told<R>>, X>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.of().poll(cx).map(|result| {
            let (sending, companion) = (self.sending.take(), self.companion.take());
            result.map(|response| response.map(|body| Told::new(body, sending, companion)))
        })
    }
}

impl<R: http_body::Body + Send + 'static> http_body::Body for Told<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let polled = self.of().poll_frame(cx);
        let goes_on = matches!(&polled, Poll::Ready(Some(Ok(frame))) if frame.is_data());
        if !goes_on && polled.is_ready() {
            self.companion = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.of.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.of.as_ref().map_or_else(SizeHint::default, |body| body.size_hint())
    }
}
