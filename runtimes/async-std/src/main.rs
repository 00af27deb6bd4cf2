//! hyper on async-std 1.13, which is discontinued in favour of smol (RUSTSEC-2025-0052): a historical row.

use anyhow::Result;
use async_global_executor::GlobalExecutorConfig;

use async_std::{net, task};
use contract::hyper_http::Http;
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use futures_lite::future;
use smol_hyper::rt::{FuturesIo, SmolTimer};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

const SPEC: Spec = Spec {
    runtime: "async-std",
    package: Some("async-std"),
    http: HttpStack::Package("hyper"),
    flavors: &[],
    has_workers: true,
};

#[derive(Clone)]
struct AsyncStd;

impl Runtime for AsyncStd {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        task::sleep(duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        task::spawn_blocking(work).await
    }
}

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        // Both before async-std starts them by itself, with sizes from environment variables.
        let workers = server.workers();
        async_global_executor::init_with_config(
            GlobalExecutorConfig::default().with_min_threads(workers).with_max_threads(workers),
        );
        if let Some(threads) = NonZeroUsize::new(server.blocking_threads()) {
            blocking::set_max_blocking_threads(threads);
        }
        let listener = server.listen()?;
        server.ready(listener.local_addr()?, workers)?;
        task::block_on(task::spawn(serve(server, listener)))
    })
}

async fn serve(server: Server, listener: TcpListener) -> Result<()> {
    let listener = net::TcpListener::from(listener);
    let http = Http::new(&server, AsyncStd, SmolTimer::new());
    loop {
        let accept = async { Some(listener.accept().await) };
        let stop = async {
            server.stop.requested().await;
            None
        };
        match future::or(accept, stop).await {
            Some(Ok((stream, _))) => {
                stream.set_nodelay(true).ok();
                task::spawn(http.serve(FuturesIo::new(stream)));
            }
            Some(Err(error)) => server::accept_failed(&error, task::sleep).await,
            None => break,
        }
    }
    drop(listener);
    http.drained().await;
    Ok(())
}
