//! Latencies by kind, second by second.

use crate::histogram;
use crate::protocol::{Latency, SecondLog};
use hdrhistogram::Histogram;

/// The longest latency a histogram holds: an hour. A longer one is counted as out of range.
const LONGEST_NS: u64 = 3600 * 1_000_000_000;
/// The kinds, in the order they are kept: the first on a closed loop, and all with a schedule.
const KINDS: [&str; 4] = ["service", "response", "lateness", "conn_wait"];

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
        let second = second.min(self.seconds.len() - 1);
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

/// The latencies of the requests of a phase.
#[derive(Debug)]
pub(super) struct Latencies(Vec<Kind>);

impl Latencies {
    /// No latencies yet, for a phase of so many seconds. Only those of a schedule have more than one kind.
    pub(super) fn new(seconds: usize, scheduled: bool) -> Latencies {
        let names = if scheduled { &KINDS[..] } else { &KINDS[..1] };
        Latencies(names.iter().map(|name| Kind::new(name, seconds)).collect())
    }

    /// Records a request that was due in this second of the phase.
    pub(super) fn record(&mut self, second: usize, values: [u64; 4]) {
        for (kind, ns) in self.0.iter_mut().zip(values) {
            kind.record(second, ns);
        }
    }

    /// Adds another worker's.
    ///
    /// # Errors
    /// Histograms that do not fit together: both are of the same phase, so they do.
    pub(super) fn add(&mut self, other: &Latencies) -> Result<(), String> {
        self.0.iter_mut().zip(&other.0).try_for_each(|(mine, its)| mine.add(its))
    }

    /// The latencies of each kind there is, in the order service, response, lateness, wait for a connection;
    /// and the log of every second.
    ///
    /// # Errors
    /// A histogram cannot be encoded; none of times is like that.
    pub(super) fn report(&self) -> Result<(Vec<Latency>, Vec<SecondLog>), String> {
        let mut log = Vec::new();
        let all = self.0.iter().map(|kind| kind.report(&mut log)).collect::<Result<_, _>>()?;
        Ok((all, log))
    }
}
