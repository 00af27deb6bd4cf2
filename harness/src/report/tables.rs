//! The article's table, server by server: medians, the range over blocks, the ceiling of arithmetic.

use super::cells::{By, verdict};
use super::chart;
use super::drawing::{Format, drawn};
use super::engine;
use super::figures::rate;
use crate::analysis::summary::Summary;
use crate::record::workload::Workload;

/// The tables of a run: the article's strategies in the article's form, where columns are conditions and
/// routes, and the load engine's with all that is known of each cell.
pub fn render(summaries: &[Summary], by: By, format: Format) -> String {
    let (timed, counted): (Vec<&Summary>, Vec<&Summary>) =
        summaries.iter().partition(|summary| Workload::of(&summary.row).is_timed());
    let mut text = String::new();
    match by {
        By::Server => {
            for (server, cells) in groups(summaries.iter(), |s| s.row.server.clone()) {
                text.push_str(&heading(&cells, format));
                let of_server = |cells: &[&Summary]| -> Vec<Summary> {
                    cells.iter().filter(|s| s.row.server == server).map(|s| (*s).clone()).collect()
                };
                let (counted, timed) = (of_server(&counted), of_server(&timed));
                if !counted.is_empty() {
                    let rows = groups(counted.iter(), |s| Workload::of(&s.row).work());
                    text.push_str(&table("strategy, requests", &rows, format));
                    text.push('\n');
                    text.push_str(&doubts(&counted.iter().collect::<Vec<_>>(), format));
                }
                for (_, cells) in groups(timed.iter(), |s| s.row.loop_kind.clone()) {
                    text.push_str(&engine::table(&cells, By::Server, format));
                    text.push('\n');
                    text.push_str(&doubts(&cells, format));
                }
            }
        }
        By::Work => {
            for (work, cells) in groups(counted.into_iter(), |s| Workload::of(&s.row).work()) {
                text.push_str(&format.heading(&work, ""));
                let rows = groups(cells.iter().copied(), |s| s.row.server.clone());
                text.push_str(&table("server", &rows, format));
                text.push('\n');
                text.push_str(&doubts(&cells, format));
                if format == Format::Html {
                    let charts = groups(cells.iter().copied(), |s| Workload::of(&s.row).to_string());
                    let charts = charts.iter().map(|(title, cells)| chart::svg(title, cells));
                    let charts: String = charts.collect();
                    text.push_str(&format!("<details><summary>charts</summary>{charts}</details>\n"));
                }
            }
            for (workload, cells) in groups(timed.iter().copied(), |s| Workload::of(&s.row).to_string()) {
                text.push_str(&format.heading(&workload, ""));
                text.push_str(&engine::table(&cells, By::Work, format));
                text.push('\n');
                text.push_str(&doubts(&cells, format));
                if format == Format::Html {
                    text.push_str(&chart::svg(&workload, &cells));
                }
            }
        }
    }
    text.push_str(&format.paragraph(&legend(summaries)));
    text
}

/// Why cells of the table above are shown and not believed.
fn doubts(cells: &[&Summary], format: Format) -> String {
    let doubted: Vec<&&Summary> =
        cells.iter().filter(|s| !matches!(s.row.verdict.as_str(), "" | "ok")).collect();
    let line = |s: &&Summary| {
        format!("{}, {}: {} in {}", s.row.server, Workload::of(&s.row), s.row.verdict, s.row.verdict_reason)
    };
    let mut lines: Vec<String> = doubted.iter().take(MOST_DOUBTS).copied().map(line).collect();
    if let Some(more) = doubted.len().checked_sub(MOST_DOUBTS).filter(|more| *more > 0) {
        lines.push(format!("and {more} more: see verdict_reason in summary.csv"));
    }
    if lines.is_empty() { String::new() } else { format.list(&lines) + "\n" }
}

/// More lines under a table than that nobody reads.
const MOST_DOUBTS: usize = 8;

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

/// What the marks in the tables mean, those that are there.
fn legend(summaries: &[Summary]) -> String {
    let mut text = String::new();
    if summaries.iter().any(|s| !Workload::of(&s.row).is_timed()) {
        text.push_str(ARTICLE);
    }
    if summaries.iter().any(|s| Workload::of(&s.row).is_timed()) {
        text.push_str(ENGINE);
    }
    if summaries.iter().any(|s| s.rank_best.is_some()) {
        text.push_str(RANKS);
    }
    text
}

const ARTICLE: &str = "Requests per second: the median over the blocks, its [95% interval] or with fewer than six blocks\n\
(lowest–highest), and ≤ the ceiling that arithmetic gives: c, requests in flight / delay; b, free blocking threads /\n\
delay.\n";

const ENGINE: &str = "Of each figure the median over the blocks; [95% interval] of the one that ranks. Service times are of\n\
closed loops, response times (from when a request was due) of open ones; > 30 s: the percentile lies among requests\n\
that timed out. CPU and switches are per request. Blocks that are not ok are shown and do not rank, and a cell with\n\
too few that are has no rank.\n";

const RANKS: &str = "Ranks are what the blocks leave possible: 2–4 is established to be neither the best nor worse than the\n\
fourth. Servers whose ranks overlap may be alike.\n";

fn heading(cells: &[&Summary], format: Format) -> String {
    let Some(first) = cells.first() else { return String::new() };
    let mut facts = vec![format!("{} {}", first.row.runtime, first.row.runtime_version).trim().to_owned()];
    facts.extend(
        [first.row.flavor.clone(), first.row.http_stack.clone()].into_iter().filter(|fact| !fact.is_empty()),
    );
    let one = cells.iter().find(|s| s.row.processes == 1).unwrap_or(first);
    facts.extend(one.row.worker_threads.map(|n| count(n, "worker")));
    facts.extend(one.row.blocking_threads.map(|n| count(n, "blocking thread")));
    facts.push(count(first.blocks, "block"));
    format.heading(&first.row.server, &format!(" ({})", facts.join(", ")))
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
    let line_break = format.line_break();
    let mut header = vec![corner.to_owned()];
    header.extend(columns.iter().map(|(processes, interference, route)| {
        let mut words = vec![format!("{processes} process{}", if *processes == 1 { "" } else { "es" })];
        if !interference.is_empty() {
            words.push(format!("+ {interference}"));
        }
        words.push((*route).to_owned());
        words.join(line_break)
    }));
    let rows = rows.iter().map(|(label, cells)| {
        let mut line = vec![label.clone()];
        line.extend(columns.iter().map(|wanted| {
            let cell = cells.iter().find(|summary| column(summary) == *wanted);
            cell.map_or_else(String::new, |summary| figure(summary, line_break))
        }));
        line
    });
    drawn(header, rows.collect(), 1..columns.len() + 1, format)
}

fn column(summary: &Summary) -> (usize, &str, &str) {
    (summary.row.processes, &summary.row.interference, &summary.row.route)
}

fn figure(summary: &Summary, line_break: &str) -> String {
    let mut lines = Vec::new();
    match summary.row.throughput_rps {
        Some(median) => {
            lines.push(rate(median));
            let interval = summary.low.throughput_rps.zip(summary.high.throughput_rps);
            let range = summary.min.throughput_rps.zip(summary.max.throughput_rps);
            lines.extend(match (interval, range) {
                (Some((low, high)), _) => Some(format!("[{}–{}]", rate(low), rate(high))),
                (None, Some((min, max))) => Some(format!("({}–{})", rate(min), rate(max))),
                (None, None) => None,
            });
        }
        None => lines.push("failed".to_owned()),
    }
    if let Some(ceiling) = summary.row.ceiling_rps {
        let by = if summary.row.ceiling_by == "blocking_threads" { "b" } else { "c" };
        lines.push(format!("≤ {} {by}", rate(ceiling)));
    }
    if summary.blocks_failed > 0 {
        lines.push(format!("{} of {} failed", summary.blocks_failed, summary.blocks));
    }
    if !matches!(summary.row.verdict.as_str(), "" | "ok" | "failed") {
        lines.push(verdict(summary));
    }
    lines.extend(summary.rank().map(|rank| format!("rank {rank}")));
    lines.join(line_break)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::row::Row;

    fn summary(route: &str, strategy: &str, requests: u64) -> Summary {
        let row = Row {
            server: "smol".into(),
            runtime: "smol".into(),
            runtime_version: "2.0.2".into(),
            http_stack: "hyper 1.12.0".into(),
            worker_threads: Some(2),
            processes: 1,
            route: route.into(),
            strategy: strategy.into(),
            requests: Some(requests),
            concurrency: 1,
            ceiling_rps: Some(20.0),
            ceiling_by: "concurrency".into(),
            ..throughput(Some(19.64))
        };
        let (min, max) = (throughput(Some(19.5)), throughput(Some(1234.4)));
        Summary { row, min, max, blocks: 5, ..Summary::default() }
    }

    fn throughput(rps: Option<f64>) -> Row {
        Row { throughput_rps: rps, ..Row::default() }
    }

    #[test]
    fn figures_stand_with_their_range_or_interval_and_ceiling() {
        let text = render(&[summary("/wait", "sequential", 100)], By::Server, Format::Markdown);
        assert!(text.contains("**smol** (smol 2.0.2, hyper 1.12.0, 2 workers, 5 blocks)"), "{text}");
        assert!(text.contains("19.6<br>(19.5–1234)<br>≤ 20.0 c"), "{text}");
        assert!(text.contains("| sequential, 100 "), "{text}");
        let (low, high) = (Some(19.61), Some(19.66));
        let known =
            Summary { low: throughput(low), high: throughput(high), ..summary("/wait", "sequential", 100) };
        let text = render(&[known], By::Server, Format::Markdown);
        assert!(text.contains("19.6<br>[19.6–19.7]<br>≤ 20.0 c"), "{text}");
    }

    #[test]
    fn a_cell_that_does_not_exist_is_empty_and_one_that_failed_says_so() {
        let mut failed = Summary { blocks_failed: 5, ..summary("/asyncwait", "async", 1000) };
        failed.row.throughput_rps = None;
        let text = render(&[summary("/wait", "sequential", 100), failed], By::Server, Format::Markdown);
        assert!(text.contains("failed<br>≤ 20.0 c<br>5 of 5 failed"), "{text}");
        assert!(text.contains("| async, 1000 by 1 "), "{text}");
    }

    #[test]
    fn servers_stand_side_by_side_under_their_work() {
        let mut other = summary("/wait", "sequential", 100);
        other.row.server = "may".into();
        let text = render(&[other, summary("/wait", "sequential", 100)], By::Work, Format::Markdown);
        assert!(text.starts_with("**sequential, 100**"), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("19.6<br>")).collect();
        assert!(rows.len() == 2 && rows[0].starts_with("| may ") && rows[1].starts_with("| smol "), "{text}");
    }
}
