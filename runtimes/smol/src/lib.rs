//! smol as all of its rows run it: its timer, its blocking pool, its accept loop, and an executor that workers share.

use anyhow::Result;
use contract::{Calls, Runtime, Server, server};
use smol::{Async, Timer, future};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::time::Duration;

pub mod shared;

/// smol's timer, and the `blocking` crate's pool.
#[derive(Debug, Clone)]
pub struct Smol;

impl Runtime for Smol {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        Timer::after(duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        smol::unblock(work).await
    }
}

/// Sets the blocking pool up. To be called before the first blocking task.
pub fn configure(server: &Server) {
    if let Some(threads) = NonZeroUsize::new(server.blocking_threads()) {
        blocking::set_max_blocking_threads(threads);
    }
}

/// Accepts connections until the server is told to stop. `start` makes a task of each.
///
/// # Errors
/// The listener cannot be waited for.
pub async fn accept(server: &Server, listener: TcpListener, start: impl Fn(Async<TcpStream>)) -> Result<()> {
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
