//! The contract's codec on tokio's work-stealing pool: tokio-multi without hyper.

use anyhow::Result;
use contract::codec::{AsyncTransport, Http};
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::{task, time};

const SPEC: Spec = Spec {
    runtime: "tokio",
    package: Some("tokio"),
    http: HttpStack::ContractCodec,
    flavors: &[],
    has_workers: true,
};

#[derive(Clone)]
struct Tokio;

impl Runtime for Tokio {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        time::sleep(duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        task::spawn_blocking(work).await.expect("the pool outlives its requests")
    }
}

/// A connection whose calls let its task wait.
struct Stream(TcpStream);

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsyncTransport for Stream {
    async fn read(&mut self, buffer: &mut [u8], limit: Option<Duration>) -> io::Result<usize> {
        match limit {
            Some(limit) => time::timeout(limit, self.0.read(buffer)).await?,
            None => self.0.read(buffer).await,
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }
}

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(server.workers())
            .max_blocking_threads(server.blocking_threads())
            .enable_all()
            .build()?;
        let listener = server.listen()?;
        server.ready(listener.local_addr()?, server.workers())?;
        // Spawned: the future given to block_on runs outside the workers, up to 17 times slower.
        let ended = runtime.block_on(async { tokio::spawn(serve(server, listener)).await });
        // Blocking work whose client has gone is not waited for.
        runtime.shutdown_background();
        ended?
    })
}

async fn serve(server: Server, listener: TcpListener) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let http = Http::new(&server, Tokio);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    stream.set_nodelay(true).ok();
                    tokio::spawn(http.serve_async(Stream(stream)));
                }
                Err(error) => server::accept_failed(&error, time::sleep).await,
            },
            () = server.stop.requested() => break,
        }
    }
    drop(listener);
    http.drained().await;
    Ok(())
}
