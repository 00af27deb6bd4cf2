//! hyper on nio: one accept loop, which places each connection on the worker with the least to do, where it stays.

use anyhow::Result;
use contract::hyper_http::Http;
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use futures_lite::future;
use nio::{RuntimeBuilder, Sleep};
use smol_hyper::rt::FuturesIo;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use timer::NioTimer;

mod timer;

const SPEC: Spec = Spec {
    runtime: "nio",
    package: Some("nio"),
    http: HttpStack::Package("hyper"),
    flavors: &[],
    has_workers: true,
};

#[derive(Clone)]
struct Nio;

impl Runtime for Nio {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        // `nio::sleep` counts from the last turn of the event loop, and so ends too early.
        Sleep::at(Instant::now() + duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        nio::spawn_blocking(work).await.expect("the pool outlives its requests")
    }
}

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        // Its pool has one thread more than it is told.
        let blocking_threads = u16::try_from(server.blocking_threads())?.saturating_sub(1).max(1);
        let runtime = RuntimeBuilder::new()
            .worker_threads(server.workers().try_into()?)
            .max_blocking_threads(blocking_threads)
            // Its default is a thread for every two calls, of which one then waits for the other.
            .threadpool_load_factor(1)
            .rt()?;
        let listener = server.listen()?;
        server.ready(listener.local_addr()?, server.workers())?;
        runtime.block_on(|| serve(server, listener))
    })
}

async fn serve(server: Server, listener: TcpListener) -> Result<()> {
    let mut listener = nio::net::TcpListener::new(mio::net::TcpListener::from_std(listener))?;
    let http = Http::new(&server, Nio, NioTimer);
    loop {
        let accept = async { Some(listener.accept().await) };
        let stop = async {
            server.stop.requested().await;
            None
        };
        match future::or(accept, stop).await {
            Some(Ok(connection)) => {
                connection.set_nodelay(true).ok();
                let http = http.clone();
                nio::spawn_pinned(|| async move {
                    // Its stream is of the worker that it runs on.
                    if let Ok(stream) = connection.connect().await {
                        let serving = http.serve(FuturesIo::new(stream));
                        drop(http);
                        serving.await;
                    }
                });
            }
            Some(Err(error)) => server::accept_failed(&error, nio::sleep).await,
            None => break,
        }
    }
    drop(listener);
    http.drained().await;
    Ok(())
}
