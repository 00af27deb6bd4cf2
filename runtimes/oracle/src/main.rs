//! A server whose every answer time is known in advance: what the harness is tested with.
//!
//! It shares no code with the runtimes under test. One thread waits on epoll and keeps *virtual time*:
//! departure(n) = max(arrival(n), departure(n−1)) + S(n), and answer n is sent at that instant. A late
//! answer never moves the next departure. `law` has the formulas, `arguments` explains what can be chosen.

use anyhow::{Context as _, Result};
use arguments::Arguments;
use contract::listen;
use contract::ready::ReadyLine;
use contract::stop::Stop;
use nix::sys::eventfd::EventFd;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use oracle::Oracle;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

mod answer;
mod arguments;
mod clock;
mod connection;
mod cost;
mod faults;
mod law;
mod oracle;
mod units;

fn main() -> ExitCode {
    match serve(&Arguments::parse_or_exit()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of open files")?;
    let (signals, stop) = (Stop::on_signals()?, Arc::new(EventFd::new()?));
    let listener = listen::listen(arguments.addr, false)?;
    let addr = listener.local_addr()?;
    let oracle = Oracle::new(arguments, listener, Arc::clone(&stop))?;
    thread::Builder::new().name("stop".into()).spawn(move || {
        signals.wait();
        stop.write(1)
    })?;
    ready(addr)?;
    oracle.run()
}

fn ready(addr: SocketAddr) -> Result<()> {
    let line = ReadyLine {
        addr,
        runtime: "oracle".into(),
        runtime_version: String::new(),
        flavor: String::new(),
        http_stack: "oracle".into(),
        worker_threads: Some(1),
        blocking_threads: None,
        pid: std::process::id(),
        rustflags: contract::RUSTFLAGS.to_owned(),
        contract: Some(contract::HASH.to_owned()),
    };
    let text = serde_json::to_string(&line)?;
    writeln!(std::io::stdout(), "{text}").context("cannot print the ready line")
}
