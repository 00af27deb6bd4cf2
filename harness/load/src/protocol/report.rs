//! What became of an order.

use super::turns::TurnsReport;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use strum::{IntoStaticStr, VariantArray};

/// What became of an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What became of each measured phase, in their order. Exactly one for a load that has no phases.
    pub parts: Vec<PartReport>,
    /// The client's peak of resident memory in bytes.
    pub peak_memory: Option<u64>,
    /// The first thing that went wrong, in words.
    pub first_error: Option<String>,
    /// Why the client stopped before its order was done.
    pub gave_up: Option<String>,
    /// What servers that take turns have besides: `parts` are then those of one server after the other.
    pub turns: Option<TurnsReport>,
}

/// What became of a measured phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PartReport {
    /// The fate of each request that was due in it.
    pub fates: Fates,
    /// Connections that were opened.
    pub connects: u64,
    /// From the first request's start to the last one's end; of the load engine, from the beginning of the
    /// phase to the end of the last request that was due in it.
    pub elapsed: Duration,
    /// The client's own CPU time: in that span; of the load engine, in the phase.
    pub client_cpu: Duration,
    /// Service times of the requests that were answered rightly: from the first byte written to the last
    /// byte read.
    pub service: Latency,
    /// Requests under way, averaged over the time they were counted in; absent where nobody counted.
    pub in_flight_mean: Option<f64>,
    /// What only the load engine has.
    pub engine: Option<EngineReport>,
}

impl PartReport {
    /// The latencies of each kind there is.
    pub fn latencies(&self) -> impl Iterator<Item = (LatencyKind, &Latency)> {
        let engine = self.engine.as_ref();
        LatencyKind::VARIANTS.iter().filter_map(move |&kind| {
            let latency = match kind {
                LatencyKind::Service => Some(&self.service),
                LatencyKind::Response => engine.and_then(|engine| engine.response.as_ref()),
                LatencyKind::Lateness => engine.and_then(|engine| engine.lateness.as_ref()),
                LatencyKind::ConnWait => engine.and_then(|engine| engine.conn_wait.as_ref()),
            };
            Some((kind, latency?))
        })
    }
}

/// A kind of latency. Without a schedule there is only the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LatencyKind {
    /// From the first byte written to the last byte read.
    Service,
    /// From the intended start to the last byte read.
    Response,
    /// From the intended start until the client took the request up.
    Lateness,
    /// From there until its first byte was written.
    ConnWait,
}

impl LatencyKind {
    /// Its name in result files.
    pub fn name(self) -> &'static str {
        self.into()
    }
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
    /// The part of [`PartReport::client_cpu`] that went into spinning until the next intended start.
    pub spin: Duration,
    /// From the intended start to the last byte read; only with a schedule.
    pub response: Option<Latency>,
    /// From the intended start until the client took the request up; only with a schedule.
    pub lateness: Option<Latency>,
    /// From there until its first byte was written: no connection was free, or a new one was opened.
    pub conn_wait: Option<Latency>,
    /// The samples of each kind there is, interval by interval. Intervals without samples are left out.
    pub intervals: Vec<IntervalLog>,
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
    /// Of those the ones that were answered when no more were due: of a load in pieces, each of which ends with nothing
    /// in flight.
    pub late: u64,
    /// The client's CPU time in it.
    pub client_cpu: Duration,
    /// Requests that were due in it and answered rightly.
    pub answered: u64,
    /// The mean latency in nanoseconds of those: with a schedule the
    /// response time, without one the service time. 0 where there is none.
    pub latency_mean_ns: f64,
}

/// The samples of one kind that were due in one interval of the phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntervalLog {
    /// Which kind.
    pub kind: LatencyKind,
    /// When the interval begins, from the beginning of the phase.
    pub start: Duration,
    /// How long it is: a second, or more in a long load, so that there are not too many of them.
    pub length: Duration,
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
    /// The sum over all ends, which must be `scheduled`. What a process says need not make sense: like the other
    /// sums it ends at the largest number.
    pub fn sum(&self) -> u64 {
        self.ok.saturating_add(self.failed())
    }

    /// The requests that were not answered as expected.
    pub fn failed(&self) -> u64 {
        let wrong = [self.bad_status, self.bad_body];
        let broken = [self.err_connect, self.err_read, self.err_write];
        let others = [self.timed_out, self.shed, self.in_flight_at_end];
        wrong.into_iter().chain(broken).chain(others).fold(0, u64::saturating_add)
    }

    /// The requests whose latency is only known to be longer than the timeout.
    pub fn censored(&self) -> u64 {
        self.timed_out.saturating_add(self.shed)
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
