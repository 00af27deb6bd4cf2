//! Latencies as HdrHistograms with three significant figures.

use crate::protocol::Latency;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

/// A percentile is stated only where this many samples lie above it.
const SAMPLES_ABOVE: f64 = 100.0;

/// A histogram of `values` as base64 text (HdrHistogram's V2 format, deflated).
///
/// # Errors
/// A value is beyond what a histogram can hold.
pub fn encode(values: &[u64]) -> Result<String, String> {
    let mut histogram = Histogram::<u64>::new(3).map_err(|error| error.to_string())?;
    for value in values {
        histogram.record(*value).map_err(|error| error.to_string())?;
    }
    to_text(&histogram)
}

/// A histogram as base64 text (HdrHistogram's V2 format, deflated).
///
/// # Errors
/// It cannot be written so; no histogram of times is like that.
pub fn to_text(histogram: &Histogram<u64>) -> Result<String, String> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).map_err(|error| error.to_string())?;
    Ok(BASE64_STANDARD.encode(bytes))
}

/// The latency that has these samples, in nanoseconds.
///
/// # Errors
/// A histogram cannot be encoded; none of times is like that.
pub fn latency(values: &[u64]) -> Result<Latency, String> {
    let mut samples = Samples::new(1);
    values.iter().for_each(|ns| samples.record(0, *ns));
    samples.report()
}

/// The longest latency a histogram holds: an hour. A longer one is counted as out of range.
const LONGEST_NS: u64 = 3600 * 1_000_000_000;

/// The samples of one kind of latency, interval by interval. Their memory depends on the number of
/// intervals, and not on that of the samples.
#[derive(Debug)]
pub(super) struct Samples {
    intervals: Vec<Histogram<u32>>,
    sum: f64,
    count: u64,
    max: u64,
    out_of_range: u64,
}

impl Samples {
    /// No samples yet, in so many intervals.
    pub(super) fn new(intervals: usize) -> Samples {
        let empty = || Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("valid bounds");
        let intervals = std::iter::repeat_with(empty).take(intervals).collect();
        Samples { intervals, sum: 0.0, count: 0, max: 0, out_of_range: 0 }
    }

    /// Records a sample in an interval.
    pub(super) fn record(&mut self, interval: usize, ns: u64) {
        self.sum += ns as f64;
        self.count += 1;
        self.max = self.max.max(ns);
        if self.intervals[interval].record(ns).is_err() {
            self.out_of_range += 1;
        }
    }

    /// Adds another worker's.
    ///
    /// # Errors
    /// Histograms that do not fit together; all have the same bounds.
    pub(super) fn add(&mut self, other: &Samples) -> Result<(), String> {
        for (mine, its) in self.intervals.iter_mut().zip(&other.intervals) {
            mine.add(its).map_err(|error| error.to_string())?;
        }
        self.sum += other.sum;
        self.count += other.count;
        self.max = self.max.max(other.max);
        self.out_of_range += other.out_of_range;
        Ok(())
    }

    /// The intervals that have samples, by their index, as histograms in base64 text.
    ///
    /// # Errors
    /// A histogram cannot be encoded; none of times is like that.
    pub(super) fn intervals(&self) -> impl Iterator<Item = Result<(usize, String), String>> {
        let used = self.intervals.iter().enumerate().filter(|(_, histogram)| !histogram.is_empty());
        used.map(|(index, histogram)| Ok((index, to_text(&wide([histogram])?)?)))
    }

    /// All of them.
    ///
    /// # Errors
    /// A histogram cannot be encoded; none of times is like that.
    pub(super) fn report(&self) -> Result<Latency, String> {
        Ok(Latency {
            histogram: to_text(&wide(&self.intervals)?)?,
            mean_ns: (self.count > 0).then(|| self.sum / self.count as f64),
            max_ns: (self.count > 0).then_some(self.max),
            out_of_range: self.out_of_range,
        })
    }
}

/// The sum of histograms, as one that is no larger than its values are.
fn wide<'a>(histograms: impl IntoIterator<Item = &'a Histogram<u32>>) -> Result<Histogram<u64>, String> {
    let mut sum = Histogram::new(3).map_err(|error| error.to_string())?;
    for bucket in histograms.into_iter().flat_map(Histogram::iter_recorded) {
        let count = bucket.count_at_value().into();
        sum.record_n(bucket.value_iterated_to(), count).map_err(|error| error.to_string())?;
    }
    Ok(sum)
}

/// The histogram in `text`.
///
/// # Errors
/// The text is not what [`encode`] writes.
pub fn decode(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|error| error.to_string())?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| error.to_string())
}

/// The value below which the share `p` of the samples lies; `None` where fewer than 100 lie above it,
/// since it would then say more about luck than about the server. `censored` further samples are only
/// known to be larger than all others: a percentile that lies among them is not known either.
pub fn percentile(histogram: &Histogram<u64>, censored: u64, p: f64) -> Option<u64> {
    let known = histogram.len();
    let all = known as f64 + censored as f64;
    // A hundredth of a sample makes up for (1 − p) not being exact in binary.
    if all * (1.0 - p) + 0.01 < SAMPLES_ABOVE || all * p > known as f64 {
        return None;
    }
    Some(histogram.value_at_quantile(all * p / known as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back() {
        let values: Vec<u64> = (1..=1000).map(|n| n * 1000).collect();
        let histogram = decode(&encode(&values).expect("encodes")).expect("decodes");
        assert_eq!(histogram.len(), 1000);
        let p50 = percentile(&histogram, 0, 0.5).expect("500 above");
        assert!((499_000..=501_000).contains(&p50), "{p50}");
        assert!(decode("nonsense").is_err());
    }

    #[test]
    fn samples_of_several_workers_and_intervals_add_up() {
        let (mut samples, mut others) = (Samples::new(3), Samples::new(3));
        samples.record(0, 10);
        samples.record(2, 30);
        others.record(2, 20);
        others.record(2, LONGEST_NS * 2);
        samples.add(&others).expect("the same bounds");
        let latency = samples.report().expect("encodes");
        let mean = (10 + 30 + 20 + LONGEST_NS * 2) as f64 / 4.0;
        assert_eq!((latency.mean_ns, latency.max_ns), (Some(mean), Some(LONGEST_NS * 2)));
        assert_eq!(latency.out_of_range, 1);
        let all = decode(&latency.histogram).expect("decodes");
        assert_eq!((all.len(), all.min(), all.max()), (3, 10, 30));
        let logs: Vec<(usize, String)> = samples.intervals().collect::<Result<_, _>>().expect("encodes");
        let counts = logs.iter().map(|(index, text)| (*index, decode(text).expect("decodes").len()));
        assert_eq!(counts.collect::<Vec<_>>(), [(0, 1), (2, 2)]);
    }

    #[test]
    fn a_percentile_needs_a_hundred_samples_above_it() {
        let of = |n: u64| decode(&encode(&vec![5; n as usize]).expect("encodes")).expect("decodes");
        assert_eq!(percentile(&of(199), 0, 0.5), None);
        assert_eq!(percentile(&of(200), 0, 0.5), Some(5));
        assert_eq!(percentile(&of(999), 0, 0.9), None);
        assert_eq!(percentile(&of(1000), 0, 0.9), Some(5));
        assert_eq!(percentile(&of(10_000), 0, 0.99), Some(5));
        assert_eq!(percentile(&of(0), 0, 0.5), None);
    }

    #[test]
    fn censored_samples_are_the_largest() {
        let values: Vec<u64> = (1..=1000).collect();
        let histogram = decode(&encode(&values).expect("encodes")).expect("decodes");
        // 1000 known of 2000: the median is the largest known one, and the rest is not known.
        assert_eq!(percentile(&histogram, 1000, 0.5), Some(1000));
        assert_eq!(percentile(&histogram, 1000, 0.25), Some(500));
        assert_eq!(percentile(&histogram, 1000, 0.9), None);
    }
}
