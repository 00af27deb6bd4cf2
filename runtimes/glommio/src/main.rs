//! hyper on glommio: an executor per core, a listener each.
//!
//! glommio first tries a system call, and has the ring say when to try again.

use anyhow::{Context as _, Result, anyhow};
use contract::cores::{self, Core};
use contract::hyper_http::Http;
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use futures_lite::future;
use glommio::net::TcpListener as Listener;
use glommio::{LocalExecutorBuilder, Placement, PoolPlacement};
use io_uring::IoUring;
use smol_hyper::rt::FuturesIo;
use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, IntoRawFd as _};
use std::process::ExitCode;
use std::time::Duration;
use timer::GlommioTimer;

mod timer;

const SPEC: Spec = Spec {
    runtime: "glommio",
    package: Some("glommio"),
    http: HttpStack::Package("hyper"),
    flavors: &[],
    has_workers: true,
};

#[derive(Clone)]
struct Glommio;

impl Runtime for Glommio {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        glommio::timer::sleep(duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        glommio::executor().spawn_blocking(work).await
    }
}

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        // glommio itself panics.
        IoUring::new(8).context("the kernel gives no io_uring")?;
        cores::run(server, run_core)
    })
}

fn run_core(core: Core) -> Result<()> {
    // Not pinned, as no other row is. A pool belongs to its executor, and starts all of its threads here.
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(core.blocking_threads()))
        .make()
        .map_err(|error| {
            anyhow!("cannot set glommio up, which needs 512 KiB of locked memory (ulimit -l): {error}")
        })?;
    let (server, listener) = core.started();
    executor.run(serve(server, listener))
}

async fn serve(server: Server, listener: TcpListener) -> Result<()> {
    // Else io_uring fails to accept where it should wait.
    listener.set_nonblocking(false)?;
    #[expect(unsafe_code, reason = "glommio takes over a listener in no other way")]
    // SAFETY: the descriptor is a listening socket, and nobody else's any more.
    let listener = unsafe { Listener::from_raw_fd(listener.into_raw_fd()) };
    let http = Http::new(&server, Glommio, GlommioTimer);
    loop {
        let accept = async { Some(listener.accept().await) };
        let stop = async {
            server.stop.requested().await;
            None
        };
        match future::or(accept, stop).await {
            Some(Ok(stream)) => {
                stream.set_nodelay(true).ok();
                glommio::spawn_local(http.serve(FuturesIo::new(stream))).detach();
            }
            Some(Err(error)) => server::accept_failed(&error.into(), glommio::timer::sleep).await,
            None => break,
        }
    }
    drop(listener);
    http.drained().await;
    Ok(())
}
