//! The work-stealing pool, where a task that would block does so on the spot: its thread hands its other tasks over.

use anyhow::Result;
use contract::hyper_http::Http;
use contract::{Calls, Runtime, Server};
use hyper_util::rt::{TokioIo, TokioTimer};
use rt_tokio::Tokio;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task;

/// Blocks the thread that it is called on. The semaphore is the cap: when tokio can start no thread to hand over to,
/// the other tasks of a worker wait until one of the blocked threads is free.
#[derive(Clone)]
struct InPlace(Arc<Semaphore>);

impl Runtime for InPlace {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        Tokio.sleep(duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _permit = self.0.acquire().await.expect("it is never closed");
        task::block_in_place(work)
    }
}

pub(crate) fn run(server: Server) -> Result<()> {
    let workers = server.workers();
    rt_tokio::run(server, Builder::new_multi_thread(), workers, serve)
}

async fn serve(server: Server, listener: TcpListener) -> Result<()> {
    let in_place = InPlace(Arc::new(Semaphore::new(server.blocking_threads())));
    let http = Http::new(&server, in_place, TokioTimer::new());
    rt_tokio::accept(&server, listener, |stream| {
        tokio::spawn(http.serve(TokioIo::new(stream)));
    })
    .await?;
    http.drained().await;
    Ok(())
}
