// SPDX-License-Identifier: MIT
//! A service of gRPC whose messages are bytes, on loopback; and what tests wait with.

use bytes::{Buf, BufMut, Bytes};
use http::Request;
use http::uri::PathAndQuery;
use libctx::{Context, Loop};
use libctx_tower::{BoxError, ContextLayer};
use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, StreamingService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Response, Status, Streaming};
use tower::Service;

pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const PATH: &str = "/test.Service/Call";

pub(crate) fn root() -> Context {
    Context::background()
}

/// A clock that stands, and a context on it.
pub(crate) fn clock() -> (Loop, Context) {
    let clock = Loop::virtual_time().unwrap();
    let root = clock.background().unwrap();
    (clock, root)
}

/// Something to hold, and whether it has been dropped.
pub(crate) fn flag() -> (impl Fn() -> bool, Option<Arc<()>>) {
    let held = Arc::new(());
    let weak = Arc::downgrade(&held);
    (move || weak.strong_count() == 0, Some(held))
}

/// What a test sends, as a stream.
pub(crate) struct Coming<T>(pub(crate) UnboundedReceiver<T>);

impl<T> Stream for Coming<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|item| item.map(Ok))
    }
}

pub(crate) async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

/// Where handlers tell a test of their contexts.
#[derive(Clone)]
pub(crate) struct Probe(UnboundedSender<Context>);

impl Probe {
    pub(crate) fn new() -> (Probe, UnboundedReceiver<Context>) {
        let (tell, told) = unbounded_channel();
        (Probe(tell), told)
    }

    pub(crate) fn tell(&self, ctx: Context) {
        let _ = self.0.send(ctx);
    }
}

/// Runs a test on a runtime of its own; what hangs has failed.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        tokio::time::timeout(WATCHDOG, test).await.expect("it takes too long");
    });
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Plain;
    type Decoder = Plain;

    fn encoder(&mut self) -> Plain {
        Plain
    }

    fn decoder(&mut self) -> Plain {
        Plain
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length)))
    }
}

pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response<Messages>, Status>> + Send>>;
type Handler = Arc<dyn Fn(tonic::Request<Streaming<Bytes>>) -> Answer + Send + Sync>;

/// A service with one method, which streams both ways.
#[derive(Clone)]
pub(crate) struct Calls(Handler);

impl Calls {
    pub(crate) fn new<F>(
        handler: impl Fn(tonic::Request<Streaming<Bytes>>) -> F + Send + Sync + 'static,
    ) -> Calls
    where
        F: Future<Output = Result<Response<Messages>, Status>> + Send + 'static,
    {
        Calls(Arc::new(move |request| Box::pin(handler(request))))
    }
}

impl NamedService for Calls {
    const NAME: &'static str = "test.Service";
}

impl StreamingService<Bytes> for Calls {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Answer;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Answer {
        (self.0)(request)
    }
}

impl Service<Request<Body>> for Calls {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let handler = self.clone();
        Box::pin(
            async move { Ok(tonic::server::Grpc::new(Plain).streaming(handler, request).await) },
        )
    }
}

/// The context of a call, which the layer has given it.
pub(crate) fn context<T>(request: &tonic::Request<T>) -> Context {
    request.extensions().get::<Context>().expect("the layer gives one").clone()
}

/// A server whose calls last until they are dropped, and the contexts of these.
pub(crate) async fn endless(layer: Option<ContextLayer>) -> (String, UnboundedReceiver<Context>) {
    let (probe, told) = Probe::new();
    let calls = Calls::new(move |request| {
        probe.tell(request.extensions().get::<Context>().cloned().unwrap_or_default());
        pending()
    });
    (serve(layer, calls).await, told)
}

/// A socket of loopback, and its address for clients.
pub(crate) async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// Serves until the runtime ends, and returns the address.
pub(crate) async fn serve(layer: Option<ContextLayer>, calls: Calls) -> String {
    let (listener, address) = listen().await;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder();
    match layer {
        Some(layer) => {
            let server = server.layer(layer).add_service(calls);
            tokio::spawn(server.serve_with_incoming(incoming));
        }
        None => {
            tokio::spawn(server.clone().add_service(calls).serve_with_incoming(incoming));
        }
    }
    address
}

pub(crate) async fn connect(address: &str) -> Channel {
    Endpoint::from_shared(address.to_owned()).unwrap().connect().await.unwrap()
}

/// A call with one message, and an answer of a stream of them.
pub(crate) async fn call<T>(
    channel: T,
    request: tonic::Request<Bytes>,
) -> Result<Response<Streaming<Bytes>>, Status>
where
    T: tonic::client::GrpcService<Body>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<BoxError>,
{
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let path = PathAndQuery::from_static(PATH);
    client.server_streaming(request, path, Plain).await
}

/// One that goes with a context.
pub(crate) fn request(ctx: &Context) -> tonic::Request<Bytes> {
    let mut request = tonic::Request::new(Bytes::from_static(b"?"));
    request.extensions_mut().insert(ctx.clone());
    request
}
