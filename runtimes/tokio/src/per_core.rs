//! A single-threaded runtime per worker, a listener each: nothing is shared, and nothing is stolen.

use anyhow::Result;
use contract::Server;
use contract::cores::{self, Core};
use contract::hyper_http::Http;
use hyper_util::rt::{TokioIo, TokioTimer};
use rt_tokio::Tokio;
use std::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task;

/// Runs a runtime on a thread for each worker, until all have drained or one has failed.
pub(crate) fn run(server: Server) -> Result<()> {
    cores::run(server, run_core)
}

fn run_core(core: Core) -> Result<()> {
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(core.blocking_threads())
        .enable_all()
        .build_local(LocalOptions::default())?;
    let (server, listener) = core.started();
    let ended = runtime.block_on(serve(server, listener));
    // Blocking work whose client has gone is not waited for.
    runtime.shutdown_background();
    ended
}

async fn serve(server: Server, listener: TcpListener) -> Result<()> {
    let http = Http::new(&server, Tokio, TokioTimer::new());
    rt_tokio::accept(&server, listener, |stream| {
        task::spawn_local(http.serve(TokioIo::new(stream)));
    })
    .await?;
    http.drained().await;
    Ok(())
}
