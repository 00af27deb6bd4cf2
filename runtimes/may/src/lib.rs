//! may as all of its rows run it: its size, its timer, and how a coroutine waits for a blocking thread; and the server
//! that its rows are on the contract's codec or, where they bring it, on hyper.

use anyhow::{Result, anyhow};
use contract::blocking::poll_once;
use contract::codec::Http;
use contract::listen::BACKLOG;
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use may::coroutine;
use may::net::TcpListener;
use may::sync::spsc;
use socket2::SockRef;
use std::io;
use std::net::Shutdown;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
pub use stream::Stream;

mod stream;

/// A server on [`serve`].
pub const SPEC: Spec = Spec {
    runtime: "may",
    package: Some("may"),
    http: HttpStack::ContractCodec,
    flavors: &[],
    has_workers: true,
};

/// In words: 128 KiB. A request takes some 950 words on the codec and 1850 on hyper, /asyncfib/30 some 100 more on the
/// codec, and the first panic with its backtrace 3850; a coroutine that overflows its stack is abandoned with its
/// client still waiting.
const STACK: usize = 0x4000;

/// Held by the blocking thread that wakes a coroutine. The queue behind it makes its producers spin,
/// and a few hundred threads that end a wait together would spin against one that is not running:
/// without this, `/wait` at 1000 connections sometimes fell to a sixth, at all of both cores.
static WAKING: Mutex<()> = Mutex::new(());

/// Sets may and the blocking pool up. To be called before the first coroutine.
pub fn configure(server: &Server) {
    if let Some(threads) = NonZeroUsize::new(server.blocking_threads()) {
        blocking::set_max_blocking_threads(threads);
    }
    let may = may::config();
    may.set_workers(server.workers()).set_stack_size(STACK);
    // No other row pins its threads; and two processes would pin theirs to the same cores.
    may.set_worker_pin(false);
}

/// Coroutines, and the `blocking` crate's pool for what would stop a worker.
#[derive(Debug, Clone)]
pub struct May;

impl Runtime for May {
    const CALLS: Calls = Calls::Plain;

    async fn sleep(&self, duration: Duration) {
        coroutine::sleep(duration);
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = spsc::channel();
        blocking::unblock(move || {
            let done = work();
            let _waking = WAKING.lock().unwrap_or_else(PoisonError::into_inner);
            sender.send(done)
        })
        .detach();
        receiver.recv().expect("the pool runs what it is given")
    }
}

/// Serves connections with the contract's codec, a coroutine each, until the server has drained.
///
/// # Errors
/// The address is taken.
pub fn serve(server: Server) -> Result<()> {
    let http = Http::new(&server, May);
    listen(server, http, |http, stream| http.serve(stream), Http::drain)
}

/// Listens until the server is told to stop, and makes a coroutine of each connection's job; then drains `http`.
///
/// # Errors
/// The address is taken.
pub fn listen<H: Send + 'static, J: FnOnce() + Send + 'static>(
    server: Server,
    http: H,
    job: fn(&H, Stream) -> J,
    drain: fn(H),
) -> Result<()> {
    let port = server.reserve_port()?;
    let listener = Arc::new(TcpListener::bind(port.addr())?);
    // may asks for 1024 places in the accept queue; the kernel takes the last word.
    SockRef::from(listener.inner()).listen(BACKLOG)?;
    server.ready(port.addr(), server.workers())?;
    let (stop, listening) = (server.stop.clone(), Arc::clone(&listener));
    let accepting = may::go!(move || {
        accept(&server, &listening, |stream| job(&http, stream));
        http
    });
    stop.wait();
    // Ends the accept that is going on with an error.
    SockRef::from(listener.inner()).shutdown(Shutdown::Both)?;
    let http = accepting.join().map_err(|_| anyhow!("the accept loop panicked"))?;
    drop(listener);
    drain(http);
    Ok(())
}

fn accept<J: FnOnce() + Send + 'static>(server: &Server, listener: &TcpListener, job: impl Fn(Stream) -> J) {
    while !server.stop.is_requested() {
        if let Err(error) = start(listener, &job)
            && !server.stop.is_requested()
        {
            poll_once(server::accept_failed(&error, |pause| async move { coroutine::sleep(pause) }));
        }
    }
}

fn start<J: FnOnce() + Send + 'static>(listener: &TcpListener, job: impl Fn(Stream) -> J) -> io::Result<()> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true).ok();
    // Its handle is dropped: the connection ends by itself.
    let _handle = may::go!(job(Stream(stream)));
    Ok(())
}
