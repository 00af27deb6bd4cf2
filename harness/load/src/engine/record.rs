//! What one worker has counted: fates, latencies second by second, and how many requests were under way.

use super::job::Job;
use crate::histogram;
use crate::protocol::{Fates, Half, Latency, Mutation, SecondLog};
use hdrhistogram::Histogram;

/// The longest latency a histogram holds: an hour. A longer one is counted as out of range.
const LONGEST_NS: u64 = 3600 * 1_000_000_000;

/// A request from when it was due to its end. Times are the [`super::clock::Clock`]'s, in ns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Request {
    /// Its intended start.
    pub(super) due: u64,
    /// When the client took it up.
    pub(super) taken: u64,
    /// When its first byte was written.
    pub(super) sent: u64,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Ok,
    BadStatus(u16),
    BadBody,
    ErrConnect(String),
    ErrRead(String),
    ErrWrite(String),
    TimedOut,
    Shed,
    InFlight,
}

/// One kind of latency.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    seconds: Vec<Histogram<u32>>,
    sum: f64,
    count: u64,
    max: u64,
    out_of_range: u64,
}

impl Kind {
    fn new(name: &'static str, seconds: usize) -> Kind {
        let empty = || Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("valid bounds");
        let seconds = std::iter::repeat_with(empty).take(seconds).collect();
        Kind { name, seconds, sum: 0.0, count: 0, max: 0, out_of_range: 0 }
    }

    fn record(&mut self, second: usize, ns: u64) {
        self.sum += ns as f64;
        self.count += 1;
        self.max = self.max.max(ns);
        if self.seconds[second].record(ns).is_err() {
            self.out_of_range += 1;
        }
    }

    fn add(&mut self, other: &Kind) -> Result<(), String> {
        for (mine, its) in self.seconds.iter_mut().zip(&other.seconds) {
            mine.add(its).map_err(|error| error.to_string())?;
        }
        self.sum += other.sum;
        self.count += other.count;
        self.max = self.max.max(other.max);
        self.out_of_range += other.out_of_range;
        Ok(())
    }

    fn report(&self, log: &mut Vec<SecondLog>) -> Result<Latency, String> {
        let mut all = Histogram::<u64>::new(3).map_err(|error| error.to_string())?;
        for (second, of_second) in self.seconds.iter().enumerate().filter(|(_, h)| !h.is_empty()) {
            let mut wide = Histogram::<u64>::new(3).map_err(|error| error.to_string())?;
            for bucket in of_second.iter_recorded() {
                let count = bucket.count_at_value().into();
                wide.record_n(bucket.value_iterated_to(), count).map_err(|error| error.to_string())?;
            }
            all.add(&wide).map_err(|error| error.to_string())?;
            let (kind, second) = (self.name.to_owned(), second as u64);
            log.push(SecondLog { kind, second, histogram: histogram::to_text(&wide)? });
        }
        Ok(Latency {
            histogram: histogram::to_text(&all)?,
            mean_ns: (self.count > 0).then(|| self.sum / self.count as f64),
            max_ns: (self.count > 0).then_some(self.max),
            out_of_range: self.out_of_range,
        })
    }
}

/// The kinds, in the order they are kept: the first on a closed loop, and all with a schedule.
const KINDS: [&str; 4] = ["service", "response", "lateness", "conn_wait"];
/// Which of them is the response time.
const RESPONSE: usize = 1;

/// The latencies as they are reported.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    pub(super) service: Latency,
    pub(super) response: Option<Latency>,
    pub(super) lateness: Option<Latency>,
    pub(super) conn_wait: Option<Latency>,
    /// The log of every second.
    pub(super) seconds: Vec<SecondLog>,
}

/// The record of one worker, or of all.
#[derive(Debug)]
pub(super) struct Record {
    /// The measured time.
    begin: u64,
    end: u64,
    kinds: Vec<Kind>,
    pub(super) fates: Fates,
    pub(super) connects: u64,
    pub(super) halves: [Half; 2],
    pub(super) first_error: Option<String>,
    /// When the last counted request ended.
    pub(super) last_end: u64,
    /// Time spent spinning within the measured time.
    pub(super) spin: u64,
    in_flight: u64,
    in_flight_since: u64,
    in_flight_ns: f64,
    mutation: Option<Mutation>,
    background: bool,
}

impl Record {
    pub(super) fn new(job: &Job) -> Record {
        let Job { begin, end, background, mutation, .. } = *job;
        // Nobody asks for the halves and the seconds of a load in the background.
        let ns = if background { 0 } else { end - begin };
        let seconds = ns.div_ceil(1_000_000_000).max(1) as usize;
        let names = if job.arrivals.rate().is_some() { &KINDS[..] } else { &KINDS[..1] };
        let half = Half { seconds: ns as f64 / 2e9, ..Half::default() };
        Record {
            begin,
            end,
            kinds: names.iter().map(|name| Kind::new(name, seconds)).collect(),
            fates: Fates::default(),
            connects: 0,
            halves: [half; 2],
            first_error: None,
            last_end: begin,
            spin: 0,
            in_flight: 0,
            in_flight_since: 0,
            in_flight_ns: 0.0,
            mutation,
            background,
        }
    }

    /// Whether a request that was due then is counted.
    fn counts(&self, due: u64) -> bool {
        (self.begin..self.end).contains(&due)
    }

    fn half(&self, at: u64) -> usize {
        usize::from(at >= self.begin + (self.end - self.begin) / 2)
    }

    /// A request is taken up.
    pub(super) fn began(&mut self, due: u64, now: u64) {
        self.under_way(1, now);
        if self.counts(due) {
            self.fates.scheduled += 1;
            let half = self.half(due);
            self.halves[half].due += 1;
        }
    }

    /// A request ends.
    pub(super) fn ended(&mut self, request: &Request, fate: &Fate, now: u64) {
        self.under_way(-1, now);
        let fate = match (fate, self.mutation) {
            (Fate::BadStatus(_), Some(Mutation::AnyStatus)) => &Fate::Ok,
            _ => fate,
        };
        if *fate == Fate::Ok && self.counts(now) {
            let half = self.half(now);
            self.halves[half].completed += 1;
        }
        if !self.counts(request.due) {
            return;
        }
        self.last_end = self.last_end.max(now);
        let fates = &mut self.fates;
        *match fate {
            Fate::Ok => &mut fates.ok,
            Fate::BadStatus(_) => &mut fates.bad_status,
            Fate::BadBody => &mut fates.bad_body,
            Fate::ErrConnect(_) => &mut fates.err_connect,
            Fate::ErrRead(_) => &mut fates.err_read,
            Fate::ErrWrite(_) => &mut fates.err_write,
            Fate::TimedOut => &mut fates.timed_out,
            Fate::Shed => &mut fates.shed,
            Fate::InFlight => &mut fates.in_flight_at_end,
        } += 1;
        if *fate == Fate::Ok {
            self.latencies(request, now);
        } else if self.first_error.is_none() && !(self.background && *fate == Fate::InFlight) {
            self.first_error = Some(describe(fate));
        }
    }

    fn latencies(&mut self, request: &Request, now: u64) {
        let second = ((request.due - self.begin) / 1_000_000_000) as usize;
        let second = if self.background { 0 } else { second };
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
        for (kind, ns) in self.kinds.iter_mut().zip(values) {
            kind.record(second, ns);
        }
    }

    /// Counts how many requests are under way, and for how long.
    fn under_way(&mut self, change: i64, now: u64) {
        self.count_until(now);
        self.in_flight = self.in_flight.saturating_add_signed(change);
    }

    /// Adds the time until now to the sum that the mean is made of.
    pub(super) fn count_until(&mut self, now: u64) {
        let from = self.in_flight_since.clamp(self.begin, self.end);
        let to = now.clamp(self.begin, self.end);
        self.in_flight_ns += self.in_flight as f64 * to.saturating_sub(from) as f64;
        self.in_flight_since = now;
    }

    /// Time that went into spinning.
    pub(super) fn spun(&mut self, from: u64, to: u64) {
        let (from, to) = (from.clamp(self.begin, self.end), to.clamp(self.begin, self.end));
        self.spin += to - from;
    }

    /// How many requests were under way, averaged over the measured time.
    pub(super) fn in_flight_mean(&self) -> f64 {
        let ns = if self.background { self.last_end } else { self.end - self.begin };
        self.in_flight_ns / ns.max(1) as f64
    }

    /// Adds another worker's.
    ///
    /// # Errors
    /// Histograms that do not fit together: both are of the same load, so they do.
    pub(super) fn add(&mut self, other: Record) -> Result<(), String> {
        for (mine, its) in self.kinds.iter_mut().zip(&other.kinds) {
            mine.add(its)?;
        }
        self.fates.add(other.fates);
        self.connects += other.connects;
        for (mine, its) in self.halves.iter_mut().zip(other.halves) {
            mine.due += its.due;
            mine.completed += its.completed;
        }
        self.first_error = self.first_error.take().or(other.first_error);
        self.last_end = self.last_end.max(other.last_end);
        self.spin += other.spin;
        self.in_flight_ns += other.in_flight_ns;
        Ok(())
    }

    /// The latencies.
    ///
    /// # Errors
    /// A histogram cannot be encoded; none of times is like that.
    pub(super) fn latencies_reported(&self) -> Result<Latencies, String> {
        let mut seconds = Vec::new();
        let all = self.kinds.iter().map(|kind| kind.report(&mut seconds)).collect::<Result<Vec<_>, _>>()?;
        let mut all = all.into_iter();
        Ok(Latencies {
            service: all.next().unwrap_or_default(),
            response: all.next(),
            lateness: all.next(),
            conn_wait: all.next(),
            seconds,
        })
    }
}

fn describe(fate: &Fate) -> String {
    match fate {
        Fate::Ok => String::new(),
        Fate::BadStatus(status) => format!("status {status}, which is not the right one"),
        Fate::BadBody => "a wrong body".into(),
        Fate::ErrConnect(error) => format!("cannot connect: {error}"),
        Fate::ErrRead(error) => error.clone(),
        Fate::ErrWrite(error) => format!("cannot send: {error}"),
        Fate::TimedOut => "no answer in time".into(),
        Fate::Shed => "no connection was free in time".into(),
        Fate::InFlight => "still under way when the client was told to stop".into(),
    }
}
