//! hyper on monoio: a runtime per core, a listener each, in both of its drivers.
//!
//! hyper reads and writes by readiness, so a connection is a `TcpStreamPoll`: on io_uring its readiness comes through
//! the ring, and its bytes by system calls. Accepting is a completion.

use anyhow::{Context, Result, ensure};
use contract::cores::{self, Core};
use contract::hyper_http::Http;
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use monoio::blocking::DefaultThreadPool;
use monoio::io::IntoPollIo;
use monoio::net::TcpListener as Listener;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder, time};
use monoio_compat::hyper::{MonoioIo, MonoioTimer};
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;

const SPEC: Spec = Spec {
    runtime: "monoio",
    package: Some("monoio"),
    http: HttpStack::Package("hyper"),
    flavors: &["io-uring", "epoll"],
    has_workers: true,
};

#[derive(Clone)]
struct Monoio;

impl Runtime for Monoio {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        time::sleep(duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        monoio::spawn_blocking(work).await.expect("the pool runs what it is given")
    }
}

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        // One for the process: its clones have the same threads. All of them start here.
        let pool = DefaultThreadPool::new(server.blocking_threads());
        match server.flavor() {
            "epoll" => cores::run(server, move |core| run_on_epoll(core, pool.clone())),
            _ => {
                ensure!(
                    monoio::utils::detect_uring(),
                    "the kernel gives no io_uring, or not all that monoio needs"
                );
                cores::run(server, move |core| run_on_io_uring(core, pool.clone()))
            }
        }
    })
}

fn run_on_io_uring(core: Core, pool: DefaultThreadPool) -> Result<()> {
    let builder = RuntimeBuilder::<IoUringDriver>::new().enable_timer().attach_thread_pool(Box::new(pool));
    let mut runtime = builder.build().context("cannot set io_uring up")?;
    let (server, listener) = core.started();
    // Else io_uring fails to accept where it should wait.
    listener.set_nonblocking(false)?;
    runtime.block_on(serve(server, listener))
}

fn run_on_epoll(core: Core, pool: DefaultThreadPool) -> Result<()> {
    let builder = RuntimeBuilder::<LegacyDriver>::new().enable_timer().attach_thread_pool(Box::new(pool));
    let mut runtime = builder.build()?;
    let (server, listener) = core.started();
    runtime.block_on(serve(server, listener))
}

async fn serve(server: Server, listener: TcpListener) -> Result<()> {
    let listener = Listener::from_std(listener)?;
    let http = Http::new(&server, Monoio, MonoioTimer);
    loop {
        monoio::select! {
            accepted = listener.accept() => {
                if let Err(error) = accepted.and_then(|(stream, _)| start(&http, stream)) {
                    server::accept_failed(&error, time::sleep).await;
                }
            }
            () = server.stop.requested() => break,
        }
    }
    drop(listener);
    http.drained().await;
    Ok(())
}

fn start(http: &Http<Monoio>, stream: monoio::net::TcpStream) -> io::Result<()> {
    stream.set_nodelay(true).ok();
    monoio::spawn(http.serve(MonoioIo::new(stream.into_poll_io()?)));
    Ok(())
}
