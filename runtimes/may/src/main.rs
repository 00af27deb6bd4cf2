//! A stackful coroutine per connection: may's network and timers under the contract's codec.

use anyhow::anyhow;
use contract::codec::{Http, poll_once};
use contract::{Calls, Runtime, Server, Spec, server};
use may::coroutine;
use may::net::TcpListener;
use may::sync::spsc;
use socket2::SockRef;
use std::io;
use std::net::Shutdown;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use stream::Stream;

mod stream;

const SPEC: Spec = Spec {
    runtime: "may",
    package: Some("may"),
    http_package: None,
    flavors: &[],
    has_workers: true,
};

/// In words: 128 KiB. fib(45) takes some 350 words and a panic with its backtrace 2600, and a
/// coroutine that overflows its stack is abandoned with its client still waiting.
const STACK: usize = 0x4000;

#[derive(Clone)]
struct May;

impl Runtime for May {
    const CALLS: Calls = Calls::Plain;

    async fn sleep(&self, duration: Duration) {
        coroutine::sleep(duration);
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = spsc::channel();
        blocking::unblock(move || sender.send(work())).detach();
        receiver.recv().expect("the pool runs what it is given")
    }
}

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        if let Some(threads) = NonZeroUsize::new(server.blocking_threads()) {
            blocking::set_max_blocking_threads(threads);
        }
        let may = may::config();
        may.set_workers(server.workers()).set_stack_size(STACK);
        // No other row pins its threads; and two processes would pin theirs to the same cores.
        may.set_worker_pin(false);
        let port = server.reserve_port()?;
        let listener = Arc::new(TcpListener::bind(port.addr())?);
        server.ready(port.addr(), server.workers())?;
        let stop = server.stop.clone();
        let accepting = may::go!({
            let listener = Arc::clone(&listener);
            move || accept(&server, &listener)
        });
        stop.wait();
        // Ends the accept that is going on with an error.
        SockRef::from(listener.inner()).shutdown(Shutdown::Both)?;
        drop(listener);
        let http = accepting.join().map_err(|_| anyhow!("the accept loop panicked"))?;
        http.drain();
        Ok(())
    })
}

fn accept(server: &Server, listener: &TcpListener) -> Http<May> {
    let http = Http::new(server, May);
    while !server.stop.is_requested() {
        if let Err(error) = start(&http, listener)
            && !server.stop.is_requested()
        {
            poll_once(server::accept_failed(&error, |pause| async move { coroutine::sleep(pause) }));
        }
    }
    http
}

fn start(http: &Http<May>, listener: &TcpListener) -> io::Result<()> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true).ok();
    // Its handle is dropped: the connection ends by itself.
    let _handle = may::go!(http.serve(Stream(stream)));
    Ok(())
}
