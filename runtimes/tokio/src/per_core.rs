//! A single-threaded runtime per worker, a listener each: nothing is shared, and nothing is stolen.

use anyhow::{Result, ensure};
use contract::Server;
use contract::hyper_http::Http;
use hyper_util::rt::{TokioIo, TokioTimer};
use rt_tokio::Tokio;
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task;

/// Runs a runtime on a thread for each worker, until all have drained or one has failed.
pub(crate) fn run(server: Server) -> Result<()> {
    let workers = server.workers();
    let listeners = server.listeners(workers)?;
    let addr = listeners[0].local_addr()?;
    let (ended, has_ended) = mpsc::channel();
    for (core, listener) in listeners.into_iter().enumerate() {
        // Each runtime has a pool of its own: a share of the process's one number.
        let up_to = |core| core * server.blocking_threads() / workers;
        let blocking_threads = (up_to(core + 1) - up_to(core)).max(1);
        let (server, ended) = (server.clone(), ended.clone());
        thread::Builder::new()
            .name(format!("core-{core}"))
            .spawn(move || ended.send(run_core(server, listener, blocking_threads)))?;
    }
    drop(ended);
    server.ready(addr, workers)?;
    let mut drained = 0;
    for core in has_ended {
        core?;
        drained += 1;
    }
    ensure!(drained == workers, "an accept loop panicked");
    Ok(())
}

fn run_core(server: Server, listener: TcpListener, blocking_threads: usize) -> Result<()> {
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(blocking_threads)
        .enable_all()
        .build_local(LocalOptions::default())?;
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
