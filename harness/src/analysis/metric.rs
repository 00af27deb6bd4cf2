//! The figures that servers are compared by.

use crate::record::row::Row;
use stats::verdict::{Better, Verdict};

/// A figure of a row that two servers can be compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the column of its name, described in results/README.md")]
pub enum Metric {
    ThroughputRps,
    ResponseMeanUs,
    ResponseP50Us,
    ResponseP90Us,
    ResponseP99Us,
    ResponseP999Us,
    ServiceMeanUs,
    ServiceP50Us,
    ServiceP90Us,
    ServiceP99Us,
    ServiceP999Us,
    ServerCpuUsPerRequest,
    ServerPeakRssBytes,
    ServerCtxSwitchesPerRequest,
}

/// A short name and the figures it means: on a closed loop, and on an open one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The short name, or a column's.
    pub name: &'static str,
    closed: Metric,
    open: Metric,
}

use Metric::*;

impl Metric {
    /// Every one, in the order of its columns.
    pub const ALL: [Metric; 14] = [
        ThroughputRps,
        ResponseMeanUs,
        ResponseP50Us,
        ResponseP90Us,
        ResponseP99Us,
        ResponseP999Us,
        ServiceMeanUs,
        ServiceP50Us,
        ServiceP90Us,
        ServiceP99Us,
        ServiceP999Us,
        ServerCpuUsPerRequest,
        ServerPeakRssBytes,
        ServerCtxSwitchesPerRequest,
    ];

    /// Those of `pairs.csv`.
    pub const PAIRS: [Metric; 7] = [
        ThroughputRps,
        ResponseP50Us,
        ResponseP99Us,
        ServiceP50Us,
        ServiceP99Us,
        ServerCpuUsPerRequest,
        ServerPeakRssBytes,
    ];

    /// The name of its column in `cells.csv`, with its unit.
    pub fn column(self) -> &'static str {
        match self {
            ThroughputRps => "throughput_rps",
            ResponseMeanUs => "response_mean_us",
            ResponseP50Us => "response_p50_us",
            ResponseP90Us => "response_p90_us",
            ResponseP99Us => "response_p99_us",
            ResponseP999Us => "response_p99_9_us",
            ServiceMeanUs => "service_mean_us",
            ServiceP50Us => "service_p50_us",
            ServiceP90Us => "service_p90_us",
            ServiceP99Us => "service_p99_us",
            ServiceP999Us => "service_p99_9_us",
            ServerCpuUsPerRequest => "server_cpu_us_per_request",
            ServerPeakRssBytes => "server_peak_rss_bytes",
            ServerCtxSwitchesPerRequest => "server_ctx_switches_per_request",
        }
    }

    /// Its value in a row.
    pub fn of(self, row: &Row) -> Option<f64> {
        match self {
            ThroughputRps => row.throughput_rps,
            ResponseMeanUs => row.response_mean_us,
            ResponseP50Us => row.response_p50_us,
            ResponseP90Us => row.response_p90_us,
            ResponseP99Us => row.response_p99_us,
            ResponseP999Us => row.response_p99_9_us,
            ServiceMeanUs => row.service_mean_us,
            ServiceP50Us => row.service_p50_us,
            ServiceP90Us => row.service_p90_us,
            ServiceP99Us => row.service_p99_us,
            ServiceP999Us => row.service_p99_9_us,
            ServerCpuUsPerRequest => row.server_cpu_us_per_request,
            // Exact up to 2⁵³ bytes.
            ServerPeakRssBytes => row.server_peak_rss_bytes.map(|bytes| bytes as f64),
            ServerCtxSwitchesPerRequest => row.server_ctx_switches_per_request,
        }
    }

    /// Which end of it is the good one.
    pub fn better(self) -> Better {
        match self {
            ThroughputRps => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// What `verdict` says in words: `faster` and `slower` of rates and times, `lower` and `higher` of what
    /// a request costs, where nothing is fast.
    pub fn word(self, verdict: Verdict) -> &'static str {
        let is_cost =
            matches!(self, ServerCpuUsPerRequest | ServerPeakRssBytes | ServerCtxSwitchesPerRequest);
        match verdict {
            Verdict::Lower if is_cost => "lower",
            Verdict::Higher if is_cost => "higher",
            verdict => verdict.word(self.better()),
        }
    }
}

impl Asked {
    /// Every name that can be asked for: the short ones, then the columns.
    pub fn all() -> Vec<Asked> {
        let both = |name, closed, open| Asked { name, closed, open };
        let mut all = vec![
            both("throughput", ThroughputRps, ThroughputRps),
            both("mean", ServiceMeanUs, ResponseMeanUs),
            both("p50", ServiceP50Us, ResponseP50Us),
            both("p90", ServiceP90Us, ResponseP90Us),
            both("p99", ServiceP99Us, ResponseP99Us),
            both("p99.9", ServiceP999Us, ResponseP999Us),
            both("cpu", ServerCpuUsPerRequest, ServerCpuUsPerRequest),
            both("memory", ServerPeakRssBytes, ServerPeakRssBytes),
            both("switches", ServerCtxSwitchesPerRequest, ServerCtxSwitchesPerRequest),
        ];
        all.extend(Metric::ALL.map(|metric| both(metric.column(), metric, metric)));
        all
    }

    /// The one of this name.
    ///
    /// # Errors
    /// A usage error with the nearest names.
    pub fn find(name: &str) -> anyhow::Result<Asked> {
        crate::experiment::suggest::find("metric", name, &Asked::all(), |asked| asked.name).copied()
    }

    /// What it means on this loop, `open` or `closed`: a closed loop has no response time.
    pub fn on(self, loop_kind: &str) -> Metric {
        if loop_kind == "open" { self.open } else { self.closed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_those_of_a_row() {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(Row::default()).expect("serializes");
        let text = String::from_utf8(writer.into_inner().expect("flushes")).expect("UTF-8");
        let header: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
        for metric in Metric::ALL {
            assert!(header.contains(&metric.column()), "{}", metric.column());
        }
    }

    #[test]
    fn a_short_name_means_what_the_loop_has() {
        let p99 = Asked::find("p99").expect("known");
        assert_eq!((p99.on("open"), p99.on("closed")), (ResponseP99Us, ServiceP99Us));
        assert_eq!(Asked::find("service_p99_us").expect("known").on("open"), ServiceP99Us);
        let refusal = Asked::find("troughput").expect_err("unknown").to_string();
        assert!(refusal.starts_with("unknown metric 'troughput': did you mean throughput"), "{refusal}");
    }

    #[test]
    fn words_fit_the_metric() {
        assert_eq!(ThroughputRps.word(Verdict::Higher), "faster");
        assert_eq!(ServiceP99Us.word(Verdict::Higher), "slower");
        assert_eq!(ServerCpuUsPerRequest.word(Verdict::Higher), "higher");
        assert_eq!(ServerPeakRssBytes.word(Verdict::Lower), "lower");
        assert_eq!(ServerPeakRssBytes.word(Verdict::Equivalent), "equivalent");
    }
}
