//! The tables of the load engine's strategies: one cell a line, with all that says how far to believe it.

use super::cells::{By, verdict};
use super::drawing::{Format, drawn};
use super::figures;
use crate::analysis::censored::is_beyond;
use crate::analysis::metric::Metric;
use crate::analysis::summary::Summary;
use stats::bootstrap::Interval;

/// A table of `cells`, all of one kind of loop: a row per server, best ranks first, or per workload.
pub(super) fn table(cells: &[&Summary], by: By, format: Format) -> String {
    let is_open = cells.first().is_some_and(|s| s.loop_kind == "open");
    let latency = if is_open { "response" } else { "service" };
    let corner = if by == By::Work { "server" } else { "workload" };
    let mut header = vec![corner.to_owned(), "requests/s".to_owned()];
    header.extend([format!("{latency} p50"), format!("{latency} p99")]);
    let rest = ["server CPU", "client CPU", "peak memory", "switches", "bound by", "verdict", "rank"];
    header.extend(rest.map(str::to_owned));
    let mut cells = cells.to_vec();
    if by == By::Work {
        cells.sort_by_key(|s| s.place());
    }
    let rows = cells.iter().map(|s| {
        let label = if by == By::Work { s.server.clone() } else { s.workload.to_string() };
        let mut row = vec![label];
        row.extend(figures_of(s, is_open));
        row
    });
    drawn(header, rows.collect(), 1..8, format)
}

fn figures_of(s: &Summary, is_open: bool) -> [String; 10] {
    let shown = |metric, value: Option<f64>| {
        value.map_or_else(|| "-".to_owned(), |value| figures::with_interval(metric, value, ranks(s, metric)))
    };
    let percentile = |metric, p, value: Option<f64>| match value {
        None if is_beyond(p, s.scheduled, s.timed_out + s.shed) => {
            format!("> {} s", s.timeout_ms as f64 / 1e3)
        }
        value => shown(metric, value),
    };
    let (p50, p99) = match is_open {
        true => (
            percentile(Metric::ResponseP50Us, 0.5, s.response_p50_us_median),
            percentile(Metric::ResponseP99Us, 0.99, s.response_p99_us_median),
        ),
        false => (
            percentile(Metric::ServiceP50Us, 0.5, s.service_p50_us_median),
            percentile(Metric::ServiceP99Us, 0.99, s.service_p99_us_median),
        ),
    };
    let throughput = match s.throughput_rps_median {
        None if s.blocks_failed > 0 => "failed".to_owned(),
        value => shown(Metric::ThroughputRps, value),
    };
    [
        throughput,
        p50,
        p99,
        shown(Metric::ServerCpuUsPerRequest, s.server_cpu_us_per_request_median),
        shown(Metric::ServerCpuUsPerRequest, s.client_cpu_us_per_request_median),
        shown(Metric::ServerPeakRssBytes, s.server_peak_rss_bytes_max.map(|bytes| bytes as f64)),
        shown(Metric::ServerCtxSwitchesPerRequest, s.server_ctx_switches_per_request_median),
        s.bound_by.replace('_', " "),
        verdict(s),
        s.rank().map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
    ]
}

/// The interval of the figure that ranks.
fn ranks(s: &Summary, metric: Metric) -> Option<Interval> {
    let is_it = s.rank_metric == metric.column();
    Some(Interval { low: s.rank_interval_low?, high: s.rank_interval_high? }).filter(|_| is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::row::Row;
    use crate::record::workload::Workload;

    fn open(server: &str, rank: Option<usize>) -> Summary {
        let row = Row {
            route: "/plaintext".into(),
            strategy: "open-loop".into(),
            arrival: "constant".into(),
            offered_rps: Some(500.0),
            concurrency: 256,
            processes: 1,
            ..Row::default()
        };
        Summary {
            workload: Workload::of(&row),
            server: server.into(),
            loop_kind: "open".into(),
            timeout_ms: 30_000,
            scheduled: 30_000,
            blocks: 12,
            throughput_rps_median: Some(499.9),
            response_p50_us_median: Some(812.0),
            response_p99_us_median: Some(1_500.0),
            server_peak_rss_bytes_max: Some(3 << 20),
            rank_metric: "response_p99_us".into(),
            rank_interval_low: Some(1_400.0),
            rank_interval_high: Some(1_600.0),
            rank_best: rank,
            rank_worst: rank.map(|best| best + 1),
            verdict: if rank.is_some() { "ok".into() } else { "client_bound".into() },
            ..Summary::default()
        }
    }

    #[test]
    fn ranks_order_a_workload_and_what_is_not_ok_comes_last() {
        let cells = [open("b", None), open("z", Some(1)), open("a", Some(2))];
        let text = table(&cells.iter().collect::<Vec<_>>(), By::Work, Format::Markdown);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("response p99"), "{text}");
        assert!(lines[2].starts_with("| z ") && lines[2].contains(" 1–2 "), "{text}");
        assert!(lines[3].starts_with("| a ") && lines[4].starts_with("| b "), "{text}");
        assert!(lines[4].contains("client bound"), "{text}");
        assert!(lines[2].contains("812 µs |") && lines[2].contains("1.50 ms [1.40–1.60]"), "{text}");
        assert!(lines[2].contains("3.00 MiB"), "{text}");
    }

    #[test]
    fn a_cell_with_some_bad_blocks_says_how_many_are_good() {
        let some = Summary { verdict: "no_steady_state".into(), blocks_ok: 11, ..open("a", Some(1)) };
        let none = Summary { blocks_ok: 0, ..some.clone() };
        let text = table(&[&some, &none], By::Work, Format::Markdown);
        assert!(text.contains("| 11/12 ok, no steady state |"), "{text}");
        assert!(text.contains("| no steady state "), "{text}");
    }

    #[test]
    fn a_percentile_among_requests_that_timed_out_is_only_known_to_be_beyond() {
        let late = Summary { response_p99_us_median: None, timed_out: 200, shed: 101, ..open("a", Some(1)) };
        let text = table(&[&late], By::Server, Format::Table);
        assert!(text.contains("> 30 s") && text.contains("812 µs"), "{text}");
        let few = Summary { timed_out: 0, ..late };
        assert!(!table(&[&few], By::Server, Format::Table).contains("> 30"), "too few samples say nothing");
    }
}
