//! What the coordinator and an agent say to each other: one JSON message a line, on the agent's stdin and stdout.
//!
//! The agent says [`Said::Hello`] first. After that it does one thing after the other, in the order in which it was
//! asked, and answers what has a number. What its clients and servers do is said when it happens.

use super::attest::Seen;
use super::server::StartOptions;
use super::window::Used;
use crate::experiment::server::ServerDef;
use crate::host::cpus::Cpus;
use crate::host::machine::Machine;
use crate::verify::Level;
use contract::ready::ReadyLine;
use load::protocol::{Expect, Half, Mark, Message, Orders, Request};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The version of these messages: a coordinator and an agent of different versions do not work together.
pub const VERSION: u32 = 1;

/// The name of a server, a client or a watch, chosen by the coordinator and never used again.
pub type Id = u64;

/// A line from the coordinator.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    /// The number of the answer; none where nobody waits for one.
    pub answer: Option<u64>,
    /// What is to be done.
    pub ask: Ask,
}

/// What an agent is asked to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Say where a program is on the agent's host. Answer: its path, or nothing.
    Find {
        /// The package's name.
        name: String,
        /// The SHA-256 of the program.
        hash: String,
        /// Where it is on the coordinator's host.
        path: PathBuf,
    },
    /// Take a piece of a program into the cache. Answer: its path, once it is whole.
    Put {
        /// The package's name.
        name: String,
        /// The SHA-256 of the whole program.
        hash: String,
        /// The piece, in base64.
        piece: String,
        /// Whether it is the first one.
        is_first: bool,
        /// Whether it is the last one.
        is_last: bool,
    },
    /// Start a server. Answer: [`Started`].
    StartServer {
        /// Its name from now on.
        server: Id,
        /// What to start.
        start: Box<ServerStart>,
    },
    /// Say which processes a server has now. Answer: their ids.
    Pids(Id),
    /// Check a server against the contract. Answer: [`Replayed`](crate::verify::Replayed).
    Verify {
        /// The server.
        server: Id,
        /// How much is checked.
        level: Level,
    },
    /// Hold on to a server without asking it, and without reading; some connections stay open until it is stopped.
    /// Answer: [`Replayed`](crate::verify::Replayed).
    Hold {
        /// The server.
        server: Id,
        /// How many connections are opened on which nothing is said.
        connections: usize,
    },
    /// Ask the routes whose right answers nobody has written down. Answer: the right answers, by route.
    ProbeDeclared {
        /// The server.
        server: Id,
        /// How long a request may take.
        timeout: Duration,
    },
    /// Ask a server that is already running what it answers. Answer: an [`Expect`].
    Probe {
        /// Where it listens.
        addr: SocketAddr,
        /// The `host` header.
        host: String,
        /// What to ask.
        request: Request,
        /// How long a request may take.
        timeout: Duration,
    },
    /// Measure how long answers take that take the server no time. Answer: a duration, the median.
    Delay {
        /// Where it listens.
        addr: SocketAddr,
        /// What to ask.
        request: Request,
        /// How often.
        requests: usize,
        /// How long a request may take.
        timeout: Duration,
    },
    /// Measure whether equal work takes equal CPU on these servers, each with its name. Answer: an `EqualWork`.
    EqualWork(Vec<(String, Id)>),
    /// Let a server drain and end. Answer: nothing.
    StopServer {
        /// The server.
        server: Id,
        /// Whether its requests were cut off in the middle.
        cut_off: bool,
    },
    /// Start a client. Answer: nothing.
    StartClient {
        /// Its name from now on.
        client: Id,
        /// What it is to do.
        orders: Box<Orders>,
        /// The CPUs that it may run on.
        cpus: Cpus,
    },
    /// Let a client begin.
    Go(Id),
    /// Tell a client to begin no more requests.
    StopClient(Id),
    /// Let a client end that has reported. Answer: nothing, when it has ended.
    EndClient(Id),
    /// Open windows over servers. Answer: where the meter listens, if there is one.
    Watch {
        /// Its name from now on.
        watch: Id,
        /// What is looked at.
        spec: Box<WatchSpec>,
    },
    /// Begin to count, and read the clocks: the client does not mark its measured time.
    Begin(Id),
    /// Read the clocks: the client has come to a moment of a measured phase.
    Mark(Id, Mark),
    /// Close the windows. Answer: [`Closed`].
    Close {
        /// The watch.
        watch: Id,
        /// What the client says of each measured phase, where it marked them itself.
        halves: Option<Vec<[Half; 2]>>,
    },
    /// End a server or a client at once, or give up a watch. No error if it is gone.
    Forget(Id),
}

/// A server to start.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerStart {
    /// The server.
    pub def: ServerDef,
    /// Its program on the agent's host, for a package.
    pub program: Option<PathBuf>,
    /// How many processes.
    pub processes: usize,
    /// What it is started with.
    pub options: StartOptions,
}

/// A server that has been started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What its first process said of itself.
    pub ready: Option<ReadyLine>,
    /// Threads that run tasks, in all its processes.
    pub worker_threads: Option<usize>,
    /// Threads that may block at a time, in all its processes.
    pub blocking_threads: Option<usize>,
}

/// The right answers of routes, by their names.
pub type Probed = BTreeMap<String, Expect>;

/// What a watch looks at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WatchSpec {
    /// The servers; `None` for one that is not ours.
    pub servers: Vec<Option<Id>>,
    /// The clients whose CPU time is ours and in no report of the measured one.
    pub helpers: Vec<Id>,
    /// The CPUs that servers and clients may use; empty for all of the host.
    pub cpus: Cpus,
    /// The lengths of the measured phases; `None` for one whose length nobody knows beforehand.
    pub phases: Vec<Option<Duration>>,
    /// Whether threads and processes are looked for while it lasts.
    pub looks: bool,
    /// The meter that the client asks for the servers' CPU time, where it does.
    pub meter: Option<MeterSpec>,
}

/// A meter: where it listens, and on which CPUs it answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MeterSpec {
    /// The address; the port is a free one.
    pub ip: IpAddr,
    /// The CPUs; empty for any.
    pub cpus: Cpus,
}

/// What a watch saw of one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Watched {
    /// What was used in each phase, or why that is not known.
    pub used: Vec<Result<Used, String>>,
    /// What was seen of its processes.
    pub seen: Seen,
    /// Whether it has other processes than its meter knows: then the CPU time of its slices is not known.
    pub missed: bool,
}

/// What a watch saw: of each server.
pub type Closed = Vec<Watched>;

/// A line from an agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// It is there.
    Hello(Box<Hello>),
    /// The answer of this number.
    Answer(u64, Result<serde_json::Value, String>),
    /// A client has said something.
    Client {
        /// The client.
        client: Id,
        /// What.
        message: Box<Message>,
        /// What was seen of its threads, with its report.
        seen: Option<Seen>,
    },
    /// A client has ended without a report: how, in words.
    ClientEnded(Id, String),
    /// Nothing: the agent is still there.
    Alive,
    /// A server has ended by itself: how, in words.
    ServerEnded(Id, String),
}

/// What an agent says of itself and its host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of its messages.
    pub version: u32,
    /// The contract's hash.
    pub contract: String,
    /// Its process id.
    pub pid: u32,
    /// The machine.
    pub machine: Machine,
    /// The CPUs that it may run on, each with its core.
    pub cores: Vec<(usize, usize)>,
    /// How many files a process may have open.
    pub open_files: u64,
}
