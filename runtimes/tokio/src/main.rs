//! hyper on tokio, in both of its flavours: the work-stealing pool and the single thread.

use anyhow::Result;
use contract::hyper_http::Http;
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::{task, time};

const SPEC: Spec = Spec {
    runtime: "tokio",
    package: Some("tokio"),
    http: HttpStack::Package("hyper"),
    flavors: &["multi-thread", "current-thread"],
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

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        let (mut builder, workers) = match server.flavor() {
            "current-thread" => (Builder::new_current_thread(), 1),
            _ => (Builder::new_multi_thread(), server.workers()),
        };
        if workers > 1 || server.flavor() == "multi-thread" {
            builder.worker_threads(workers);
        }
        let runtime = builder.max_blocking_threads(server.blocking_threads()).enable_all().build()?;
        let listener = server.listen()?;
        server.ready(listener.local_addr()?, workers)?;
        // Spawned: the future given to block_on runs outside the workers, up to 17 times slower.
        let ended = runtime.block_on(async { tokio::spawn(serve(server, listener)).await });
        // Blocking work whose client has gone is not waited for.
        runtime.shutdown_background();
        ended?
    })
}

async fn serve(server: Server, listener: TcpListener) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let http = Http::new(&server, Tokio, TokioTimer::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    stream.set_nodelay(true).ok();
                    tokio::spawn(http.serve(TokioIo::new(stream)));
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
