// SPDX-License-Identifier: MIT
//! The life of one request that a server serves, and what is said when its context ends first.

use crate::body::ContextBody;
use crate::late::{self, Limit};
use crate::layer::Shared;
use crate::wire;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use libctx::{Canceler, Cause, Context, Done, Ended, Error, ErrorKind};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task;

/// The codes of gRPC.
const OK: u16 = 0;
const CANCELLED: u16 = 1;
const DEADLINE_EXCEEDED: u16 = 4;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;

/// Its drop ends the context: as the end of the request, if that is complete, and else as its client, who has gone.
#[derive(Debug)]
pub(crate) struct Exchange {
    ctx: Context,
    canceler: Canceler,
    done: Done,
    limit: Limit,
    shared: Arc<Shared>,
    number: Option<u128>,
    is_grpc: bool,
    is_complete: bool,
}

impl Exchange {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        headers: &HeaderMap,
        is_grpc: bool,
    ) -> libctx::Result<Exchange> {
        let (ctx, canceler) = shared.carried.extract(&shared.parent, headers, is_grpc)?;
        let number = if is_grpc { shared.live.add(headers, &canceler) } else { None };
        Ok(Exchange {
            done: ctx.done(),
            limit: Limit::of(&ctx),
            ctx,
            canceler,
            shared: shared.clone(),
            number,
            is_grpc,
            is_complete: false,
        })
    }

    pub(crate) fn ctx(&self) -> &Context {
        &self.ctx
    }

    /// True if the context is done. Else this task is woken when it is.
    pub(crate) fn is_done(&mut self, cx: &mut task::Context<'_>) -> bool {
        Pin::new(&mut self.done).poll(cx).is_ready()
    }

    /// Nothing is left to do for the request: the drop says so.
    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// The answer in place of one that has not begun.
    pub(crate) fn refuse<B>(&self) -> Response<ContextBody<B>> {
        let Some(ended) = self.ctx.ended() else { return refuse_error(None, self.is_grpc) };
        let (status, _) = self.codes(&ended);
        refusal(status, ended.to_string(), self.says(&ended), self.is_grpc)
    }

    /// The end of one that has begun: the trailers of gRPC, or an error.
    pub(crate) fn cut_off(&self) -> Result<HeaderMap, Error> {
        match self.ctx.ended() {
            Some(ended) if self.is_grpc => Ok(self.says(&ended)),
            Some(ended) => Err(ended.into()),
            None => Ok(HeaderMap::new()), // it is called at the end of the context alone
        }
    }

    fn codes(&self, ended: &Ended) -> (StatusCode, u16) {
        if self.ctx.ended_by(&self.shared.parent) {
            (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE)
        } else if ended.is_deadline_exceeded() {
            (StatusCode::GATEWAY_TIMEOUT, DEADLINE_EXCEEDED)
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, CANCELLED)
        }
    }

    fn says(&self, ended: &Ended) -> HeaderMap {
        let mut says = HeaderMap::with_capacity(4);
        if let Some(text) = wire::encoded(ended.cause(), &self.shared.name) {
            says.insert(wire::CAUSE, text);
        }
        if self.is_grpc {
            add_status(&mut says, self.codes(ended).1, &ended.to_string());
        }
        says
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.shared.live.remove(number);
        }
        if self.is_complete {
            cancel(&self.canceler, &self.shared.over);
        } else if self.limit.is_near(&self.ctx) {
            if let Some(ended) = late::deadline_exceeded() {
                self.canceler.cancel_as(&ended);
            }
        } else {
            cancel(&self.canceler, &self.shared.gone);
        }
    }
}

/// The cause is there, but without memory.
pub(crate) fn cancel(canceler: &Canceler, cause: &Option<Cause>) {
    match cause {
        Some(cause) => canceler.cancel_with(cause),
        None => canceler.cancel(),
    };
}

/// The answer to a request that gets no context: its timeout is malformed, or there is no memory.
pub(crate) fn refuse_error<B>(error: Option<&Error>, is_grpc: bool) -> Response<ContextBody<B>> {
    let text = error.map_or_else(String::new, Error::to_string);
    let mut says = HeaderMap::new();
    let status = match error.map(Error::kind) {
        Some(ErrorKind::Malformed) => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if is_grpc {
        add_status(&mut says, INTERNAL, &text); // as 400 is in gRPC
    }
    refusal(status, text, says, is_grpc)
}

fn refusal<B>(
    status: StatusCode,
    text: String,
    says: HeaderMap,
    is_grpc: bool,
) -> Response<ContextBody<B>> {
    let (status, kind, text) = match is_grpc {
        true => (StatusCode::OK, "application/grpc", None),
        false => (status, "text/plain; charset=utf-8", Some(Bytes::from(text))),
    };
    let mut response = Response::new(ContextBody::of(text, None));
    *response.status_mut() = status;
    *response.headers_mut() = says;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The answer to the companion of a cancel, whatever it has found.
pub(crate) fn told<B>() -> Response<ContextBody<B>> {
    let mut trailers = HeaderMap::new();
    add_status(&mut trailers, OK, "");
    let message = Bytes::from_static(wire::EMPTY_MESSAGE);
    let mut response = Response::new(ContextBody::of(Some(message), Some(trailers)));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn add_status(headers: &mut HeaderMap, code: u16, text: &str) {
    headers.insert(wire::GRPC_STATUS, code.into());
    if let (false, Ok(text)) = (text.is_empty(), HeaderValue::from_str(text)) {
        headers.insert("grpc-message", text);
    }
}
