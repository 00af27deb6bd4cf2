//! The histograms of a row as an HdrHistogram interval log, which every HdrHistogram library can read.

use anyhow::{Context as _, Result, anyhow};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag,
};
use load::histogram;
use load::protocol::PartReport;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Nanoseconds in the milliseconds that the readable column of a log is in.
const PER_MS: f64 = 1e6;

/// The samples of one kind in one span of the measured time.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// `service`, `response`, `lateness` or `conn_wait`.
    pub kind: String,
    /// When the span begins, from the beginning of the measured time.
    pub start: Duration,
    /// How long the span is.
    pub duration: Duration,
    /// The samples, in nanoseconds.
    pub histogram: Histogram<u64>,
}

/// Returns the log of what a client reported, after a replicate that began at `started`.
///
/// # Errors
/// A histogram of the report is unreadable.
pub fn write(report: &PartReport, started: SystemTime) -> Result<Vec<u8>> {
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("Nanoseconds. Times count from the beginning of the measured time.");
    for (kind, latency) in report.latencies() {
        if latency.out_of_range > 0 {
            let kind = kind.name();
            builder.add_comment(&format!("{kind}: {} samples beyond the range", latency.out_of_range));
        }
    }
    builder.with_start_time(started).with_base_time(started).with_max_value_divisor(PER_MS);
    let (mut bytes, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let mut log = builder.begin_log_with(&mut bytes, &mut serializer)?;
    for interval in intervals(report)? {
        let Span { kind, start, duration, histogram } = &interval;
        let tag = Tag::new(kind).with_context(|| format!("'{kind}' is no tag"))?;
        log.write_histogram(histogram, *start, *duration, Some(tag))
            .map_err(|error| anyhow!("a histogram of {kind} cannot be written: {error}"))?;
    }
    Ok(bytes)
}

/// Interval by interval where the client counted so, and otherwise as a whole.
fn intervals(report: &PartReport) -> Result<Vec<Span>> {
    let decode = |text: &str| histogram::decode(text).map_err(anyhow::Error::msg);
    let logs = report.engine.as_ref().map_or(&[][..], |engine| &engine.intervals);
    let mut intervals = Vec::new();
    for (kind, latency) in report.latencies() {
        if !logs.iter().any(|log| log.kind == kind) {
            let (kind, histogram) = (kind.name().to_owned(), decode(&latency.histogram)?);
            intervals.push(Span { kind, start: Duration::ZERO, duration: report.elapsed, histogram });
        }
    }
    for log in logs {
        let (kind, histogram) = (log.kind.name().to_owned(), decode(&log.histogram)?);
        intervals.push(Span { kind, start: log.start, duration: log.length, histogram });
    }
    // Readers expect the order of time. Within an interval the kinds stay in theirs.
    intervals.sort_by_key(|interval| interval.start);
    Ok(intervals)
}

/// Reads a log.
///
/// # Errors
/// The file is missing, or is no interval log.
pub fn read(path: &Path) -> Result<Vec<Span>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&bytes).with_context(|| format!("{} is no interval log", path.display()))
}

/// Reads the text of a log.
///
/// # Errors
/// The text is no log.
pub fn parse(bytes: &[u8]) -> Result<Vec<Span>> {
    let mut intervals = Vec::new();
    for entry in IntervalLogIterator::new(bytes) {
        let entry = entry.map_err(|error| anyhow!("a line is wrong: {error:?}"))?;
        if let LogEntry::Interval(interval) = entry {
            intervals.push(Span {
                kind: interval.tag().map(|tag| tag.as_str().to_owned()).unwrap_or_default(),
                start: interval.start_timestamp(),
                duration: interval.duration(),
                histogram: histogram::decode(interval.encoded_histogram()).map_err(anyhow::Error::msg)?,
            });
        }
    }
    Ok(intervals)
}

/// Returns all samples of a kind.
///
/// # Errors
/// The histograms do not fit together; those of one log do.
pub fn merged(intervals: &[Span], kind: &str) -> Result<Histogram<u64>> {
    let mut all = Histogram::new(3)?;
    for interval in intervals.iter().filter(|interval| interval.kind == kind) {
        all.add(&interval.histogram)?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::row::{Row, round};
    use load::histogram::{encode, latency, percentile};
    use load::protocol::{EngineReport, Fates, IntervalLog, LatencyKind};

    fn written(report: &PartReport) -> Vec<Span> {
        let bytes = write(report, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)).expect("written");
        parse(&bytes).expect("a log")
    }

    #[test]
    fn the_article_s_strategies_have_one_histogram() {
        let service = latency(&[5_000_000; 300]).expect("encodes");
        let report = PartReport { service, elapsed: Duration::from_millis(1500), ..PartReport::default() };
        let intervals = written(&report);
        assert_eq!(intervals.len(), 1);
        assert_eq!((intervals[0].kind.as_str(), intervals[0].duration), ("service", report.elapsed));
        assert_eq!(merged(&intervals, "service").expect("one").len(), 300);
        assert_eq!(merged(&intervals, "response").expect("none").len(), 0);
    }

    /// A report of `seconds` seconds with 2000 responses each, 17 requests timed out.
    fn engine_report(seconds: u64) -> PartReport {
        let samples = |second: u64| (1..=2000_u64).map(move |n| 40_000 * n + 7_777_777 * second);
        let logs = (0..seconds).flat_map(|second| {
            let histogram = encode(&samples(second).collect::<Vec<_>>()).expect("encodes");
            [LatencyKind::Service, LatencyKind::Response].map(|kind| IntervalLog {
                kind,
                start: Duration::from_secs(second),
                length: Duration::from_secs(1),
                histogram: histogram.clone(),
            })
        });
        let all: Vec<u64> = (0..seconds).flat_map(samples).collect();
        let engine = EngineReport {
            intervals: logs.collect(),
            response: Some(latency(&all).expect("encodes")),
            lateness: Some(latency(&[1000; 500]).expect("encodes")),
            ..EngineReport::default()
        };
        PartReport {
            fates: Fates { timed_out: 17, ..Fates::default() },
            service: latency(&all).expect("encodes"),
            engine: Some(engine),
            ..PartReport::default()
        }
    }

    #[test]
    fn a_row_s_percentiles_follow_from_its_log() {
        let report = engine_report(5);
        let mut row = Row::default();
        row.set_report(&report).expect("readable");
        let intervals = written(&report);
        assert_eq!(intervals.iter().filter(|interval| interval.kind == "response").count(), 5);
        let response = merged(&intervals, "response").expect("fit together");
        let timed_out = row.timed_out.expect("reported");
        let of = |p| percentile(&response, timed_out, p).map(|ns| round(ns as f64 / 1e3, 3));
        assert_eq!(
            [of(0.5), of(0.9), of(0.99), of(0.999)],
            [row.response_p50_us, row.response_p90_us, row.response_p99_us, row.response_p99_9_us]
        );
        assert!(row.response_p99_us.is_some() && row.response_p99_9_us.is_none());
        // A kind without seconds is there as a whole.
        assert_eq!(merged(&intervals, "lateness").expect("one").len(), 500);
    }

    #[test]
    fn a_log_is_in_the_order_of_time_and_says_what_it_lacks() {
        let mut report = engine_report(3);
        report.service.out_of_range = 2;
        let bytes = write(&report, SystemTime::UNIX_EPOCH).expect("written");
        let text = String::from_utf8(bytes.clone()).expect("text");
        assert!(text.contains("#service: 2 samples beyond the range\n"), "{text}");
        assert!(text.contains("\nTag=response,1.000,1.000,"), "{text}");
        let starts: Vec<Duration> = parse(&bytes).expect("a log").iter().map(|i| i.start).collect();
        assert!(starts.is_sorted(), "{starts:?}");
        assert!(parse(b"Tag=x,1,nonsense\n").is_err());
    }
}
