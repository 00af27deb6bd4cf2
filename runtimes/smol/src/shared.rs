//! One executor, run by as many threads as there are workers.

use crate::{Smol, accept};
use anyhow::Result;
use contract::Server;
use contract::hyper_http::Http;
use hyper::rt::{Read, Write};
use smol::{Async, Executor, Task, future};
use smol_hyper::rt::SmolTimer;
use std::net::{TcpListener, TcpStream};
use std::thread;

/// What smol's executors have in common without a trait.
pub trait Shared: Sync {
    /// Makes a task of a future.
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

/// Serves connections until the server is told to stop; `io` makes of each what hyper reads and writes.
///
/// # Errors
/// The address is taken, or no thread can be started.
pub fn run<I>(server: Server, executor: &'static impl Shared, io: fn(Async<TcpStream>) -> I) -> Result<()>
where
    I: Read + Write + Unpin + Send + 'static,
{
    let listener = server.listen()?;
    for worker in 0..server.workers() {
        thread::Builder::new().name(format!("smol-{worker}")).spawn(|| smol::block_on(executor.run()))?;
    }
    server.ready(listener.local_addr()?, server.workers())?;
    smol::block_on(executor.spawn(serve(server, listener, executor, io)))
}

async fn serve<I>(
    server: Server,
    listener: TcpListener,
    executor: &'static impl Shared,
    io: fn(Async<TcpStream>) -> I,
) -> Result<()>
where
    I: Read + Write + Unpin + Send + 'static,
{
    let http = Http::new(&server, Smol, SmolTimer::new());
    accept(&server, listener, |stream| executor.spawn(http.serve(io(stream))).detach()).await?;
    http.drained().await;
    Ok(())
}
