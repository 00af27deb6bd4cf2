//! One executor, run by as many threads as there are workers.

use crate::{Smol, accept};
use anyhow::Result;
use async_executor::StaticExecutor;
use contract::Server;
use contract::hyper_http::Http;
use smol::{Executor, Task, future};
use smol_hyper::rt::SmolTimer;
use std::net::TcpListener;
use std::thread;

/// What smol's executors have in common without a trait.
pub(crate) trait Shared: Sync {
    fn spawn<T: Send + 'static>(&'static self, future: impl Future<Output = T> + Send + 'static) -> Task<T>;

    /// Runs tasks, for ever.
    fn run(&self) -> impl Future<Output = ()>;
}

impl Shared for Executor<'static> {
    fn spawn<T: Send + 'static>(&'static self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        self.spawn(future)
    }

    fn run(&self) -> impl Future<Output = ()> {
        self.run(future::pending())
    }
}

impl Shared for StaticExecutor {
    fn spawn<T: Send + 'static>(&'static self, future: impl Future<Output = T> + Send + 'static) -> Task<T> {
        self.spawn(future)
    }

    fn run(&self) -> impl Future<Output = ()> {
        self.run(future::pending())
    }
}

pub(crate) fn run(server: Server, executor: &'static impl Shared) -> Result<()> {
    let listener = server.listen()?;
    for worker in 0..server.workers() {
        thread::Builder::new().name(format!("smol-{worker}")).spawn(|| smol::block_on(executor.run()))?;
    }
    server.ready(listener.local_addr()?, server.workers())?;
    smol::block_on(executor.spawn(serve(server, listener, executor)))
}

async fn serve(server: Server, listener: TcpListener, executor: &'static impl Shared) -> Result<()> {
    let http = Http::new(&server, Smol, SmolTimer::new());
    accept(&server, listener, |stream| executor.spawn(http.serve(stream)).detach()).await?;
    http.drained().await;
    Ok(())
}
