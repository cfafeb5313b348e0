// SPDX-License-Identifier: MIT
//! The layer of a server.

use crate::BoxError;
use crate::body::ContextBody;
use crate::exchange::{Exchange, refuse_error, told};
use crate::live::Live;
use crate::wire::{self, Carried};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use libctx::{Cause, Context, Origin};
use pin_project_lite::pin_project;
use std::ffi::CStr;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// Gives each request of a server a context, as an extension: for axum, hyper and tonic.
///
/// A handler gets it by `Extension<Context>` in axum, and by `request.extensions().get::<Context>()` elsewhere. It has the
/// deadline, the trace and the baggage of the client, and it ends
///
/// - when the whole body of the response has been given to the server, or the handler has failed;
/// - when the server drops the handler or the body, as hyper does when the client goes or resets the stream;
/// - at the deadline: the client's, or that of [`default_timeout`](ContextLayer::default_timeout);
/// - with the [`parent`](ContextLayer::parent);
/// - when its client says so, and why, by the companion of a cancel (docs/calls.md).
///
/// If it ends before there is a response, the handler is dropped. The answer is then 504 for the deadline and 503 for the
/// end of the parent, or for gRPC `DEADLINE_EXCEEDED`, `UNAVAILABLE`, and `CANCELLED` for the client. The header `ctx-cause`
/// says why. A malformed timeout is answered by 400, or `INTERNAL`. A body that has begun ends with an error, or for gRPC
/// with trailers that say the same.
///
/// Clones, and services made of one layer, find each other's calls.
#[derive(Clone, Debug)]
pub struct ContextLayer(Arc<Shared>);

/// What the requests of a server share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) carried: Carried,
    pub(crate) parent: Context,
    pub(crate) name: String,
    pub(crate) live: Arc<Live>,
    pub(crate) over: Option<Cause>,
    pub(crate) gone: Option<Cause>,
}

impl ContextLayer {
    /// Contexts below the root, whose timeouts come in `x-request-timeout-ms`, or for gRPC in `grpc-timeout`.
    #[must_use]
    pub fn new() -> ContextLayer {
        ContextLayer(Arc::new(Shared {
            carried: Carried::new(),
            parent: Context::background(),
            name: String::new(),
            live: Arc::default(),
            over: Cause::new(libctx::sys::CTX_CANCELED, "the request is over").ok(),
            gone: Cause::with_origin(Origin::PEER, -libc::ECONNRESET, "the client has gone").ok(),
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Shared)) -> ContextLayer {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Whose end ends all requests, such as the context of the server.
    #[must_use]
    pub fn parent(self, parent: &Context) -> ContextLayer {
        self.with(|shared| shared.parent = parent.clone())
    }

    /// The header that has the timeout of a request of HTTP: in milliseconds, or in the format of gRPC if this is
    /// `grpc-timeout`. None for no timeout.
    ///
    /// # Panics
    /// If it is not the name of a header.
    #[must_use]
    pub fn timeout_header(self, name: impl Into<Option<&'static CStr>>) -> ContextLayer {
        self.with(|shared| shared.carried.set_timeout(name.into()))
    }

    /// The timeout of a request that names none.
    #[must_use]
    pub fn default_timeout(self, time: Duration) -> ContextLayer {
        self.with(|shared| shared.carried.set_default(time))
    }

    /// No request has longer, whatever it says, or if it says nothing.
    #[must_use]
    pub fn maximum_timeout(self, time: Duration) -> ContextLayer {
        self.with(|shared| shared.carried.set_maximum(time))
    }

    /// The headers that become strings of the context, in place of `traceparent`, `tracestate` and `baggage`. Others than
    /// these are taken as they are, if they are printable ASCII.
    ///
    /// # Panics
    /// If one is not the name of a header.
    #[must_use]
    pub fn strings<'a>(self, names: impl IntoIterator<Item = &'a str>) -> ContextLayer {
        self.with(|shared| shared.carried.set_strings(names))
    }

    /// Who says the reasons in `ctx-cause`: the name of this service.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> ContextLayer {
        self.with(|shared| shared.name = name.into())
    }
}

/// As [`ContextLayer::new`].
impl Default for ContextLayer {
    fn default() -> ContextLayer {
        ContextLayer::new()
    }
}

impl<S> Layer<S> for ContextLayer {
    type Service = ContextService<S>;

    fn layer(&self, inner: S) -> ContextService<S> {
        ContextService { inner, shared: self.0.clone() }
    }
}

/// The service of a [`ContextLayer`].
#[derive(Clone, Debug)]
pub struct ContextService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for ContextService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Response = Response<ContextBody<R>>;
    type Error = S::Error;
    type Future = ContextFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let shared = &self.shared;
        let is_grpc = wire::is_grpc(request.headers());
        if is_grpc && request.uri().path() == wire::TELL {
            shared.live.tell(request.headers(), &shared.gone);
            return ContextFuture::ready(told());
        }
        let exchange = match Exchange::new(shared, request.headers(), is_grpc) {
            Ok(exchange) => exchange,
            Err(error) => return ContextFuture::ready(refuse_error(Some(&error), is_grpc)),
        };
        if exchange.ctx().is_done() {
            return ContextFuture::ready(exchange.refuse());
        }
        request.extensions_mut().insert(exchange.ctx().clone());
        let asked = request.method().clone();
        ContextFuture {
            handler: Some(self.inner.call(request)),
            run: Some((exchange, asked)),
            ready: None,
        }
    }
}

pin_project! {
    /// The future of a [`ContextService`].
    #[derive(Debug)]
    pub struct ContextFuture<F, R> {
        run: Option<(Exchange, Method)>, // dropped first: the handler is to see the end of its context
        #[pin]
        handler: Option<F>,
        ready: Option<Response<ContextBody<R>>>,
    }
}

impl<F, R> ContextFuture<F, R> {
    fn ready(response: Response<ContextBody<R>>) -> ContextFuture<F, R> {
        ContextFuture { handler: None, run: None, ready: Some(response) }
    }
}

impl<F, R, E> Future for ContextFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ContextBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(response) = this.ready.take() {
            return Poll::Ready(Ok(response));
        }
        let (exchange, _) = this.run.as_mut().expect("it is not polled after it was ready");
        if !exchange.ctx().is_done() {
            let handler =
                this.handler.as_mut().as_pin_mut().expect("it is there as long as the exchange");
            match handler.poll(cx) {
                Poll::Ready(result) => {
                    let (mut exchange, asked) = this.run.take().expect("as above");
                    return Poll::Ready(match result {
                        Ok(response) => Ok(ContextBody::wrap(response, exchange, &asked)),
                        Err(error) => {
                            exchange.complete();
                            Err(error)
                        }
                    });
                }
                Poll::Pending if !exchange.is_done(cx) => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        this.handler.set(None);
        let refused = this.run.take().map(|(exchange, _)| exchange.refuse());
        Poll::Ready(Ok(refused.expect("as above")))
    }
}
