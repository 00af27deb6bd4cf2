//! The contract's codec on smol, with the executor of the row `smol`: that row without hyper.

use anyhow::Result;
use contract::codec::{AsyncTransport, Http};
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::{Async, Executor, Timer, future};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const SPEC: Spec = Spec {
    runtime: "smol",
    package: Some("smol"),
    http: HttpStack::ContractCodec,
    flavors: &[],
    has_workers: true,
};

#[derive(Clone)]
struct Smol;

impl Runtime for Smol {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        Timer::after(duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        smol::unblock(work).await
    }
}

/// A connection whose calls let its task wait.
struct Stream(Async<TcpStream>);

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsyncTransport for Stream {
    async fn read(&mut self, buffer: &mut [u8], limit: Option<Duration>) -> io::Result<usize> {
        let read = self.0.read(buffer);
        match limit {
            // Polled second, so that no timer is set where bytes are there.
            Some(limit) => {
                let late = async {
                    Timer::after(limit).await;
                    Err(io::ErrorKind::TimedOut.into())
                };
                future::or(read, late).await
            }
            None => read.await,
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }
}

static EXECUTOR: Executor<'static> = Executor::new();

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        if let Some(threads) = NonZeroUsize::new(server.blocking_threads()) {
            blocking::set_max_blocking_threads(threads);
        }
        let listener = server.listen()?;
        for worker in 0..server.workers() {
            thread::Builder::new()
                .name(format!("smol-{worker}"))
                .spawn(|| smol::block_on(EXECUTOR.run(future::pending::<()>())))?;
        }
        server.ready(listener.local_addr()?, server.workers())?;
        smol::block_on(EXECUTOR.spawn(serve(server, listener)))
    })
}

async fn serve(server: Server, listener: TcpListener) -> Result<()> {
    let listener = Async::<TcpListener>::new_nonblocking(listener)?;
    let http = Http::new(&server, Smol);
    loop {
        let accept = async { Some(listener.accept().await) };
        let stop = async {
            server.stop.requested().await;
            None
        };
        match future::or(accept, stop).await {
            Some(Ok((stream, _))) => {
                stream.get_ref().set_nodelay(true).ok();
                EXECUTOR.spawn(http.serve_async(Stream(stream))).detach();
            }
            Some(Err(error)) => {
                server::accept_failed(&error, |d| async move { _ = Timer::after(d).await }).await
            }
            None => break,
        }
    }
    drop(listener);
    http.drained().await;
    Ok(())
}
