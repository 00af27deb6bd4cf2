//! hyper on a single-threaded tokio runtime per worker, a listener each: nothing is shared, and nothing is stolen.
//!
//! Not a flavor of rt-tokio, which is also built with versions of tokio that have no `LocalRuntime`, as before 1.51.

use anyhow::Result;
use contract::cores::{self, Core};
use contract::hyper_http::Http;
use contract::{HttpStack, Server, Spec, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use rt_tokio::Tokio;
use std::net::TcpListener;
use std::process::ExitCode;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task;

const SPEC: Spec = Spec {
    runtime: "tokio",
    package: Some("tokio"),
    http: HttpStack::Package("hyper"),
    flavors: &[],
    has_workers: true,
};

fn main() -> ExitCode {
    server::run(SPEC, |server| cores::run(server, run_core))
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
