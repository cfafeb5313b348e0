// SPDX-License-Identifier: MIT
//! A channel of tonic whose calls go with contexts.

use crate::BoxError;
use crate::call::{CallBody, ContextCall};
use crate::client::begin;
use crate::companion::Companions;
use crate::failure::Failure;
use crate::sending;
use crate::told::Told;
use crate::wire::Carried;
use bytes::Bytes;
use http::{Request, Response};
use libctx::Ended;
use std::sync::Arc;
use std::task::{self, Poll};
use tonic::body::Body;
use tonic::{Code, Status};
use tower_service::Service;

/// A channel of tonic, or layers above one, whose calls go with a context: `request.extensions_mut().insert(ctx)` on a
/// `tonic::Request`.
///
/// The deadline goes out as `grpc-timeout`, the trace and the baggage as metadata, unless the caller has set these. When the
/// context ends, the call ends with the status `DEADLINE_EXCEEDED` or `CANCELLED`, also while messages stream, and
/// [`Ended::find`] finds the end in that. tonic says `CANCELLED` for a deadline, and keeps none once messages stream; this
/// does. A call without a context goes as it is.
///
/// If somebody gave a reason for the cancel, a small second call tells it to the server, unless
/// [`tell`](ContextChannel::tell) says no.
#[derive(Clone, Debug)]
pub struct ContextChannel<S> {
    inner: S,
    carried: Arc<Carried>,
    companions: Arc<Companions<S>>,
}

impl<S: Clone> ContextChannel<S> {
    /// For the channel of generated clients: `GreeterClient::new(ContextChannel::new(channel))`.
    pub fn new(channel: S) -> ContextChannel<S> {
        ContextChannel {
            companions: Arc::new(Companions::new(channel.clone())),
            inner: channel,
            carried: Arc::new(Carried::new()),
        }
    }

    /// The strings of the context that go, in place of `traceparent`, `tracestate` and `baggage`. Others than these go as
    /// they are, if they are printable ASCII.
    ///
    /// # Panics
    /// If one is not the name of a header.
    #[must_use]
    pub fn strings<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> ContextChannel<S> {
        Arc::make_mut(&mut self.carried).set_strings(names);
        self
    }

    /// Who says the reasons of cancels: the name of this program.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> ContextChannel<S> {
        let companions = self.companions.named(name.into());
        ContextChannel { companions: Arc::new(companions), ..self }
    }

    /// Whether the server is told why a call is canceled, as it is if nobody says. If not, calls have no `ctx-call`.
    #[must_use]
    pub fn tell(self, tell: bool) -> ContextChannel<S> {
        self.companions.set(tell);
        self
    }
}

impl<S, R> Service<Request<Body>> for ContextChannel<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<CallBody<Told<R>, Status>>;
    type Error = Status;
    type Future = ContextCall<Told<S::Future>, Status>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx).map_err(|error| Status::from_error(error.into()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match begin(&self.carried, &mut request, true) {
            Ok(tie) => {
                let Some(tied) = &tie else {
                    return ContextCall::new(Told::new(self.inner.call(request), None, None), None);
                };
                let companion = self.companions.of(tied.ctx(), &mut request);
                let (sending, request) = sending::tied(request);
                ContextCall::new(Told::new(self.inner.call(request), Some(sending), companion), tie)
            }
            Err(status) => ContextCall::failed(status),
        }
    }
}

impl Failure for Status {
    fn ended(ended: Ended) -> Status {
        let code = match ended {
            Ended::Canceled(_) => Code::Cancelled,
            Ended::DeadlineExceeded(_) => Code::DeadlineExceeded,
        };
        let mut status = Status::new(code, format!("{ended:#}"));
        status.set_source(Arc::new(ended));
        status
    }

    fn other(error: BoxError) -> Status {
        Status::from_error(error)
    }
}
