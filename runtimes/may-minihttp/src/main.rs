//! may_minihttp as it is, on may's stackful coroutines. Its manifest declares what it does otherwise.

use anyhow::Result;
use contract::connections::Connections;
use contract::{HttpStack, Server, Spec, server};
use may_minihttp::HttpServiceFactory as _;
use service::Factory;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

mod process_time;
mod service;
mod socket;

const SPEC: Spec = Spec {
    runtime: "may",
    package: Some("may"),
    http: HttpStack::Package("may_minihttp"),
    flavors: &[],
    has_workers: true,
};

fn main() -> ExitCode {
    server::run(SPEC, serve)
}

fn serve(server: Server) -> Result<()> {
    rt_may::configure(&server);
    let port = server.reserve_port()?;
    let connections = Arc::new(Mutex::new(Some(Connections::new())));
    let factory = Factory::new(server.config(), Arc::clone(&connections));
    let _accepting = factory.start(port.addr())?;
    server.ready(port.addr(), server.workers())?;
    server.stop.wait();
    // Its accept loop cannot be ended; connections that come from now on are closed at once.
    let connections = connections.lock().unwrap_or_else(PoisonError::into_inner).take();
    connections.into_iter().for_each(Connections::drain);
    Ok(())
}
