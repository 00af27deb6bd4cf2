//! What the coordinator and a client process say to each other: the second of the two protocols.
//!
//! One JSON message a line. The coordinator writes an [`Order`]; the client sets itself up and says
//! [`Message::Ready`]; the coordinator writes [`GO`] when it has read the server's clocks; the client
//! does its work and says [`Message::Report`]. A client that holds interference says [`Message::Holding`]
//! once all its requests are in flight, and reports when its stdin closes. Closing stdin early makes any
//! client stop issuing requests and report what it has.

use super::Strategy;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// The line that starts the load.
pub const GO: &str = "go";

/// What a client is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Where the server listens.
    pub addr: SocketAddr,
    /// The `host` header.
    pub host: String,
    /// The request's path and query.
    pub target: String,
    /// What a right answer is.
    pub expect: Expect,
    /// How long one request may take, from its connection to its last byte.
    pub timeout: Duration,
    /// What to do.
    pub task: Task,
}

/// The two things a client can be for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Keep this many requests in flight until stdin closes.
    Hold {
        /// How many.
        count: usize,
    },
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
    /// All requests of a [`Task::Hold`] are in flight.
    Holding,
    /// Done.
    Report(Report),
    /// The order cannot be carried out.
    Refused(String),
}

/// What became of an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Every request's fate.
    pub fates: Fates,
    /// Connections that were opened.
    pub connects: u64,
    /// From the first request's start to the last one's end.
    pub elapsed: Duration,
    /// The client's own CPU time in that span.
    pub client_cpu: Duration,
    /// Service times of the requests that were answered rightly, in nanoseconds, as a base64 V2
    /// HdrHistogram with three significant figures.
    pub service_ns: String,
    /// Their mean in nanoseconds, from the samples themselves; absent without any.
    pub service_mean_ns: Option<f64>,
    /// The largest, in nanoseconds, from the samples themselves; absent without any.
    pub service_max_ns: Option<u64>,
    /// The first thing that went wrong, in words.
    pub first_error: Option<String>,
    /// Why the client stopped before its order was done.
    pub gave_up: Option<String>,
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
}

impl Fates {
    /// The sum over all ends, which must be `scheduled`.
    pub fn sum(&self) -> u64 {
        self.ok + self.errors()
    }

    /// The requests that were not answered as expected.
    pub fn errors(&self) -> u64 {
        self.bad_status + self.bad_body + self.err_connect + self.err_read + self.err_write + self.timed_out
    }
}
