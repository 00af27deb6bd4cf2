//! hyper on smol: one executor, run by as many threads as there are workers; or an executor for each thread.
//!
//! Not `smol::spawn`, whose global executor has a single thread unless an environment variable says else.

use anyhow::Result;
use async_executor::StaticExecutor;
use contract::{Calls, HttpStack, Runtime, Server, Spec, cores, server};
use direct::Direct;
use smol::{Async, Executor, Timer, future};
use smol_hyper::rt::FuturesIo;
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

mod direct;
mod local;
mod shared;

const SPEC: Spec = Spec {
    runtime: "smol",
    package: Some("smol"),
    http: HttpStack::Package("hyper"),
    flavors: &["shared", "static", "local", "direct"],
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

/// As it is never dropped, it keeps no list of its tasks.
static STATIC: StaticExecutor = StaticExecutor::new();

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        if let Some(threads) = NonZeroUsize::new(server.blocking_threads()) {
            blocking::set_max_blocking_threads(threads);
        }
        match server.flavor() {
            "direct" => shared::run(server, &EXECUTOR, Direct),
            "static" => shared::run(server, &STATIC, FuturesIo::new),
            "local" => cores::run(server, local::run_core),
            _ => shared::run(server, &EXECUTOR, FuturesIo::new),
        }
    })
}

/// Accepts connections until the server is told to stop. `start` makes a task of each.
async fn accept(server: &Server, listener: TcpListener, start: impl Fn(Async<TcpStream>)) -> Result<()> {
    let listener = Async::<TcpListener>::new_nonblocking(listener)?;
    loop {
        let accept = async { Some(listener.accept().await) };
        let stop = async {
            server.stop.requested().await;
            None
        };
        match future::or(accept, stop).await {
            Some(Ok((stream, _))) => {
                stream.get_ref().set_nodelay(true).ok();
                start(stream);
            }
            Some(Err(error)) => {
                server::accept_failed(&error, |d| async move { _ = Timer::after(d).await }).await
            }
            None => return Ok(()),
        }
    }
}
