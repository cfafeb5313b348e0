// SPDX-License-Identifier: MIT
//! Nothing holds a context when its request is over, however it ended; and a client that is killed.

use crate::support::*;
use bytes::Bytes;
use libctx::{Context, Key, Origin};
use libctx_tower::{ContextChannel, ContextLayer};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{env, future};
use tonic::{Request, Response, Streaming};

static HELD: Key<Arc<()>> = Key::new(c"held");

/// A context that is in memory as long as any below it, and whether it is.
fn watched() -> (Context, impl Fn() -> bool) {
    let held = Arc::new(());
    let weak = Arc::downgrade(&held);
    let (ctx, _canceler) = root().with_cancel().unwrap();
    (ctx.with_value(&HELD, held).unwrap(), move || weak.strong_count() > 0)
}

#[test]
fn no_context_is_left() {
    let (servers, server_is_held) = watched();
    let (clients, client_is_held) = watched();
    run(async {
        let (probe, mut ctxs) = Probe::new();
        let calls = Calls::new(move |request: Request<Streaming<Bytes>>| {
            let (probe, ctx) = (probe.clone(), context(&request));
            async move {
                let mut messages = request.into_inner();
                match &*messages.message().await?.unwrap_or_default() {
                    b"never" => {
                        probe.tell(ctx);
                        future::pending().await
                    }
                    b"stream" => {
                        probe.tell(ctx);
                        Ok(Response::new(Box::pin(tokio_stream::pending()) as Messages))
                    }
                    _ => Ok(Response::new(
                        Box::pin(tokio_stream::once(Ok(Bytes::new()))) as Messages
                    )),
                }
            }
        });
        let layer = ContextLayer::new().parent(&servers);
        let channel = ContextChannel::new(connect(&serve(Some(layer), calls).await).await);
        for kind in ["at once", "never", "stream"] {
            for is_told in [false, true] {
                for _ in 0..20 {
                    let (ctx, canceler) = clients.with_cancel().unwrap();
                    let mut request = Request::new(Bytes::from_static(kind.as_bytes()));
                    request.extensions_mut().insert(ctx);
                    let channel = channel.clone();
                    let waits = tokio::spawn(async move {
                        let mut answer = call(channel, request).await?.into_inner();
                        while answer.message().await?.is_some() {}
                        Ok::<_, tonic::Status>(())
                    });
                    if kind != "at once" {
                        drop(ctxs.recv().await.unwrap());
                        if is_told {
                            canceler.cancel_because("enough")
                        } else {
                            canceler.cancel()
                        };
                    }
                    assert_eq!(waits.await.unwrap().is_ok(), kind == "at once");
                }
            }
        }
        drop((servers, clients, channel));
        until(|| !client_is_held()).await;
        // hyper drops what is left of a call soon after.
    });
    assert!(!server_is_held(), "the runtime is gone, and the server with it");
}

const CLIENT: &str = "LIBCTX_TOWER_CLIENT_OF";

#[test]
fn a_client_that_is_killed_ends_the_context() {
    if let Ok(address) = env::var(CLIENT) {
        return run(async {
            let request = Request::new(Bytes::new());
            call(connect(&address).await, request).await.unwrap();
        });
    }
    run(async {
        let (address, mut ctxs) = endless(Some(ContextLayer::new())).await;
        let mut client = Command::new(env::current_exe().unwrap());
        client.args(["--exact", "leaks::a_client_that_is_killed_ends_the_context"]);
        client.env(CLIENT, address).stdout(Stdio::null()).stderr(Stdio::null());
        let mut client = client.spawn().unwrap();
        let ctx = ctxs.recv().await.unwrap();
        assert!(!ctx.is_done());
        client.kill().unwrap();
        client.wait().unwrap();
        assert_eq!(ctx.done().await.unwrap().cause().origin(), Origin::PEER);
    });
}
