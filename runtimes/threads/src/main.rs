//! A thread per connection: what the executors are an alternative to.

use contract::codec::{Http, poll_once};
use contract::{Calls, HttpStack, Runtime, Server, Spec, server};
use permits::Permits;
use socket2::SockRef;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

mod permits;

const SPEC: Spec = Spec {
    runtime: "threads",
    package: None,
    http: HttpStack::ContractCodec,
    flavors: &[],
    has_workers: false,
};

/// Room for fib(45) and for a panic with its backtrace; only what is touched takes memory.
const STACK: usize = 256 * 1024;

/// Blocks where it is asked to wait. The permits stand for the other rows' pool of blocking threads.
#[derive(Clone)]
struct Threads(Arc<Permits>);

impl Runtime for Threads {
    const CALLS: Calls = Calls::Plain;

    async fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _permit = self.0.take();
        work()
    }
}

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        let listener = server.listen()?;
        listener.set_nonblocking(false)?;
        let (stop, listening) = (server.stop.clone(), listener.try_clone()?);
        thread::Builder::new().name("stop".into()).spawn(move || {
            stop.wait();
            // Ends the accept that is going on with an error.
            SockRef::from(&listening).shutdown(Shutdown::Both)
        })?;
        server.ready(listener.local_addr()?, 0)?;
        serve(&server, listener);
        Ok(())
    })
}

fn serve(server: &Server, listener: TcpListener) {
    let http = Http::new(server, Threads(Arc::new(Permits::new(server.blocking_threads()))));
    while !server.stop.is_requested() {
        if let Err(error) = listener.accept().and_then(|(stream, _)| start(&http, stream))
            && !server.stop.is_requested()
        {
            poll_once(server::accept_failed(&error, |pause| async move { thread::sleep(pause) }));
        }
    }
    drop(listener);
    http.drain();
}

fn start(http: &Http<Threads>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true).ok();
    thread::Builder::new().stack_size(STACK).spawn(http.serve(stream))?;
    Ok(())
}
