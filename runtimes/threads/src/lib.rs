//! Threads as all of their rows run them: how they wait, and the accept loop that makes one of each connection.

use anyhow::Result;
use contract::blocking::poll_once;
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use permits::Permits;
use socket2::SockRef;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

mod permits;

/// The row on the contract's codec.
pub const SPEC: Spec = Spec {
    runtime: "threads",
    package: None,
    http: HttpStack::ContractCodec,
    flavors: &["capped", "uncapped"],
    has_workers: false,
};

/// Room for fib(45) and for a panic with its backtrace; only what is touched takes memory.
const STACK: usize = 256 * 1024;

/// Blocks where it is asked to wait. The permits stand for the other rows' pool of blocking threads; without
/// them, every connection may block.
#[derive(Debug, Clone)]
pub struct Threads(Option<Arc<Permits>>);

impl Runtime for Threads {
    const CALLS: Calls = Calls::Plain;

    async fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _permit = self.0.as_deref().map(Permits::take);
        work()
    }
}

impl Threads {
    /// Threads of which as many may block as the server says.
    pub fn capped(server: &Server) -> Threads {
        Threads(Some(Arc::new(Permits::new(server.blocking_threads()))))
    }

    /// Threads that may all block.
    pub fn uncapped() -> Threads {
        Threads(None)
    }
}

/// Gives every connection a thread that does its job, until the server is told to stop; then drains `http`.
///
/// # Errors
/// The address is taken.
pub fn listen<H, J: FnOnce() + Send + 'static>(
    server: &Server,
    http: H,
    job: fn(&H, TcpStream) -> J,
    drain: fn(H),
) -> Result<()> {
    let listener = server.listen()?;
    listener.set_nonblocking(false)?;
    let (stop, listening) = (server.stop.clone(), listener.try_clone()?);
    thread::Builder::new().name("stop".into()).spawn(move || {
        stop.wait();
        // Ends the accept that is going on with an error.
        SockRef::from(&listening).shutdown(Shutdown::Both)
    })?;
    server.ready(listener.local_addr()?, 0)?;
    while !server.stop.is_requested() {
        if let Err(error) =
            listener.accept().and_then(|(stream, _)| start(stream, |stream| job(&http, stream)))
            && !server.stop.is_requested()
        {
            poll_once(server::accept_failed(&error, |pause| async move { thread::sleep(pause) }));
        }
    }
    drop(listener);
    drain(http);
    Ok(())
}

fn start<J: FnOnce() + Send + 'static>(stream: TcpStream, job: impl Fn(TcpStream) -> J) -> io::Result<()> {
    stream.set_nodelay(true).ok();
    thread::Builder::new().stack_size(STACK).spawn(job(stream))?;
    Ok(())
}
