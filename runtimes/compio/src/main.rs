//! hyper on compio: a runtime per core, a listener each; the ring reads, writes and accepts.

use anyhow::{Context, Result};
use async_lock::Semaphore;
use compio::driver::{AsyncifyPool, ProactorBuilder};
use compio::net::TcpListener as Listener;
use compio::{runtime, time};
use contract::cores::{self, Core};
use contract::hyper_http::Http;
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use cyper_core::{CompioTimer, HyperStream};
use futures_lite::future;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const SPEC: Spec = Spec {
    runtime: "compio",
    package: Some("compio"),
    http: HttpStack::Package("hyper"),
    flavors: &[],
    has_workers: true,
};

/// How long a blocking thread without work stays: compio's own default.
const IDLE: Duration = Duration::from_secs(60);

/// The semaphore has as many permits as the pool has threads. compio has no queue before its pool: a core that finds
/// it full tries again until it is not, and does nothing else meanwhile.
#[derive(Clone)]
struct Compio(Arc<Semaphore>);

impl Runtime for Compio {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        time::sleep(duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let permit = self.0.acquire_arc().await;
        // Given back by the thread: the work goes on when its client has gone.
        let work = move || (work(), permit).0;
        runtime::spawn_blocking(work).await.expect("the pool runs what it is given")
    }
}

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        // One for the process.
        let pool = AsyncifyPool::new(server.blocking_threads(), IDLE);
        let compio = Compio(Arc::new(Semaphore::new(server.blocking_threads())));
        cores::run(server, move |core| run_core(core, pool.clone(), compio.clone()))
    })
}

fn run_core(core: Core, pool: AsyncifyPool, compio: Compio) -> Result<()> {
    let mut proactor = ProactorBuilder::new();
    proactor.reuse_thread_pool(pool);
    let runtime = compio::runtime::RuntimeBuilder::new()
        .with_proactor(proactor)
        .build()
        .context("cannot set io_uring up")?;
    let (server, listener) = core.started();
    // Else io_uring fails to accept where it should wait.
    listener.set_nonblocking(false)?;
    runtime.block_on(serve(server, listener, compio))
}

async fn serve(server: Server, listener: TcpListener, compio: Compio) -> Result<()> {
    let listener = Listener::from_std(listener)?;
    let http = Http::new(&server, compio, CompioTimer);
    loop {
        let accept = async { Some(listener.accept().await) };
        let stop = async {
            server.stop.requested().await;
            None
        };
        match future::or(accept, stop).await {
            Some(Ok((stream, _))) => {
                stream.set_nodelay(true).ok();
                runtime::spawn(http.serve(HyperStream::new_plain(stream))).detach();
            }
            Some(Err(error)) => server::accept_failed(&error, time::sleep).await,
            None => break,
        }
    }
    drop(listener);
    http.drained().await;
    Ok(())
}
