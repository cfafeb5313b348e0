// SPDX-License-Identifier: MIT
//! What a call sends, which ends with the call: hyper goes on with it when a caller drops a response that has begun.

use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot::{Receiver, Sender, channel};
use tonic::Status;
use tonic::body::Body;

/// Held by a call: its drop ends what the call sends.
pub(crate) type Sending = Sender<Infallible>;

pub(crate) fn tied(request: Request<Body>) -> (Sending, Request<Body>) {
    let (sending, call) = channel();
    (sending, request.map(|body| Body::new(Message { body, call: Some(call) })))
}

struct Message {
    body: Body,
    call: Option<Receiver<Infallible>>, // until it is over
}

impl http_body::Body for Message {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(call) = &mut self.call else { return Poll::Ready(None) };
        if Pin::new(call).poll(cx).is_ready() {
            (self.call, self.body) = (None, Body::empty());
            // The end of the stream alone would look whole.
            let reset = h2::Error::from(h2::Reason::CANCEL);
            return Poll::Ready(Some(Err(Status::from_error(reset.into()))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
