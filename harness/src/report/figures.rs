//! Numbers as people read them: with their unit, and with as many digits as can mean something.

use crate::analysis::metric::Metric;
use stats::bootstrap::Interval;

/// Writes a rate per second, without its unit.
pub fn rate(rps: f64) -> String {
    if rps < 99.95 { format!("{rps:.1}") } else { format!("{rps:.0}") }
}

/// Writes a time that is given in µs.
pub fn time(us: f64) -> String {
    let (divisor, unit) = scale(us);
    format!("{} {unit}", three(us / divisor))
}

/// Returns the unit that suits a time, and how many µs it has.
fn scale(us: f64) -> (f64, &'static str) {
    match us {
        us if us < 999.5 => (1.0, "µs"),
        us if us < 999_500.0 => (1e3, "ms"),
        _ => (1e6, "s"),
    }
}

/// By what values of a unit are divided to suit this one, and the unit that they have then: 1000 and `ms` of 1500 µs.
pub(super) fn scale_of(unit: &'static str, value: f64) -> (f64, &'static str) {
    match unit {
        "µs" => scale(value),
        "bytes" if value < 1024.0 * 1024.0 => (1024.0, "KiB"),
        "bytes" => (1024.0 * 1024.0, "MiB"),
        other => (1.0, other),
    }
}

/// A value of a metric with its interval, all in the unit that suits the value: `1.98 s [1.90–2.10]`.
pub fn with_interval(metric: Metric, value: f64, interval: Option<Interval>) -> String {
    in_unit(metric.unit(), value, interval)
}

/// Writes memory that is given in bytes.
pub fn memory(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 1024.0 * 1024.0 => format!("{} KiB", three(bytes / 1024.0)),
        bytes => format!("{} MiB", three(bytes / 1024.0 / 1024.0)),
    }
}

/// Writes three digits, or all those before the point.
pub fn three(value: f64) -> String {
    match value.abs() {
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Returns the name of a metric in tables: `requests/s`, `service p99`, `server CPU`.
pub fn name(metric: Metric) -> String {
    match metric {
        Metric::THROUGHPUT => "requests/s".to_owned(),
        Metric::CPU => "server CPU".to_owned(),
        Metric::MEMORY => "peak memory".to_owned(),
        Metric::SWITCHES => "switches".to_owned(),
        // service_p99_us
        other => other.column().trim_end_matches("_us").replace('_', " "),
    }
}

/// A value of a metric, with its unit.
pub fn of(metric: Metric, value: f64) -> String {
    in_unit(metric.unit(), value, None)
}

/// A value of this unit with its interval: `1.98 s [1.90–2.10]`.
pub fn in_unit(unit: &str, value: f64, interval: Option<Interval>) -> String {
    let shown = match unit {
        "requests/s" => rate(value),
        "bytes" => memory(value),
        "µs" => time(value),
        _ => three(value),
    };
    let Some(interval) = interval else { return shown };
    let end = |end: f64| match unit {
        "requests/s" => rate(end),
        "µs" => three(end / scale(value).0),
        _ => three(end),
    };
    format!("{shown} [{}–{}]", end(interval.low), end(interval.high))
}

/// Writes a ratio and its interval: `1.052 [1.031–1.074]`.
pub fn ratio(estimate: f64, interval: Option<Interval>) -> String {
    match interval {
        Some(i) => format!("{estimate:.3} [{:.3}–{:.3}]", i.low, i.high),
        None => format!("{estimate:.3}"),
    }
}

/// Writes a share of one as a percentage with one decimal at the most: `2%`, `3.4%`.
pub fn percent(share: f64) -> String {
    format!("{}%", (share * 1000.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_end_where_they_mean_nothing() {
        assert_eq!((rate(19.64), rate(1234.4)), ("19.6".to_owned(), "1234".to_owned()));
        assert_eq!(
            [time(7.2), time(502.5), time(52_129.5), time(1_980_000.0)],
            ["7.20 µs", "502 µs", "52.1 ms", "1.98 s"]
        );
        assert_eq!([memory(3_743_744.0), memory(16_384.0)], ["3.57 MiB", "16.0 KiB"]);
        assert_eq!([percent(0.02), percent(0.0344), percent(0.1)], ["2%", "3.4%", "10%"]);
        assert_eq!(ratio(1.05, Some(Interval { low: 1.0, high: 1.1 })), "1.050 [1.000–1.100]");
        assert_eq!(ratio(1.05, None), "1.050");
        let interval = Some(Interval { low: 950.0, high: 1_200.0 });
        assert_eq!(with_interval(Metric::SERVICE_P50, 1_000.0, interval), "1.00 ms [0.95–1.20]");
        let names = [Metric::THROUGHPUT, Metric::SERVICE_P99, Metric::CPU].map(name);
        assert_eq!(names, ["requests/s", "service p99", "server CPU"]);
        assert_eq!(with_interval(Metric::THROUGHPUT, 1_000.0, interval), "1000 [950–1200]");
    }
}
