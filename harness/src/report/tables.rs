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

/// What a table is about, and what its rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// The article's form: a table per server, a row per strategy and number of requests.
    Server,
    /// A table per strategy and number of requests, a row per server.
    Work,
}

/// The tables of a run. Columns are conditions and routes.
pub fn render(summaries: &[Summary], by: By, format: Format) -> String {
    let work = |s: &Summary| label(&s.strategy, s.requests, s.concurrency);
    let mut text = String::new();
    match by {
        By::Server => {
            for (_, cells) in groups(summaries.iter(), |s| s.server.clone()) {
                text.push_str(&heading(&cells, format));
                text.push_str(&table("strategy, requests", &groups(cells.into_iter(), work), format));
                text.push('\n');
            }
        }
        By::Work => {
            for (work, cells) in groups(summaries.iter(), work) {
                text.push_str(&emphasised(&work, format));
                text.push_str("\n\n");
                text.push_str(&table("server", &groups(cells.into_iter(), |s| s.server.clone()), format));
                text.push('\n');
            }
        }
    }
    text.push_str(LEGEND);
    text
}

/// Summaries under their labels, both in the order in which they come.
fn groups<'a>(
    summaries: impl Iterator<Item = &'a Summary>,
    label: impl Fn(&Summary) -> String,
) -> Vec<(String, Vec<&'a Summary>)> {
    let mut groups: Vec<(String, Vec<&Summary>)> = Vec::new();
    for summary in summaries {
        let label = label(summary);
        match groups.iter_mut().find(|(known, _)| *known == label) {
            Some((_, members)) => members.push(summary),
            None => groups.push((label, vec![summary])),
        }
    }
    groups
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
    format!("{} ({})\n\n", emphasised(&first.server, format), facts.join(", "))
}

fn emphasised(text: &str, format: Format) -> String {
    match format {
        Format::Table => text.to_owned(),
        Format::Markdown => format!("**{text}**"),
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn table(corner: &str, rows: &[(String, Vec<&Summary>)], format: Format) -> String {
    // By the summaries' own order, which a single row may not show in full.
    let mut columns: Vec<(usize, &str, &str)> = Vec::new();
    for summary in rows.iter().flat_map(|(_, cells)| cells) {
        if !columns.contains(&column(summary)) {
            columns.push(column(summary));
        }
    }
    columns.sort_by_key(|(processes, interference, _)| (*processes, *interference));
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Disabled);
    let line_break = match format {
        Format::Table => {
            table.load_style(UTF8_HORIZONTAL_ONLY);
            "\n"
        }
        Format::Markdown => {
            table.load_style(ASCII_MARKDOWN);
            "<br>"
        }
    };
    let mut header = vec![corner.to_owned()];
    header.extend(columns.iter().map(|(processes, interference, route)| {
        let mut words = vec![format!("{processes} process{}", if *processes == 1 { "" } else { "es" })];
        if !interference.is_empty() {
            words.push(format!("+ {interference}"));
        }
        words.push((*route).to_owned());
        words.join(line_break)
    }));
    table.set_header(header);
    for (label, cells) in rows {
        let mut line = vec![label.clone()];
        line.extend(columns.iter().map(|wanted| {
            let cell = cells.iter().find(|summary| column(summary) == *wanted);
            cell.map_or_else(String::new, |summary| figure(summary, line_break))
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

fn column(summary: &Summary) -> (usize, &str, &str) {
    (summary.processes, &summary.interference, &summary.route)
}

fn label(strategy: &str, requests: Option<u64>, concurrency: usize) -> String {
    let Some(requests) = requests else { return format!("{strategy}, {concurrency} connections") };
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
            requests: Some(requests),
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
        let text = render(&[summary("/wait", "sequential", 100)], By::Server, Format::Markdown);
        assert!(text.contains("**smol** (smol 2.0.2, hyper 1.12.0, 2 workers, 5 blocks)"), "{text}");
        assert!(text.contains("19.6<br>[19.5–1234]<br>≤ 20.0 c"), "{text}");
        assert!(text.contains("| sequential, 100 "), "{text}");
    }

    #[test]
    fn a_cell_that_does_not_exist_is_empty_and_one_that_failed_says_so() {
        let failed =
            Summary { throughput_rps_median: None, blocks_failed: 5, ..summary("/asyncwait", "async", 1000) };
        let text = render(&[summary("/wait", "sequential", 100), failed], By::Server, Format::Markdown);
        assert!(text.contains("failed<br>≤ 20.0 c<br>5 of 5 failed"), "{text}");
        assert!(text.contains("| async, 1000 by 1 "), "{text}");
    }

    #[test]
    fn servers_stand_side_by_side_under_their_work() {
        let other = Summary { server: "may".into(), ..summary("/wait", "sequential", 100) };
        let text = render(&[other, summary("/wait", "sequential", 100)], By::Work, Format::Markdown);
        assert!(text.starts_with("**sequential, 100**"), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("19.6<br>")).collect();
        assert!(rows.len() == 2 && rows[0].starts_with("| may ") && rows[1].starts_with("| smol "), "{text}");
    }
}
