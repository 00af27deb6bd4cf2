//! Constant bytes from bare epoll loops: not a contestant, but the ceiling of the client.
//!
//! Every request head gets the answer of /plaintext, whatever it asks for. A client that is no faster
//! here than against a contestant has measured itself.

use anyhow::Result;
use contract::{HttpStack, Server, Spec, server};
use socket2::SockRef;
use std::net::{Shutdown, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use worker::Worker;

mod heads;
mod worker;

const SPEC: Spec = Spec {
    runtime: "ceiling",
    package: None,
    http: HttpStack::ConstantBytes,
    flavors: &[],
    has_workers: true,
};

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
        serve(&server, &listener)
    })
}

/// Deals the connections out in turn. A listener that the workers share, by EPOLLEXCLUSIVE or by
/// SO_REUSEPORT, leaves their shares to luck, and a ceiling must not depend on luck.
fn serve(server: &Server, listener: &TcpListener) -> Result<()> {
    let workers = (0..server.workers()).map(|_| Worker::new().map(Arc::new)).collect::<Result<Vec<_>>>()?;
    let mut threads = Vec::new();
    for worker in &workers {
        let worker = Arc::clone(worker);
        threads.push(thread::Builder::new().name("ceiling".into()).spawn(move || worker.run())?);
    }
    server.ready(listener.local_addr()?, workers.len())?;
    for worker in workers.iter().cycle() {
        if let Err(error) = listener.accept().map_err(Into::into).and_then(|(stream, _)| worker.take(stream))
        {
            if server.stop.is_requested() {
                break;
            }
            eprintln!("error: cannot accept a connection: {error:#}");
            thread::sleep(Duration::from_millis(10));
        }
    }
    for worker in &workers {
        worker.stop()?;
    }
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
    }
    Ok(())
}
