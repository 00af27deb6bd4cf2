//! What every server's `main` starts with: its command line, its limits, its ready line.

use crate::handler::Config;
use crate::listen::{self, ReservedPort};
use crate::ready::ReadyLine;
use crate::stop::Stop;
use anyhow::{Context, Result, bail};
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::future::Future;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

/// What a server is, as far as its code decides it.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// The runtime's name, which is also its package's name in the lockfile unless `package` says else.
    pub runtime: &'static str,
    /// The package whose version is the runtime's; `None` for a server without one.
    pub package: Option<&'static str>,
    /// What speaks HTTP.
    pub http: HttpStack,
    /// The values of `--flavor`, the default first; empty where there is no such argument.
    pub flavors: &'static [&'static str],
    /// Whether `--workers` means something: not where a connection has a thread of its own.
    pub has_workers: bool,
}

/// What speaks HTTP in a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpStack {
    /// This package.
    Package(&'static str),
    /// The contract's codec.
    ContractCodec,
    /// Nothing: constant bytes are sent for every request's end.
    ConstantBytes,
}

impl HttpStack {
    /// Its name in the ready line, with its version where it has one.
    fn name(self) -> String {
        match self {
            HttpStack::Package(package) => format!("{package} {}", version_of(package)),
            HttpStack::ContractCodec => "contract codec".to_owned(),
            HttpStack::ConstantBytes => "constant bytes".to_owned(),
        }
    }
}

fn version_of(package: &str) -> &'static str {
    crate::locked_version(package).unwrap_or("unknown")
}

/// The arguments, the same for every server.
#[derive(Debug, Clone, Parser)]
#[command(about = "A server of the comparison matrix. Prints one JSON line when it is ready.")]
// A set-up may have arguments of its own, which whoever starts it may override.
#[command(args_override_self = true)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    addr: SocketAddr,
    /// Threads that run tasks [default: one a core]
    #[arg(long, value_parser = count)]
    workers: Option<usize>,
    /// The most threads that may block at a time, in the whole process
    #[arg(long, default_value_t = 512, value_parser = count)]
    blocking_threads: usize,
    /// Share the port with other processes (SO_REUSEPORT)
    #[arg(long)]
    reuse_port: bool,
    /// Which set-up of the runtime to run
    #[arg(long)]
    flavor: Option<String>,
    /// Seconds a request's head may take, which is also how long an idle connection is kept; "none": no limit
    #[arg(long, default_value = "60", value_parser = HeaderTimeout::parse)]
    header_timeout: HeaderTimeout,
    /// Add the route /panic, whose handler panics
    #[arg(long)]
    panic_route: bool,
}

/// A positive count of at most 10 000, the largest pool that every row can be given.
fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=10_000).contains(&n) => Ok(n),
        _ => Err("a whole number from 1 to 10000".into()),
    }
}

/// How long a head may take; `None`: as long as it takes. A type, since clap takes an `Option` for an absent argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HeaderTimeout(Option<Duration>);

impl HeaderTimeout {
    fn parse(text: &str) -> Result<HeaderTimeout, String> {
        match text.parse() {
            Ok(seconds) if (0.01..=86_400.0).contains(&seconds) => {
                Ok(HeaderTimeout(Some(Duration::from_secs_f64(seconds))))
            }
            _ if text == "none" => Ok(HeaderTimeout(None)),
            _ => Err("a number of seconds from 0.01 to 86400, or none".into()),
        }
    }
}

/// A server about to run: its arguments, and the signal that ends it.
#[derive(Debug, Clone)]
pub struct Server {
    spec: Spec,
    arguments: Arguments,
    /// Whether `--blocking-threads` limits anything.
    capped: bool,
    /// Set by SIGTERM and SIGINT.
    pub stop: Stop,
}

/// Parses the arguments, runs the server and turns its result into an exit code.
///
/// `run` returns when the server has drained.
pub fn run(spec: Spec, run: impl FnOnce(Server) -> Result<()>) -> ExitCode {
    let arguments = Arguments::parse();
    match Server::new(spec, arguments).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Server {
    fn new(spec: Spec, arguments: Arguments) -> Result<Server> {
        if let Some(flavor) = &arguments.flavor
            && !spec.flavors.contains(&flavor.as_str())
        {
            match spec.flavors {
                [] => bail!("--flavor {flavor}: {} has one flavor only", spec.runtime),
                flavors => bail!("--flavor {flavor}: there are {}", flavors.join(", ")),
            }
        }
        raise_file_limit()?;
        Ok(Server { spec, arguments, capped: true, stop: Stop::on_signals()? })
    }

    /// A server with these arguments that takes no signals.
    #[cfg(all(test, feature = "hyper"))]
    pub(crate) fn for_tests(spec: Spec, arguments: &[&str], stop: Stop) -> Server {
        let arguments = Arguments::parse_from(["test"].iter().chain(arguments));
        Server { spec, arguments, capped: true, stop }
    }

    /// Threads that run tasks: `--workers`, or one a core.
    pub fn workers(&self) -> usize {
        self.arguments.workers.unwrap_or_else(|| available_parallelism().map_or(1, usize::from))
    }

    /// The most threads that may block at a time: `--blocking-threads`.
    pub fn blocking_threads(&self) -> usize {
        self.arguments.blocking_threads
    }

    /// Says that in this set-up any number of threads may block, so that the ready line names no limit.
    pub fn uncap(&mut self) {
        self.capped = false;
    }

    /// The set-up to run: `--flavor`, or the first; empty where there is only one.
    pub fn flavor(&self) -> &str {
        self.arguments.flavor.as_deref().or(self.spec.flavors.first().copied()).unwrap_or_default()
    }

    /// How long a request's head may take: `--header-timeout`. `None`: as long as it takes.
    pub fn header_timeout(&self) -> Option<Duration> {
        self.arguments.header_timeout.0
    }

    /// What the handler has to know.
    pub fn config(&self) -> Config {
        Config { parallelism: self.workers(), panic_route: self.arguments.panic_route }
    }

    /// The listening socket, non-blocking.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub fn listen(&self) -> Result<TcpListener> {
        listen::listen(self.arguments.addr, self.arguments.reuse_port)
    }

    /// As many listening sockets on one port, non-blocking, for a runtime per core: the kernel deals connections out
    /// among them by their addresses. No other process shares the port unless `--reuse-port` was given.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub fn listeners(&self, count: usize) -> Result<Vec<TcpListener>> {
        let port = self.reserve_port()?;
        (0..count).map(|_| listen::listen(port.addr(), true)).collect()
    }

    /// A port for a runtime that insists on binding by itself. Keep it while the server runs.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub fn reserve_port(&self) -> Result<ReservedPort> {
        ReservedPort::new(self.arguments.addr, self.arguments.reuse_port)
    }

    /// Prints the ready line. `workers` is how many threads really run tasks.
    ///
    /// # Errors
    /// Nobody reads stdout.
    pub fn ready(&self, addr: SocketAddr, workers: usize) -> Result<()> {
        let line = ReadyLine {
            addr,
            runtime: self.spec.runtime.to_owned(),
            runtime_version: self.spec.package.map_or("", version_of).to_owned(),
            flavor: self.flavor().to_owned(),
            http_stack: self.spec.http.name(),
            worker_threads: self.spec.has_workers.then_some(workers),
            blocking_threads: self.capped.then(|| self.blocking_threads()),
            pid: std::process::id(),
            rustflags: crate::RUSTFLAGS.to_owned(),
            contract: Some(crate::HASH.to_owned()),
        };
        let mut stdout = std::io::stdout().lock();
        serde_json::to_writer(&mut stdout, &line)?;
        stdout.write_all(b"\n").and_then(|()| stdout.flush()).context("cannot print the ready line")
    }
}

/// Lets the process open as many files as it may: a connection is a file.
fn raise_file_limit() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of open files")?;
    }
    Ok(())
}

/// What to do when `accept` fails: say so, and pause where it would fail again at once.
///
/// A client that went away before it was accepted needs no pause; a full file table does.
pub async fn accept_failed<F: Future<Output = ()>>(error: &io::Error, sleep: impl FnOnce(Duration) -> F) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        eprintln!("error: cannot accept a connection: {error}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_timeout_is_seconds_or_none() {
        assert_eq!(HeaderTimeout::parse("0.25"), Ok(HeaderTimeout(Some(Duration::from_millis(250)))));
        assert_eq!(HeaderTimeout::parse("none"), Ok(HeaderTimeout(None)));
        for wrong in ["0", "-1", "NaN", "soon", ""] {
            assert!(HeaderTimeout::parse(wrong).is_err(), "{wrong}");
        }
    }
}
