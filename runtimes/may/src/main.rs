//! A stackful coroutine per connection: may's network and timers under the contract's codec.

use anyhow::{Result, anyhow};
use contract::codec::{Http, poll_once};
use contract::{HttpStack, Server, Spec, server};
use may::coroutine;
use may::net::TcpListener;
use rt_may::May;
use socket2::SockRef;
use std::io;
use std::net::Shutdown;
use std::process::ExitCode;
use std::sync::Arc;
use stream::Stream;

mod stream;

const SPEC: Spec = Spec {
    runtime: "may",
    package: Some("may"),
    http: HttpStack::ContractCodec,
    flavors: &[],
    has_workers: true,
};

fn main() -> ExitCode {
    server::run(SPEC, serve)
}

fn serve(server: Server) -> Result<()> {
    rt_may::configure(&server);
    let port = server.reserve_port()?;
    let listener = Arc::new(TcpListener::bind(port.addr())?);
    server.ready(port.addr(), server.workers())?;
    let (stop, listening) = (server.stop.clone(), Arc::clone(&listener));
    let accepting = may::go!(move || accept(&server, &listening));
    stop.wait();
    // Ends the accept that is going on with an error.
    SockRef::from(listener.inner()).shutdown(Shutdown::Both)?;
    let http = accepting.join().map_err(|_| anyhow!("the accept loop panicked"))?;
    drop(listener);
    http.drain();
    Ok(())
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
