// SPDX-License-Identifier: MIT
//! The body of a response: the context lives as long as it, and cuts it off when it ends.

use crate::BoxError;
use crate::exchange::Exchange;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The body of a response of [`ContextService`](crate::ContextService): that of the handler, as long as the context
    /// lives.
    #[derive(Debug)]
    pub struct ContextBody<B> {
        exchange: Option<Exchange>, // until the body is complete; dropped first, as the handler's context
        #[pin]
        handlers: Option<B>,
        left: Option<u64>,          // of its `content-length`
        data: Option<Bytes>,        // ours
        trailers: Option<HeaderMap>,
    }
}

impl<B> ContextBody<B> {
    /// One of ours.
    pub(crate) fn of(data: Option<Bytes>, trailers: Option<HeaderMap>) -> ContextBody<B> {
        ContextBody { handlers: None, exchange: None, left: None, data, trailers }
    }
}

impl<B: Body> ContextBody<B> {
    /// The handler's answer.
    pub(crate) fn wrap(
        response: Response<B>,
        mut exchange: Exchange,
        asked: &Method,
    ) -> Response<ContextBody<B>> {
        let length = response.headers().get(header::CONTENT_LENGTH);
        let left = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let has_none = asked == Method::HEAD
            || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        response.map(|body| {
            let is_complete = has_none || left == Some(0) || body.is_end_stream();
            let exchange = match is_complete {
                true => {
                    exchange.complete();
                    None
                }
                false => Some(exchange),
            };
            ContextBody { handlers: Some(body), exchange, left, data: None, trailers: None }
        })
    }
}

impl<B> Body for ContextBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let mut is_over = this.exchange.as_ref().is_some_and(|exchange| exchange.ctx().is_done());
        if let (false, Some(mut body)) = (is_over, this.handlers.as_mut().as_pin_mut()) {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(frame) => {
                    if let (Some(Ok(frame)), Some(left)) = (&frame, &mut *this.left) {
                        *left = left
                            .saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
                    }
                    let goes_on = matches!(&frame, Some(Ok(frame)) if frame.is_data());
                    let is_complete = !goes_on || *this.left == Some(0) || body.is_end_stream();
                    if let (true, Some(exchange)) = (is_complete, &mut *this.exchange) {
                        exchange.complete();
                        *this.exchange = None;
                    }
                    return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
                }
                Poll::Pending => {
                    is_over = this.exchange.as_mut().is_some_and(|exchange| exchange.is_done(cx));
                    if !is_over {
                        return Poll::Pending;
                    }
                }
            }
        }
        if is_over {
            this.handlers.set(None);
            match this.exchange.take().map(|exchange| exchange.cut_off()) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(trailers)) => *this.trailers = Some(trailers),
                None => {}
            }
        }
        let ours = this.data.take().map(Frame::data);
        let ours = ours.or_else(|| this.trailers.take().map(Frame::trailers));
        Poll::Ready(ours.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        let is_ours_over = self.data.is_none() && self.trailers.is_none();
        is_ours_over && self.handlers.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.handlers, &self.data) {
            (Some(body), _) => body.size_hint(),
            (None, data) => SizeHint::with_exact(data.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}
