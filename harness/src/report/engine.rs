//! The tables of the load engine's strategies: one cell a line, with all that says how far to believe it.

use super::cells::{By, verdict};
use super::drawing::{Format, drawn};
use super::figures;
use crate::analysis::metric::Metric;
use crate::analysis::percentile::is_beyond;
use crate::analysis::summary::Summary;
use crate::record::row::Row;

/// Draws a table of `cells`, all of one kind of loop: a row per server, best ranks first, or per workload.
pub(super) fn table(cells: &[&Summary], by: By, format: Format) -> String {
    let is_open = cells.first().is_some_and(|s| s.row.loop_kind == "open");
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
        let label = if by == By::Work { s.row.server.clone() } else { s.row.workload.clone() };
        let mut row = vec![label];
        row.extend(figures_of(s, is_open));
        row
    });
    drawn(header, rows.collect(), 1..8, format)
}

pub(super) fn figures_of(s: &Summary, is_open: bool) -> [String; 10] {
    let missing = || "-".to_owned();
    let of = |metric: Metric, row: &Row| {
        let interval = s.rank_interval().filter(|_| s.rank_metric == Some(metric));
        metric.of(row).map(|value| figures::with_interval(metric, value, interval))
    };
    let shown = |metric| of(metric, &s.row).unwrap_or_else(missing);
    let censored = s.row.timed_out.unwrap_or(0) + s.row.shed.unwrap_or(0);
    let percentile = |metric, p| match of(metric, &s.row) {
        None if is_beyond(p, s.row.scheduled.unwrap_or(0), censored) => {
            format!("> {} s", s.row.timeout_ms as f64 / 1e3)
        }
        known => known.unwrap_or_else(missing),
    };
    let (p50, p99) = match is_open {
        true => (Metric::RESPONSE_P50, Metric::RESPONSE_P99),
        false => (Metric::SERVICE_P50, Metric::SERVICE_P99),
    };
    let throughput = match of(Metric::THROUGHPUT, &s.row) {
        None if s.blocks_failed > 0 => "failed".to_owned(),
        known => known.unwrap_or_else(missing),
    };
    [
        throughput,
        percentile(p50, 0.5),
        percentile(p99, 0.99),
        shown(Metric::CPU),
        s.row.client_cpu_us_per_request.map_or_else(missing, figures::time),
        of(Metric::MEMORY, &s.max).unwrap_or_else(missing),
        shown(Metric::SWITCHES),
        s.row.bound_by.replace('_', " "),
        verdict(s),
        s.rank().map_or_else(missing, |rank| rank.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(server: &str, rank: Option<usize>) -> Summary {
        let row = Row {
            server: server.into(),
            route: "/plaintext".into(),
            strategy: "open-loop".into(),
            loop_kind: "open".into(),
            arrival: "constant".into(),
            offered_rps: Some(500.0),
            concurrency: 256,
            processes: 1,
            timeout_ms: 30_000,
            scheduled: Some(30_000),
            throughput_rps: Some(499.9),
            response_p50_us: Some(812.0),
            response_p99_us: Some(1_500.0),
            verdict: if rank.is_some() { "ok".into() } else { "client_bound".into() },
            ..Row::default()
        };
        Summary {
            row,
            max: Row { server_peak_rss_bytes: Some(3 << 20), ..Row::default() },
            blocks: 12,
            rank_metric: Some(Metric::RESPONSE_P99),
            rank_interval_low: Some(1_400.0),
            rank_interval_high: Some(1_600.0),
            rank_best: rank,
            rank_worst: rank.map(|best| best + 1),
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
        let mut some = Summary { blocks_ok: 11, ..open("a", Some(1)) };
        some.row.verdict = "client_bound".into();
        let none = Summary { blocks_ok: 0, ..some.clone() };
        let mut unsteady = Summary { steady: Some(false), ..some.clone() };
        unsteady.row.verdict = "no_steady_state".into();
        let text = table(&[&some, &none, &unsteady], By::Work, Format::Markdown);
        assert!(text.contains("| 11/12 ok, client bound |"), "{text}");
        assert!(text.contains("| client bound ") && text.contains("| no steady state "), "{text}");
    }

    #[test]
    fn a_percentile_among_requests_that_timed_out_is_only_known_to_be_beyond() {
        let mut late = open("a", Some(1));
        (late.row.response_p99_us, late.row.timed_out, late.row.shed) = (None, Some(200), Some(101));
        let text = table(&[&late], By::Server, Format::Table);
        assert!(text.contains("> 30 s") && text.contains("812 µs"), "{text}");
        late.row.timed_out = Some(0);
        assert!(!table(&[&late], By::Server, Format::Table).contains("> 30"), "too few samples say nothing");
    }
}
