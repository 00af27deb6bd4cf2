//! What the coordinator and a client process say to each other: the second of the two protocols.
//!
//! One JSON message a line. The coordinator writes an [`Order`]; the client sets itself up and says
//! [`Message::Ready`]; the coordinator writes [`GO`] when it has read the server's clocks; the client
//! does its work and says [`Message::Report`]. A client of the load engine also says [`Message::Mark`] when
//! its measured time begins, is half over, and ends, so that the server's clocks are read there. A client that holds interference says [`Message::Holding`]
//! once all its requests are in flight, and reports when its stdin closes. Closing stdin early makes any
//! client stop issuing requests and report what it has.

use crate::schedule::Arrival;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// The line that starts the load.
pub const GO: &str = "go";

/// How a client issues its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// One blocking request after the other, a new connection each.
    Sequential,
    /// Blocking requests from a pool of threads, a new connection each.
    ThreadPool,
    /// Async requests under a concurrency limit, on connections that are kept alive.
    Async,
    /// Requests on a schedule that nothing moves, on a pool of kept connections.
    OpenLoop,
    /// Connections that send their next request when the last is answered.
    ClosedLoop,
    /// A new connection for each request, on a schedule or one after the other.
    Churn,
}

impl Strategy {
    /// Every strategy: the article's in its order, then the load engine's.
    pub const ALL: [Strategy; 6] = [
        Strategy::Sequential,
        Strategy::ThreadPool,
        Strategy::Async,
        Strategy::OpenLoop,
        Strategy::ClosedLoop,
        Strategy::Churn,
    ];

    /// Its name on the command line and in result files.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Sequential => "sequential",
            Strategy::ThreadPool => "thread-pool",
            Strategy::Async => "async",
            Strategy::OpenLoop => "open-loop",
            Strategy::ClosedLoop => "closed-loop",
            Strategy::Churn => "churn",
        }
    }

    /// One line for `harness list`.
    pub fn summary(self) -> &'static str {
        match self {
            Strategy::Sequential => "one blocking request after the other, a new connection each",
            Strategy::ThreadPool => {
                "blocking requests from a pool of --concurrency threads, a new connection each"
            }
            Strategy::Async => "async requests under a limit of --concurrency, on kept connections",
            Strategy::OpenLoop => {
                "requests at --rate for --duration, on a schedule that nothing moves; --concurrency kept connections"
            }
            Strategy::ClosedLoop => {
                "--concurrency kept connections for --duration, each sending its next request when answered"
            }
            Strategy::Churn => {
                "a new connection for each request for --duration, at --rate or --concurrency at a time"
            }
        }
    }

    /// Whether it is one of the load engine's, which run for a time and not for a number of requests.
    pub fn is_engine(self) -> bool {
        matches!(self, Strategy::OpenLoop | Strategy::ClosedLoop | Strategy::Churn)
    }

    /// Whether a connection serves more than one request.
    pub fn keeps_alive(self) -> bool {
        matches!(self, Strategy::Async | Strategy::OpenLoop | Strategy::ClosedLoop)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a client is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Where the server listens.
    pub addr: SocketAddr,
    /// The `host` header.
    pub host: String,
    /// The request's path and query.
    pub target: String,
    /// What a right answer is.
    pub expect: Expect,
    /// How long one request may take: from its connection to its last byte, and on an open loop from its
    /// intended start.
    pub timeout: Duration,
    /// What to do.
    pub task: Task,
}

/// What a client can be for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Issue requests and measure them.
    Measure {
        /// How.
        strategy: Strategy,
        /// How many.
        requests: u64,
        /// How many may be under way at once.
        in_flight: usize,
    },
    /// Issue requests for a time with the load engine, and measure them.
    Load(Load),
    /// Keep this many requests in flight until stdin closes.
    Hold {
        /// How many.
        count: usize,
    },
}

/// An order of the load engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// `open-loop`, `closed-loop` or `churn`.
    pub strategy: Strategy,
    /// Connections in the pool; for `churn` the most that are open at once.
    pub connections: usize,
    /// Requests per second; none on a closed loop.
    pub rate: Option<f64>,
    /// How the intended starts are spaced.
    pub arrival: Arrival,
    /// What decides a random schedule.
    pub seed: u64,
    /// Time before the measured time, whose requests are issued and not counted.
    pub warmup: Duration,
    /// The measured time.
    pub duration: Duration,
    /// The system interface to use.
    pub driver: Driver,
    /// The CPUs of its threads, one thread each; a single thread on any CPU where there are none.
    pub cpus: Vec<usize>,
    /// How long before an intended start waiting becomes spinning.
    pub spin: Duration,
    /// A deliberate fault in the measuring, for `harness selftest` to find.
    pub mutation: Option<Mutation>,
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

/// A moment of the measured time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The warm-up is over.
    Begin,
    /// Half of the measured time is over.
    Half,
    /// The measured time is over, and what is in flight is waited for.
    End,
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

/// What a client says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// Set up; waiting for [`GO`].
    Ready,
    /// A moment of a [`Task::Load`] has come.
    Mark(Mark),
    /// All requests of a [`Task::Hold`] are in flight.
    Holding,
    /// Done.
    Report(Box<Report>),
    /// The order cannot be carried out.
    Refused(String),
}

/// What became of an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Every request's fate; of a [`Task::Load`], of the requests that were due in the measured time.
    pub fates: Fates,
    /// Connections that were opened.
    pub connects: u64,
    /// From the first request's start to the last one's end; of a [`Task::Load`], from the beginning of
    /// the measured time to the end of the last request that was due in it.
    pub elapsed: Duration,
    /// The client's own CPU time: in that span; of a [`Task::Load`], in the measured time.
    pub client_cpu: Duration,
    /// Service times of the requests that were answered rightly: from the first byte written to the last
    /// byte read.
    pub service: Latency,
    /// Requests under way, averaged over the time they were counted in; absent where nobody counted.
    pub in_flight_mean: Option<f64>,
    /// The client's peak of resident memory in bytes.
    pub peak_memory: Option<u64>,
    /// What only the load engine has.
    pub engine: Option<EngineReport>,
    /// The first thing that went wrong, in words.
    pub first_error: Option<String>,
    /// Why the client stopped before its order was done.
    pub gave_up: Option<String>,
}

/// One kind of latency, over all requests that have it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The samples in nanoseconds, as a base64 V2 HdrHistogram with three significant figures.
    pub histogram: String,
    /// Their mean in nanoseconds, from the samples themselves; absent without any.
    pub mean_ns: Option<f64>,
    /// The largest, in nanoseconds, from the samples themselves; absent without any.
    pub max_ns: Option<u64>,
    /// Samples beyond what the histogram can hold. They are in the mean and the largest.
    pub out_of_range: u64,
}

/// What the load engine reports besides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineReport {
    /// The system interface that was used: `io_uring` or `epoll`.
    pub driver: String,
    /// The halves of the measured time.
    pub halves: [Half; 2],
    /// The part of [`Report::client_cpu`] that went into spinning until the next intended start.
    pub spin: Duration,
    /// From the intended start to the last byte read; only with a schedule.
    pub response: Option<Latency>,
    /// From the intended start until the client took the request up; only with a schedule.
    pub lateness: Option<Latency>,
    /// From there until its first byte was written: no connection was free, or a new one was opened.
    pub conn_wait: Option<Latency>,
    /// The same samples second by second, by when they were due.
    pub seconds: Vec<SecondLog>,
}

/// A half of the measured time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Half {
    /// Its length in seconds.
    pub seconds: f64,
    /// Requests that were due in it.
    pub due: u64,
    /// Requests that were answered rightly in it, whenever they were due.
    pub completed: u64,
    /// The client's CPU time in it.
    pub client_cpu: Duration,
}

/// The samples of one kind that were due in one second of the measured time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SecondLog {
    /// `service`, `response`, `lateness` or `conn_wait`.
    pub kind: String,
    /// Which second, from 0.
    pub second: u64,
    /// The samples in nanoseconds, as a base64 V2 HdrHistogram with three significant figures.
    pub histogram: String,
}

/// How many requests came to which end. Every request comes to one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fates {
    /// Requests that were begun.
    pub scheduled: u64,
    /// Answered as expected.
    pub ok: u64,
    /// Answered with another status.
    pub bad_status: u64,
    /// Answered with the right status and another body.
    pub bad_body: u64,
    /// No connection.
    pub err_connect: u64,
    /// The answer could not be read or was no HTTP.
    pub err_read: u64,
    /// The request could not be written.
    pub err_write: u64,
    /// No whole answer in time.
    pub timed_out: u64,
    /// Never sent: no connection was free before its time was over.
    pub shed: u64,
    /// Still under way when the client was told to stop.
    pub in_flight_at_end: u64,
}

impl Fates {
    /// The sum over all ends, which must be `scheduled`.
    pub fn sum(&self) -> u64 {
        self.ok + self.failed()
    }

    /// The requests that were not answered as expected.
    pub fn failed(&self) -> u64 {
        let wrong = self.bad_status + self.bad_body;
        let broken = self.err_connect + self.err_read + self.err_write;
        wrong + broken + self.censored() + self.in_flight_at_end
    }

    /// The requests whose latency is only known to be longer than the timeout.
    pub fn censored(&self) -> u64 {
        self.timed_out + self.shed
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: Fates) {
        self.scheduled += other.scheduled;
        self.ok += other.ok;
        self.bad_status += other.bad_status;
        self.bad_body += other.bad_body;
        self.err_connect += other.err_connect;
        self.err_read += other.err_read;
        self.err_write += other.err_write;
        self.timed_out += other.timed_out;
        self.shed += other.shed;
        self.in_flight_at_end += other.in_flight_at_end;
    }
}
