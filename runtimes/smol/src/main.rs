//! hyper on smol: one executor, run by as many threads as there are workers.
//!
//! Not `smol::spawn`, whose global executor has a single thread unless an environment variable says else.

use anyhow::Result;
use contract::hyper_http::Http;
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use smol::{Async, Executor, Timer, future};
use smol_hyper::rt::{FuturesIo, SmolTimer};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const SPEC: Spec = Spec {
    runtime: "smol",
    package: Some("smol"),
    http: HttpStack::Package("hyper"),
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
    let http = Http::new(&server, Smol, SmolTimer::new());
    loop {
        let accept = async { Some(listener.accept().await) };
        let stop = async {
            server.stop.requested().await;
            None
        };
        match future::or(accept, stop).await {
            Some(Ok((stream, _))) => {
                stream.get_ref().set_nodelay(true).ok();
                EXECUTOR.spawn(http.serve(FuturesIo::new(stream))).detach();
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
