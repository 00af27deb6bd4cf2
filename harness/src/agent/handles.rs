//! What the coordinator has of an agent, and of what runs there: to be asked, and ended when it is dropped.

use super::equal_work::EqualWork;
use super::launch;
use super::link::Link;
use super::messages::{Ask, Closed, Hello, Id, Probed, ServerStart, Started, WatchSpec};
use super::server::StartOptions;
use super::spawn::{Lifeline, Proc};
use crate::experiment::server::ServerDef;
use crate::host::machine::sha256;
use crate::verify::{Level, Replayed};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use load::protocol::{Expect, Half, Mark, Request};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A program goes through the pipe in pieces of so many bytes.
const PIECE: usize = 1 << 20;

/// An agent. Clones are the same one, which ends with the last of them.
#[derive(Debug, Clone)]
pub struct Agent {
    link: Arc<Link>,
    hello: Arc<Hello>,
}

impl Agent {
    /// Starts the agent of this host, as a child.
    ///
    /// # Errors
    /// In words: it does not start.
    pub fn local() -> Result<Agent, String> {
        let program = std::env::current_exe().map_err(|error| format!("cannot find the harness: {error}"))?;
        Agent::start(Command::new(program).arg("agent"))
    }

    /// Starts the agent of another host, behind a launcher such as `["ssh", "bench-1"]`; of this one without.
    ///
    /// # Errors
    /// In words: nothing answers, or it cannot be put there.
    pub fn behind(launch: &[String]) -> Result<Agent, String> {
        match launch {
            [] => Agent::local(),
            words => Agent::of(launch::behind(words)?),
        }
    }

    /// Finds a program on the agent's host, or puts it there. `path` is where it is on this host.
    ///
    /// # Errors
    /// In words: the program cannot be read, or there is no room for it.
    pub fn program(&self, path: &Path) -> Result<PathBuf, String> {
        let unreadable = || format!("cannot read {}", path.display());
        let hash = sha256(path).ok_or_else(unreadable)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let find = Ask::Find { name: name.clone(), hash: hash.clone(), path: path.to_path_buf() };
        if let Some(found) = self.link.ask::<Option<PathBuf>>(find)? {
            return Ok(found);
        }
        let bytes = fs::read(path).map_err(|_| unreadable())?;
        let pieces = bytes.chunks(PIECE).count();
        let mut found = None;
        for (place, piece) in bytes.chunks(PIECE).enumerate() {
            let (name, hash, piece) = (name.clone(), hash.clone(), BASE64_STANDARD.encode(piece));
            let (is_first, is_last) = (place == 0, place + 1 == pieces);
            found = Some(self.link.ask::<PathBuf>(Ask::Put { name, hash, piece, is_first, is_last })?);
        }
        found.ok_or_else(|| format!("{} is empty", path.display()))
    }

    fn start(command: &mut Command) -> Result<Agent, String> {
        let proc = Proc::spawn(command, Lifeline::Stdin, None).map_err(|error| format!("{error:#}"))?;
        Agent::of(Link::to(proc)?)
    }

    pub(super) fn of(link: Link) -> Result<Agent, String> {
        let hello = link.hello().ok_or("the agent has said nothing")?;
        Ok(Agent { link: Arc::new(link), hello: Arc::new(hello) })
    }

    /// What it said of itself and its host.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Why it is gone, if it is.
    pub fn gone(&self) -> Option<String> {
        self.link.gone()
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Starts `processes` processes of `def`, whose program is at `program` on the agent's host if it is a package.
    ///
    /// # Errors
    /// In words, for the row.
    pub fn start_server(
        &self,
        def: &ServerDef,
        program: Option<&Path>,
        processes: usize,
        options: &StartOptions,
    ) -> Result<ServerHandle, String> {
        let server = self.link.number();
        let start = ServerStart {
            def: def.clone(),
            program: program.map(Path::to_path_buf),
            processes,
            options: options.clone(),
        };
        let started = self.link.ask(Ask::StartServer { server, start: Box::new(start) })?;
        Ok(ServerHandle { agent: self.clone(), id: server, started, is_stopped: false })
    }

    /// Asks a server that is already running twice, and takes what stays the same for what is right.
    ///
    /// # Errors
    /// In words: it does not answer, or with an error.
    pub fn probe(
        &self,
        addr: SocketAddr,
        host: &str,
        request: &Request,
        timeout: Duration,
    ) -> Result<Expect, String> {
        let (host, request) = (host.to_owned(), request.clone());
        self.link.ask(Ask::Probe { addr, host, request, timeout })
    }

    /// Measures how long an answer takes that takes the server no time, seen from the agent's host: the median of so
    /// many requests, one after the other.
    ///
    /// # Errors
    /// In words: it does not answer.
    pub fn delay(
        &self,
        addr: SocketAddr,
        request: &Request,
        requests: usize,
        timeout: Duration,
    ) -> Result<Duration, String> {
        self.link.ask(Ask::Delay { addr, request: request.clone(), requests, timeout })
    }

    /// Measures whether equal work takes equal CPU on these servers, each with its name.
    ///
    /// # Errors
    /// In words: a server does not answer.
    pub fn equal_work(&self, servers: &[(&str, &ServerHandle)]) -> Result<EqualWork, String> {
        let servers = servers.iter().map(|(name, server)| ((*name).to_owned(), server.id)).collect();
        self.link.ask(Ask::EqualWork(servers))
    }

    /// Opens windows over servers.
    ///
    /// # Errors
    /// In words: a server is not there, or the meter does not start.
    pub fn watch(&self, spec: WatchSpec) -> Result<WatchHandle, String> {
        let watch = self.link.number();
        let meter = self.link.ask(Ask::Watch { watch, spec: Box::new(spec) })?;
        Ok(WatchHandle { agent: self.clone(), id: watch, meter, is_closed: false })
    }
}

/// A server on an agent's host. Dropping it kills it.
#[derive(Debug)]
pub struct ServerHandle {
    agent: Agent,
    id: Id,
    started: Started,
    is_stopped: bool,
}

impl ServerHandle {
    /// Its name with its agent.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.started.addr
    }

    /// What is known of it since it was started.
    pub fn started(&self) -> &Started {
        &self.started
    }

    /// The processes that it has now.
    ///
    /// # Errors
    /// In words: the agent is gone.
    pub fn pids(&self) -> Result<Vec<i32>, String> {
        self.agent.link.ask(Ask::Pids(self.id))
    }

    /// Checks it against the contract.
    ///
    /// # Errors
    /// In words: it cannot be reached.
    pub fn verify(&self, level: Level) -> Result<Replayed, String> {
        self.agent.link.ask(Ask::Verify { server: self.id, level })
    }

    /// Holds on to it: asks and never reads, and opens so many connections on which nothing is said. Some are open until
    /// it is stopped.
    ///
    /// # Errors
    /// In words: it cannot be reached.
    pub fn hold(&self, connections: usize) -> Result<Replayed, String> {
        self.agent.link.ask(Ask::Hold { server: self.id, connections })
    }

    /// Asks the routes that its manifest declares without a right answer.
    ///
    /// # Errors
    /// In words: a route does not answer, or with an error.
    pub fn probe_declared(&self, timeout: Duration) -> Result<Probed, String> {
        self.agent.link.ask(Ask::ProbeDeclared { server: self.id, timeout })
    }

    /// How it ended, if it was seen to have ended while a client worked; with its agent it ends too.
    pub fn died(&self) -> Option<String> {
        self.agent.link.end_of(self.id).or_else(|| self.agent.gone())
    }

    /// Asks it to drain, and waits for its end. `cut_off` says that requests were in flight whose client has gone:
    /// then nobody waits for their end.
    ///
    /// # Errors
    /// In words, for the row. Whatever it did, afterwards none of its processes is left.
    pub fn stop(mut self, cut_off: bool) -> Result<(), String> {
        self.is_stopped = true;
        self.agent.link.ask(Ask::StopServer { server: self.id, cut_off })
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        if !self.is_stopped {
            self.agent.link.tell(Ask::Forget(self.id));
        }
    }
}

/// Windows over servers on an agent's host.
#[derive(Debug)]
pub struct WatchHandle {
    agent: Agent,
    id: Id,
    meter: Option<SocketAddr>,
    is_closed: bool,
}

impl WatchHandle {
    /// Where the meter listens, if there is one.
    pub fn meter(&self) -> Option<SocketAddr> {
        self.meter
    }

    /// Begins to count, and reads the clocks: all the time of the client is measured.
    pub fn begin(&self) {
        self.agent.link.tell(Ask::Begin(self.id));
    }

    /// Reads the clocks: the client has come to a moment of a measured phase.
    pub fn mark(&self, mark: Mark) {
        self.agent.link.tell(Ask::Mark(self.id, mark));
    }

    /// Closes the windows. `halves` are what the client says of each measured phase, where it marked them itself.
    ///
    /// # Errors
    /// In words: the agent is gone.
    pub fn close(mut self, halves: Option<Vec<[Half; 2]>>) -> Result<Closed, String> {
        self.is_closed = true;
        self.agent.link.ask(Ask::Close { watch: self.id, halves })
    }
}

impl Drop for WatchHandle {
    fn drop(&mut self) {
        if !self.is_closed {
            self.agent.link.tell(Ask::Forget(self.id));
        }
    }
}
