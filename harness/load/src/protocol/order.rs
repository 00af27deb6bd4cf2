//! What a client is to do.

use crate::schedule::Arrival;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// What a client is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Where the server listens.
    pub addr: SocketAddr,
    /// The `host` header.
    pub host: String,
    /// The request, which is always the same.
    pub request: Request,
    /// What a right answer is.
    pub expect: Expect,
    /// How long one request may take: from its connection to its last byte, and on an open loop from its
    /// intended start.
    pub timeout: Duration,
    /// When requests are sent, and on which connections.
    pub load: Load,
    /// What decides a random schedule.
    pub seed: u64,
    /// The client's share of the schedule.
    pub share: Share,
    /// The system interface to use; the load engine's only.
    pub driver: Driver,
    /// The CPUs of the load engine's threads, one thread each; a single thread on any CPU where there are
    /// none.
    pub cpus: Vec<usize>,
    /// How long before an intended start the load engine spins instead of waiting.
    pub spin: Duration,
    /// A deliberate fault in the load engine's measuring, for `harness selftest` to find.
    pub mutation: Option<Mutation>,
}

/// A client's share of a schedule that several clients have together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which client, from 0.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

impl Default for Share {
    /// All of it.
    fn default() -> Share {
        Share { index: 0, of: 1 }
    }
}

/// An HTTP request, apart from its `host` header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names and values of further headers. Those that frame the message (`host`, `connection`,
    /// `content-length`) are added where they are not among these.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: String,
}

impl Request {
    /// A GET request without further headers.
    pub fn get(target: impl Into<String>) -> Request {
        Request { method: "GET".into(), target: target.into(), headers: Vec::new(), body: String::new() }
    }
}

/// One load, as a client process carries it out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Who issues the requests.
    pub client: Client,
    /// When.
    pub arrivals: Arrivals,
    /// On which connections.
    pub connections: Connections,
    /// How many, or for how long.
    pub amount: Amount,
}

/// Who issues the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    /// Threads that block; a new connection for each request, a number of requests.
    Blocking,
    /// Tasks on tokio with hyper's client; kept connections, a number of requests.
    Hyper,
    /// The load engine; for a time, or until it is stopped.
    Engine,
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// On a schedule that nothing moves.
    Open {
        /// Requests per second, where the phase does not scale it.
        rate: f64,
        /// How the intended starts are spaced.
        process: Arrival,
    },
    /// When an earlier one has been answered.
    Closed {
        /// How many are in flight at any time.
        in_flight: usize,
    },
}

impl Arrivals {
    /// Requests per second; `None` on a closed loop.
    pub fn rate(self) -> Option<f64> {
        match self {
            Arrivals::Open { rate, .. } => Some(rate),
            Arrivals::Closed { .. } => None,
        }
    }
}

/// Which connections carry the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connections {
    /// A pool of so many connections that are kept open.
    Kept(usize),
    /// A new connection for each request, of which so many are open at once at the most.
    OnePerRequest(usize),
}

impl Connections {
    /// The most connections that are open at once.
    pub fn most(self) -> usize {
        match self {
            Connections::Kept(most) | Connections::OnePerRequest(most) => most,
        }
    }

    /// Whether a connection carries more than one request.
    pub fn are_kept(self) -> bool {
        matches!(self, Connections::Kept(_))
    }
}

/// How much load there is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// So many requests.
    Requests(u64),
    /// These phases, one after the other.
    Time(Vec<PhaseTime>),
    /// As much as there is time for until stdin closes: a load in the background.
    UntilStopped,
}

/// One phase of a load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// How long it is.
    pub duration: Duration,
    /// What the rate is multiplied by; without effect on a closed loop.
    pub scale: f64,
    /// Whether its requests are counted. Those of a warm-up are not.
    pub measured: bool,
}

/// How the load engine talks to the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// io_uring where the kernel allows it, epoll where not.
    #[default]
    Auto,
    /// io_uring, or an error.
    #[value(name = "io_uring")]
    IoUring,
    /// epoll.
    Epoll,
}

/// Ways in which a measuring client can be wrong, each seen in a published tool. A client that has one of
/// them must fail `harness selftest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mutation {
    /// Its clock runs a tenth too slow.
    SlowClock,
    /// Requests in flight at the end are forgotten instead of drained.
    DropInFlight,
    /// Histograms take microseconds for nanoseconds.
    WrongUnit,
    /// Latencies are rounded up to whole milliseconds.
    WholeMilliseconds,
    /// A response is timed from when it was sent, not from when it was due.
    OmitWaiting,
    /// A wrong status counts as an answer.
    AnyStatus,
}

/// What a right answer looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: ExpectBody,
}

/// What is known of a right body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectBody {
    /// These bytes, which are text.
    Exact(String),
    /// So many bytes.
    Length(usize),
    /// Nothing: any body is right.
    Any,
}

impl ExpectBody {
    /// Whether `body` is right.
    pub fn accepts(&self, body: &[u8]) -> bool {
        match self {
            ExpectBody::Exact(text) => body == text.as_bytes(),
            ExpectBody::Length(length) => body.len() == *length,
            ExpectBody::Any => true,
        }
    }
}

impl Load {
    /// How many requests can be under way at once.
    pub fn in_flight(&self) -> usize {
        let limit = match (&self.arrivals, &self.connections) {
            (Arrivals::Closed { in_flight }, _) => *in_flight,
            (Arrivals::Open { .. }, Connections::Kept(n) | Connections::OnePerRequest(n)) => *n,
        };
        match self.amount {
            Amount::Requests(requests) => limit.min(usize::try_from(requests).unwrap_or(usize::MAX)),
            Amount::Time(_) | Amount::UntilStopped => limit,
        }
    }
}
