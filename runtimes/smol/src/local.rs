//! An executor for each worker, a listener each. What is still shared is async-io's one reactor.

use anyhow::Result;
use contract::Server;
use contract::cores::Core;
use contract::hyper_http::Http;
use rt_smol::{Smol, accept};
use smol::LocalExecutor;
use smol_hyper::rt::{FuturesIo, SmolTimer};
use std::net::TcpListener;

pub(crate) fn run_core(core: Core) -> Result<()> {
    let executor = LocalExecutor::new();
    let (server, listener) = core.started();
    smol::block_on(executor.run(serve(server, listener, &executor)))
}

async fn serve(server: Server, listener: TcpListener, executor: &LocalExecutor<'static>) -> Result<()> {
    let http = Http::new(&server, Smol, SmolTimer::new());
    accept(&server, listener, |stream| executor.spawn(http.serve(FuturesIo::new(stream))).detach()).await?;
    http.drained().await;
    Ok(())
}
