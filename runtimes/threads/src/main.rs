//! A thread per connection: what the executors are an alternative to. On the contract's codec, or on hyper.

use contract::blocking::poll_once;
use contract::hyper_http::blocking as hyper_http;
use contract::{Calls, HttpStack, Runtime, Server, Spec, codec, server};
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
    http: HttpStack::ByFlavor(|flavor| match flavor {
        "hyper" => HttpStack::Package("hyper"),
        _ => HttpStack::ContractCodec,
    }),
    flavors: &["codec", "hyper", "uncapped"],
    has_workers: false,
};

/// Room for fib(45) and for a panic with its backtrace; only what is touched takes memory.
const STACK: usize = 256 * 1024;

/// Blocks where it is asked to wait. The permits stand for the other rows' pool of blocking threads; without
/// them, every connection may block.
#[derive(Clone)]
struct Threads(Option<Arc<Permits>>);

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

fn main() -> ExitCode {
    server::run(SPEC, |mut server| {
        let uncapped = server.flavor() == "uncapped";
        if uncapped {
            server.uncap();
        }
        let permits = (!uncapped).then(|| Arc::new(Permits::new(server.blocking_threads())));
        let listener = server.listen()?;
        listener.set_nonblocking(false)?;
        let (stop, listening) = (server.stop.clone(), listener.try_clone()?);
        thread::Builder::new().name("stop".into()).spawn(move || {
            stop.wait();
            // Ends the accept that is going on with an error.
            SockRef::from(&listening).shutdown(Shutdown::Both)
        })?;
        server.ready(listener.local_addr()?, 0)?;
        serve(&server, Threads(permits), listener);
        Ok(())
    })
}

fn serve(server: &Server, threads: Threads, listener: TcpListener) {
    if server.flavor() == "hyper" {
        let http = hyper_http::Http::new(server, threads);
        accept(server, listener, |stream| http.serve(stream));
        http.drain();
    } else {
        let http = codec::Http::new(server, threads);
        accept(server, listener, |stream| http.serve(stream));
        http.drain();
    }
}

/// Gives every connection a thread that does its job, until the server is told to stop.
fn accept<J: FnOnce() + Send + 'static>(
    server: &Server,
    listener: TcpListener,
    job: impl Fn(TcpStream) -> J,
) {
    while !server.stop.is_requested() {
        if let Err(error) = listener.accept().and_then(|(stream, _)| start(stream, &job))
            && !server.stop.is_requested()
        {
            poll_once(server::accept_failed(&error, |pause| async move { thread::sleep(pause) }));
        }
    }
}

fn start<J: FnOnce() + Send + 'static>(stream: TcpStream, job: impl Fn(TcpStream) -> J) -> io::Result<()> {
    stream.set_nodelay(true).ok();
    thread::Builder::new().stack_size(STACK).spawn(job(stream))?;
    Ok(())
}
