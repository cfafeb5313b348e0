// SPDX-License-Identifier: MIT
//! The second host: gRPC in, gRPC out, by tonic.
//!
//!     orders LISTEN STOCK    such as 127.0.0.1:7000 http://127.0.0.2:7000

use libctx::{Context, Signal};
use libctx_tower::{ContextChannel, ContextLayer};
use shop::shop_client::ShopClient;
use shop::shop_server::{Shop, ShopServer};
use shop::{Item, Receipt};
use std::env;
use std::error::Error;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

mod shop {
    tonic::include_proto!("shop");
}

struct Orders {
    stock: ShopClient<ContextChannel<Channel>>,
}

#[tonic::async_trait]
impl Shop for Orders {
    async fn order(&self, request: Request<Item>) -> Result<Response<Receipt>, Status> {
        let ctx = request
            .extensions()
            .get::<Context>()
            .expect("a layer has put it there")
            .clone();
        say_begins(&ctx);
        ctx.after_func(say_ended)
            .map_err(|error| Status::internal(error.to_string()))?;
        let mut onwards = Request::new(request.into_inner());
        onwards.extensions_mut().insert(ctx);
        self.stock.clone().order(onwards).await
    }
}

/// One line of JSON, as all of the example write them. The clock is one for all processes of a machine.
fn say_begins(ctx: &Context) {
    let left = ctx
        .remaining()
        .map_or(i64::MAX as u128, |left| left.as_nanos());
    println!(
        r#"{{"who":"orders","at":{},"left":{left}}}"#,
        ctx.now().as_nanos()
    );
}

fn say_ended(ctx: &Context) {
    let ended = ctx.ended().expect("it is called at the end");
    let (at, late, cause) = (
        ctx.now().as_nanos(),
        ended.is_deadline_exceeded(),
        ended.cause().encode(""),
    );
    println!(r#"{{"who":"orders","at":{at},"late":{late},"cause":"{cause}"}}"#);
}

fn main() -> Result<(), Box<dyn Error>> {
    Signal::block(&[Signal::TERM])?; // before any thread is started
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let [listen, stock] = env::args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .expect("two arguments");
    let (stopping, _canceler) = Context::background().with_signal(&[Signal::TERM])?;
    let channel = ContextChannel::new(Endpoint::new(stock)?.connect_lazy()).name("orders");
    let orders = Orders {
        stock: ShopClient::new(channel),
    };
    let stop = stopping.done();
    Server::builder()
        .layer(ContextLayer::new().parent(&stopping).name("orders"))
        .add_service(ShopServer::new(orders))
        .serve_with_shutdown(listen.parse()?, async { drop(stop.await) })
        .await?;
    Ok(())
}
