//! The article's table, server by server: medians, the range over blocks, the ceiling of arithmetic.

use crate::outcome::summary::Summary;
use comfy_table::presets::{ASCII_MARKDOWN, UTF8_HORIZONTAL_ONLY};
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// How a table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal.
    Table,
    /// For a README.
    Markdown,
}

/// A table per server. Rows are strategies, columns are conditions and routes.
pub fn by_server(summaries: &[Summary], format: Format) -> String {
    let mut text = String::new();
    let servers = unique(summaries.iter().map(|s| &s.server));
    for server in servers {
        let cells: Vec<&Summary> = summaries.iter().filter(|s| s.server == *server).collect();
        text.push_str(&heading(&cells, format));
        text.push_str(&table(&cells, format));
        text.push('\n');
    }
    text.push_str(LEGEND);
    text
}

const LEGEND: &str = "Requests per second: the median over the blocks, [lowest–highest block], and ≤ the ceiling that\n\
arithmetic gives: (c) requests in flight / delay, (b) free blocking threads / delay.\n";

fn heading(cells: &[&Summary], format: Format) -> String {
    let Some(first) = cells.first() else { return String::new() };
    let mut facts = vec![format!("{} {}", first.runtime, first.runtime_version).trim().to_owned()];
    facts
        .extend([first.flavor.clone(), first.http_stack.clone()].into_iter().filter(|fact| !fact.is_empty()));
    let one = cells.iter().find(|s| s.processes == 1).unwrap_or(first);
    facts.extend(one.worker_threads.map(|n| count(n, "worker")));
    facts.extend(one.blocking_threads.map(|n| count(n, "blocking thread")));
    facts.push(count(first.blocks, "block"));
    let (before, after) = match format {
        Format::Table => ("", ""),
        Format::Markdown => ("**", "**"),
    };
    format!("{before}{}{after} ({})\n\n", first.server, facts.join(", "))
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn table(cells: &[&Summary], format: Format) -> String {
    let columns = unique(cells.iter().map(|s| (s.processes, &s.interference, &s.route)));
    let rows = unique(cells.iter().map(|s| (&s.strategy, s.requests, s.concurrency)));
    let mut table = Table::new();
    let line_break = match format {
        Format::Table => {
            table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Disabled);
            "\n"
        }
        Format::Markdown => {
            table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
            "<br>"
        }
    };
    let mut header = vec!["strategy, requests".to_owned()];
    header.extend(columns.iter().map(|(processes, interference, route)| {
        let mut words = vec![count(*processes, "process").replace("processs", "processes")];
        if !interference.is_empty() {
            words.push(format!("+ {interference}"));
        }
        words.push((*route).clone());
        words.join(line_break)
    }));
    table.set_header(header);
    for (strategy, requests, concurrency) in rows {
        let mut line = vec![label(strategy, requests, concurrency)];
        line.extend(columns.iter().map(|(processes, interference, route)| {
            cells
                .iter()
                .find(|s| {
                    (&s.strategy, s.requests, s.concurrency) == (strategy, requests, concurrency)
                        && (s.processes, &s.interference, &s.route) == (*processes, *interference, *route)
                })
                .map_or_else(String::new, |s| figure(s, line_break))
        }));
        table.add_row(line);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

fn label(strategy: &str, requests: u64, concurrency: usize) -> String {
    if strategy == "sequential" || concurrency as u64 == requests {
        format!("{strategy}, {requests}")
    } else {
        format!("{strategy}, {requests} by {concurrency}")
    }
}

fn figure(summary: &Summary, line_break: &str) -> String {
    let mut lines = Vec::new();
    match (summary.throughput_rps_median, summary.throughput_rps_min, summary.throughput_rps_max) {
        (Some(median), Some(min), Some(max)) => {
            lines.push(rate(median));
            lines.push(format!("[{}–{}]", rate(min), rate(max)));
        }
        _ => lines.push("failed".to_owned()),
    }
    if let Some(ceiling) = summary.ceiling_rps {
        let by = if summary.ceiling_by == "blocking_threads" { "b" } else { "c" };
        lines.push(format!("≤ {} {by}", rate(ceiling)));
    }
    if summary.blocks_failed > 0 {
        lines.push(format!("{} of {} failed", summary.blocks_failed, summary.blocks));
    }
    lines.join(line_break)
}

/// A rate with as many digits as can mean something.
fn rate(rps: f64) -> String {
    if rps < 99.95 { format!("{rps:.1}") } else { format!("{rps:.0}") }
}

fn unique<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(route: &str, strategy: &str, requests: u64) -> Summary {
        Summary {
            server: "smol".into(),
            runtime: "smol".into(),
            runtime_version: "2.0.2".into(),
            http_stack: "hyper 1.12.0".into(),
            worker_threads: Some(2),
            processes: 1,
            blocks: 5,
            route: route.into(),
            strategy: strategy.into(),
            requests,
            concurrency: 1,
            throughput_rps_median: Some(19.64),
            throughput_rps_min: Some(19.5),
            throughput_rps_max: Some(1234.4),
            ceiling_rps: Some(20.0),
            ceiling_by: "concurrency".into(),
            ..Summary::default()
        }
    }

    #[test]
    fn figures_stand_with_their_range_and_ceiling() {
        let text = by_server(&[summary("/wait", "sequential", 100)], Format::Markdown);
        assert!(text.contains("**smol** (smol 2.0.2, hyper 1.12.0, 2 workers, 5 blocks)"), "{text}");
        assert!(text.contains("19.6<br>[19.5–1234]<br>≤ 20.0 c"), "{text}");
        assert!(text.contains("| sequential, 100 "), "{text}");
    }

    #[test]
    fn a_cell_that_does_not_exist_is_empty_and_one_that_failed_says_so() {
        let failed =
            Summary { throughput_rps_median: None, blocks_failed: 5, ..summary("/asyncwait", "async", 1000) };
        let text = by_server(&[summary("/wait", "sequential", 100), failed], Format::Markdown);
        assert!(text.contains("failed<br>≤ 20.0 c<br>5 of 5 failed"), "{text}");
        assert!(text.contains("| async, 1000 by 1 "), "{text}");
    }
}
