//! tokio as all of its servers run it: its timer, its blocking pool, its accept loop.

use anyhow::Result;
use contract::hyper_http::Http;
use contract::{Calls, Runtime, Server, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::TcpListener;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::{task, time};

/// tokio's timer, and its pool for what would stop a worker.
#[derive(Debug, Clone)]
pub struct Tokio;

impl Runtime for Tokio {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        time::sleep(duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        task::spawn_blocking(work).await.expect("the pool outlives its requests")
    }
}

/// Runs `serve` on the runtime that `builder` makes, as a task of as many workers, until it has drained.
///
/// # Errors
/// The runtime cannot be made, the address is taken, or the serving fails.
pub fn run<F>(
    server: Server,
    mut builder: Builder,
    workers: usize,
    serve: impl FnOnce(Server, TcpListener) -> F,
) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    // Said of a single thread, the number of workers has no effect.
    builder.worker_threads(workers).max_blocking_threads(server.blocking_threads());
    let runtime = builder.enable_all().build()?;
    let listener = server.listen()?;
    server.ready(listener.local_addr()?, workers)?;
    // Spawned: the future given to block_on runs outside the workers, up to 17 times slower.
    let ended = runtime.block_on(runtime.spawn(serve(server, listener)));
    // Blocking work whose client has gone is not waited for.
    runtime.shutdown_background();
    ended?
}

/// Runs hyper on the work-stealing pool, with whatever else `builder` was told.
///
/// # Errors
/// As of [`run`].
pub fn run_multi(server: Server, builder: Builder) -> Result<()> {
    let workers = server.workers();
    run(server, builder, workers, serve)
}

/// Serves connections with hyper, each as a task of its own, until the server has drained.
///
/// # Errors
/// The listener is of no use to tokio.
pub async fn serve(server: Server, listener: TcpListener) -> Result<()> {
    let http = Http::new(&server, Tokio, TokioTimer::new());
    accept(&server, listener, |stream| {
        tokio::spawn(http.serve(TokioIo::new(stream)));
    })
    .await?;
    http.drained().await;
    Ok(())
}

/// Accepts connections until the server is told to stop. `start` makes a task of each.
///
/// # Errors
/// The listener is of no use to tokio.
pub async fn accept(server: &Server, listener: TcpListener, start: impl Fn(TcpStream)) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    stream.set_nodelay(true).ok();
                    start(stream);
                }
                Err(error) => server::accept_failed(&error, time::sleep).await,
            },
            () = server.stop.requested() => return Ok(()),
        }
    }
}
