//! What has been counted of one measured phase.

use super::job::{Intervals, Job, Span};
use super::request::Request;
use crate::fate::Fate;
use crate::histogram::Samples;
use crate::protocol::{EngineReport, Fates, Half, IntervalLog, LatencyKind, Mutation, PartReport};
use std::time::Duration;
use strum::VariantArray as _;

/// The record of one measured phase.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) span: Span,
    /// When no more requests become due.
    pub(super) due_until: u64,
    fates: Fates,
    pub(super) connects: u64,
    halves: [Half; 2],
    /// Of the right answers that were due in each half: how many, and the sum of their latencies in ns.
    latencies: [(u64, f64); 2],
    /// The samples of each kind there is, in the order of [`LatencyKind::ALL`].
    samples: Vec<Samples>,
    intervals: Intervals,
    /// When the last request that was due in the phase ended.
    last_end: u64,
    /// Time spent spinning.
    spin: u64,
    /// Requests under way × ns.
    in_flight_ns: f64,
    mutation: Option<Mutation>,
}

impl Part {
    pub(super) fn new(span: Span, job: &Job) -> Part {
        let kinds = if job.arrivals.rate().is_some() { LatencyKind::VARIANTS.len() } else { 1 };
        let intervals = job.intervals.count(span);
        // Where there is no end there are no halves.
        let ns = if job.has_open_end() { 0 } else { span.length() };
        let half = Half { seconds: ns as f64 / 2e9, ..Half::default() };
        Part {
            span,
            due_until: job.end,
            fates: Fates::default(),
            connects: 0,
            halves: [half; 2],
            latencies: [(0, 0.0); 2],
            samples: std::iter::repeat_with(|| Samples::new(intervals)).take(kinds).collect(),
            intervals: job.intervals,
            last_end: span.begin,
            spin: 0,
            in_flight_ns: 0.0,
            mutation: job.mutation,
        }
    }

    fn half(&mut self, at: u64) -> &mut Half {
        &mut self.halves[self.half_no(at)]
    }

    fn half_no(&self, at: u64) -> usize {
        usize::from(at >= self.span.half())
    }

    /// A request that was due at `due`, within the phase, is taken up.
    pub(super) fn began(&mut self, due: u64) {
        self.fates.scheduled += 1;
        self.half(due).due += 1;
    }

    /// A request has been answered at `now`, within the phase, whenever it was due.
    pub(super) fn completed(&mut self, now: u64) {
        let is_late = now >= self.due_until;
        let half = self.half(now);
        half.completed += 1;
        half.late += u64::from(is_late);
    }

    /// A request that was due within the phase ends, whenever that is.
    pub(super) fn ended(&mut self, request: &Request, fate: &Fate, now: u64) {
        self.last_end = self.last_end.max(now);
        *fate.counter(&mut self.fates) += 1;
        if *fate == Fate::Ok {
            self.sample(request, now);
        }
    }

    fn sample(&mut self, request: &Request, now: u64) {
        /// Which of the values is the response time.
        const RESPONSE: usize = 1;
        let interval = self.intervals.index(request.due - self.span.begin);
        let service = now - request.sent;
        let mut values =
            [service, now - request.due, request.taken - request.due, request.sent - request.taken];
        match self.mutation {
            Some(Mutation::OmitWaiting) => values[RESPONSE] = service,
            Some(Mutation::WrongUnit) => values = values.map(|ns| ns / 1000),
            Some(Mutation::WholeMilliseconds) => {
                values = values.map(|ns| ns.div_ceil(1_000_000) * 1_000_000);
            }
            _ => {}
        }
        let (count, sum) = &mut self.latencies[self.half_no(request.due)];
        *count += 1;
        // Without a schedule there is the service time alone.
        *sum += values[RESPONSE.min(self.samples.len() - 1)] as f64;
        for (samples, ns) in self.samples.iter_mut().zip(values) {
            samples.record(interval, ns);
        }
    }

    /// So many requests were under way from `from` to `to`, part of which may be within the phase.
    pub(super) fn under_way(&mut self, requests: u64, from: u64, to: u64) {
        self.in_flight_ns += requests as f64 * self.span.overlap(from, to) as f64;
    }

    /// Time that went into spinning, part of which may be within the phase.
    pub(super) fn spun(&mut self, from: u64, to: u64) {
        self.spin += self.span.overlap(from, to);
    }

    /// Forgets the requests that have no fate: a deliberate fault.
    pub(super) fn forget(&mut self) {
        self.fates.scheduled = self.fates.sum();
    }

    /// Adds another worker's.
    ///
    /// # Errors
    /// Histograms that do not fit together: both are of the same phase, so they do.
    pub(super) fn add(&mut self, other: &Part) -> Result<(), String> {
        self.fates.add(other.fates);
        self.connects += other.connects;
        for (mine, its) in self.halves.iter_mut().zip(other.halves) {
            mine.due += its.due;
            mine.completed += its.completed;
            mine.late += its.late;
        }
        for (mine, its) in self.latencies.iter_mut().zip(other.latencies) {
            *mine = (mine.0 + its.0, mine.1 + its.1);
        }
        self.last_end = self.last_end.max(other.last_end);
        self.span.end = self.span.end.max(other.span.end);
        self.spin += other.spin;
        self.in_flight_ns += other.in_flight_ns;
        self.samples.iter_mut().zip(&other.samples).try_for_each(|(mine, its)| mine.add(its))
    }

    /// Adds a piece of the same load that came after it.
    ///
    /// # Errors
    /// Histograms that do not fit together: both are of the same load, so they do.
    pub(super) fn append(&mut self, later: &Part) -> Result<(), String> {
        let (end, last_end) = (self.span.end, self.last_end);
        self.add(later)?;
        self.span.end = end + later.span.length();
        self.last_end = last_end + later.last_end;
        Ok(())
    }

    /// Where the requests have gone so far.
    pub(super) fn fates(&self) -> &Fates {
        &self.fates
    }

    /// Right answers that came when no more requests were due.
    pub(super) fn late(&self) -> u64 {
        self.halves.iter().map(|half| half.late).sum()
    }

    /// The report. `cpu` is the client's CPU time at the beginning, half and end of the phase, as far as
    /// it came to that.
    ///
    /// # Errors
    /// A histogram cannot be encoded; none of times is like that.
    pub(super) fn report(&self, driver: &str, cpu: &[Duration]) -> Result<PartReport, String> {
        let used = |from: usize, to: usize| match (cpu.get(from), cpu.get(to)) {
            (Some(from), Some(to)) => to.saturating_sub(*from),
            _ => Duration::ZERO,
        };
        let half = |no: usize| {
            let (count, sum) = self.latencies[no];
            let latency_mean_ns = if count > 0 { sum / count as f64 } else { 0.0 };
            Half { client_cpu: used(no, no + 1), answered: count, latency_mean_ns, ..self.halves[no] }
        };
        let latencies = self.samples.iter().map(Samples::report).collect::<Result<Vec<_>, _>>()?;
        let mut latencies = latencies.into_iter();
        Ok(PartReport {
            fates: self.fates,
            connects: self.connects,
            elapsed: Duration::from_nanos(self.last_end - self.span.begin),
            client_cpu: used(0, 2),
            service: latencies.next().unwrap_or_default(),
            in_flight_mean: Some(self.in_flight_ns / self.span.length() as f64),
            engine: Some(EngineReport {
                driver: driver.to_owned(),
                halves: [half(0), half(1)],
                spin: Duration::from_nanos(self.spin),
                response: latencies.next(),
                lateness: latencies.next(),
                conn_wait: latencies.next(),
                intervals: self.log()?,
            }),
        })
    }

    /// The log of every interval.
    fn log(&self) -> Result<Vec<IntervalLog>, String> {
        let mut log = Vec::new();
        for (&kind, samples) in LatencyKind::VARIANTS.iter().zip(&self.samples) {
            for interval in samples.intervals() {
                let (index, histogram) = interval?;
                let start = index as u64 * self.intervals.length();
                let length = self.intervals.length().min(self.span.length().saturating_sub(start));
                let (start, length) = (Duration::from_nanos(start), Duration::from_nanos(length));
                log.push(IntervalLog { kind, start, length, histogram });
            }
        }
        Ok(log)
    }
}
