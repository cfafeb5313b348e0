// SPDX-License-Identifier: MIT
//! The layer of a client of HTTP.

use crate::BoxError;
use crate::call::{ContextCall, Tie};
use crate::failure::Failure;
use crate::wire::Carried;
use http::{Request, Response};
use libctx::{Context, Ended};
use std::ffi::CStr;
use std::sync::Arc;
use std::task::{self, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Makes requests of a client go with a context, which is their extension: `request.extensions_mut().insert(ctx)`.
///
/// What the context carries goes out as headers, unless the caller has set these: the time that remains, the trace and the
/// baggage. When it ends, the call ends with an [`Ended`], which [`Ended::find`] finds in the error: the future, and then
/// the body of the response. A request without a context goes as it is.
///
/// This is for hyper, reqwest and other services of HTTP. For a channel of tonic take `ContextChannel`, of the feature
/// `tonic`.
#[derive(Clone, Debug)]
pub struct ContextClientLayer(Arc<Carried>);

impl ContextClientLayer {
    /// The timeout goes in `x-request-timeout-ms`.
    #[must_use]
    pub fn new() -> ContextClientLayer {
        ContextClientLayer(Arc::new(Carried::new()))
    }

    /// The header for the time that remains: in milliseconds, or in the format of gRPC if this is `grpc-timeout`. None if
    /// it does not go.
    ///
    /// # Panics
    /// If it is not the name of a header.
    #[must_use]
    pub fn timeout_header(mut self, name: impl Into<Option<&'static CStr>>) -> ContextClientLayer {
        Arc::make_mut(&mut self.0).set_timeout(name.into());
        self
    }

    /// The strings of the context that go, in place of `traceparent`, `tracestate` and `baggage`. Others than these go as
    /// they are, if they are printable ASCII.
    ///
    /// # Panics
    /// If one is not the name of a header.
    #[must_use]
    pub fn strings<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> ContextClientLayer {
        Arc::make_mut(&mut self.0).set_strings(names);
        self
    }
}

/// As [`ContextClientLayer::new`].
impl Default for ContextClientLayer {
    fn default() -> ContextClientLayer {
        ContextClientLayer::new()
    }
}

impl<S> Layer<S> for ContextClientLayer {
    type Service = ContextClient<S>;

    fn layer(&self, inner: S) -> ContextClient<S> {
        ContextClient { inner, carried: self.0.clone() }
    }
}

/// The service of a [`ContextClientLayer`].
#[derive(Clone, Debug)]
pub struct ContextClient<S> {
    inner: S,
    carried: Arc<Carried>,
}

impl<S, B, R> Service<Request<B>> for ContextClient<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<crate::CallBody<R, BoxError>>;
    type Error = BoxError;
    type Future = ContextCall<S::Future, BoxError>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match begin(&self.carried, &mut request, false) {
            Ok(tie) => ContextCall::new(self.inner.call(request), tie),
            Err(error) => ContextCall::failed(error),
        }
    }
}

/// Ties a request to the context that it has as an extension, if it has one.
pub(crate) fn begin<B, E: Failure>(
    carried: &Carried,
    request: &mut Request<B>,
    is_grpc: bool,
) -> Result<Option<Tie>, E> {
    let Some(ctx) = request.extensions_mut().remove::<Context>() else { return Ok(None) };
    match carried.inject(&ctx, request.headers_mut(), is_grpc) {
        Ok(()) => Ok(Some(Tie::new(ctx))),
        Err(error) => Err(match error.ended() {
            Some(ended) => E::ended(Ended::clone(ended)),
            None => E::other(error.into()),
        }),
    }
}
