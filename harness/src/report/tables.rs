//! The article's table, server by server: medians, the range over blocks, the ceiling of arithmetic.

use super::cells::{By, left_out, verdict};
use super::drawing::{Format, drawn};
use super::engine;
use super::figures::rate;
use super::outlook::could_have_told;
use crate::analysis::Analysis;
use crate::analysis::pairs::Pair;
use crate::analysis::summary::Summary;
use std::collections::BTreeSet;

/// Draws the tables of a run: the article's strategies in the article's form, where columns are conditions and
/// routes, and the load engine's with all that is known of each cell. What each workload's pairs could have told
/// stands under its table, and with tables by server at their end.
pub fn render(analysis: &Analysis, by: By, format: Format) -> String {
    let Analysis { summaries, pairs } = analysis;
    let counted = summaries.iter().filter(|s| s.row.requests.is_some());
    let has_article = fits_article(counted.collect());
    let is_article = |s: &&Summary| has_article && s.row.requests.is_some();
    let all: Vec<&Summary> = summaries.iter().collect();
    let (article, engine): (Vec<&Summary>, Vec<&Summary>) = summaries.iter().partition(is_article);
    let mut text = String::new();
    let with_doubts = |table: String, cells: &[&Summary]| {
        let told = if by == By::Work { told(cells, pairs) } else { Vec::new() };
        table + "\n" + &listed(&[told, doubts(cells)].concat(), format)
    };
    match by {
        By::Server => {
            for cells in groups(&all, |s| &*s.row.server) {
                text += &heading(&cells, format);
                let (article, engine): (Vec<&Summary>, Vec<&Summary>) =
                    cells.into_iter().partition(is_article);
                if !article.is_empty() {
                    let rows = groups(&article, |s| s.row.work()).into_iter();
                    let rows = rows.map(|cells| (cells[0].row.work(), cells)).collect();
                    text += &with_doubts(table("strategy, requests", rows, format), &article);
                }
                for cells in groups(&engine, |s| &*s.row.loop_kind) {
                    text += &with_doubts(engine::table(&cells, By::Server, format), &cells);
                }
            }
            text += &listed(&told(&all, pairs), format);
        }
        By::Work => {
            for cells in groups(&article, |s| s.row.work()) {
                text += &format.heading(&cells[0].row.work(), "");
                let rows = groups(&cells, |s| &*s.row.server).into_iter();
                let rows = rows.map(|cells| (cells[0].row.server.clone(), cells)).collect();
                text += &with_doubts(table("server", rows, format), &cells);
            }
            for cells in groups(&engine, |s| &*s.row.workload_id) {
                text += &format.heading(&cells[0].row.workload, &difference(cells[0], &engine));
                text += &with_doubts(engine::table(&cells, By::Work, format), &cells);
            }
        }
    }
    let legends = [
        (!article.is_empty(), ARTICLE),
        (!engine.is_empty(), ENGINE),
        (summaries.iter().any(|s| s.rank_best.is_some()), RANKS),
        (pairs.iter().any(|pair| pair.mde.is_some()), TOLD),
    ];
    let legend: String =
        legends.into_iter().filter(|(is_shown, _)| *is_shown).map(|(_, text)| text).collect();
    text + &format.paragraph(&legend)
}

/// Says in brackets how a workload differs from another one of the same words.
fn difference(s: &Summary, all: &[&Summary]) -> String {
    let is_alike = |o: &&Summary| o.row.workload == s.row.workload && o.row.workload_id != s.row.workload_id;
    match (all.iter().copied().any(|other| is_alike(&other)), s.row.duration_s) {
        (true, Some(seconds)) => format!(" ({seconds} s, {})", s.row.placement),
        _ => String::new(),
    }
}

/// Returns true if the article's form has a place of its own for each of these cells, which it lacks for levels of
/// most factors.
fn fits_article(cells: Vec<&Summary>) -> bool {
    let places: BTreeSet<_> = cells.iter().map(|s| (&s.row.server, s.row.work(), column(s))).collect();
    places.len() == cells.len()
}

/// Says what the pairs of these cells could have told, workload by workload.
fn told(cells: &[&Summary], pairs: &[Pair]) -> Vec<String> {
    let workloads = groups(cells, |s| &*s.row.workload_id);
    let line = |of: &Vec<&Summary>| {
        let row = &of[0].row;
        let its = pairs.iter().filter(|pair| pair.row.workload_id == row.workload_id);
        let its = its.filter(|pair| pair.metric.is_usual_on(&row.loop_kind));
        let line = could_have_told(its)?;
        Some(if workloads.len() > 1 { format!("{}: {line}", row.workload) } else { line })
    };
    workloads.iter().filter_map(line).collect()
}

/// Says why cells are shown and not believed.
pub(super) fn doubts(cells: &[&Summary]) -> Vec<String> {
    let doubted: Vec<&&Summary> =
        cells.iter().filter(|s| !matches!(s.row.verdict.as_str(), "" | "ok")).collect();
    let line = |s: &&Summary| {
        let joint = if s.steady == Some(false) { ": " } else { " in " };
        let left_out = match left_out(s) {
            words if words.is_empty() => "; all are used".to_owned(),
            words => format!("; left out: {words}"),
        };
        let (server, workload, verdict) = (&s.row.server, &s.row.workload, &s.row.verdict);
        format!("{server}, {workload}: {verdict}{joint}{}{left_out}", s.row.verdict_reason)
    };
    let mut lines: Vec<String> = doubted.iter().take(MOST_DOUBTS).copied().map(line).collect();
    let about = |s: &&Summary| Some(format!("{}, {}: {}", s.row.server, s.row.workload, s.about_turns()?));
    lines.extend(cells.iter().filter_map(about));
    if let Some(more) = doubted.len().checked_sub(MOST_DOUBTS).filter(|more| *more > 0) {
        lines.push(format!("and {more} more: see verdict_reason in summary.csv"));
    }
    lines
}

fn listed(lines: &[String], format: Format) -> String {
    if lines.is_empty() { String::new() } else { format.list(lines) + "\n" }
}

/// The most lines under a table.
const MOST_DOUBTS: usize = 8;

/// Groups the summaries that have the same key, both in the order in which they come.
fn groups<'a, K: PartialEq>(
    summaries: &[&'a Summary],
    key: impl Fn(&'a Summary) -> K,
) -> Vec<Vec<&'a Summary>> {
    let mut groups: Vec<Vec<&Summary>> = Vec::new();
    for summary in summaries {
        match groups.iter_mut().find(|members| key(members[0]) == key(summary)) {
            Some(members) => members.push(summary),
            None => groups.push(vec![summary]),
        }
    }
    groups
}

const ARTICLE: &str = "Requests per second: the median over the blocks, its [95% interval] or with fewer than six blocks\n\
(lowest–highest), and ≤ the ceiling that arithmetic gives: c, requests in flight / delay; b, free blocking threads /\n\
delay.\n";

const ENGINE: &str = "Of each figure the median over the blocks; [95% interval] of the one that ranks. Service times are of\n\
closed loops, response times (from when a request was due) of open ones; > 30 s: the percentile lies among requests\n\
that timed out. CPU and switches are per request. Blocks that are not ok are shown. They are left out of the figures\n\
that their verdict speaks against, and a cell with too few that are left has no rank.\n";

const RANKS: &str = "Ranks are what the blocks leave possible: 2–4 is established to be neither the best nor worse than the\n\
fourth. Servers whose ranks overlap may be alike.\n";

const TOLD: &str = "Could have told: the least difference between two servers that these blocks would have established four\n\
times in five, from the pair with the least spread to the one with the largest.\n";

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

fn table(corner: &str, rows: Vec<(String, Vec<&Summary>)>, format: Format) -> String {
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

pub(super) fn column(summary: &Summary) -> (usize, &str, &str) {
    (summary.row.processes, &summary.row.interference, &summary.row.route)
}

pub(super) fn figure(summary: &Summary, line_break: &str) -> String {
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

    fn render(summaries: &[Summary], by: By, format: Format) -> String {
        super::render(&Analysis { summaries: summaries.to_vec(), pairs: Vec::new() }, by, format)
    }

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
    fn a_cell_says_under_the_table_what_was_left_out_of_which_figure() {
        let mut doubted = Summary { blocks_ok: 1, ..summary("/wait", "sequential", 100) };
        (doubted.row.verdict, doubted.row.verdict_reason) =
            ("client_bound".into(), "4 of 5 blocks: 9/s".into());
        let all_used = render(&[doubted.clone()], By::Server, Format::Markdown);
        assert!(all_used.contains("client_bound in 4 of 5 blocks: 9/s; all are used"), "{all_used}");
        doubted.left_out_throughput = "4 client_bound, 1 errors".into();
        doubted.left_out_latency.clone_from(&doubted.left_out_throughput);
        doubted.left_out_cpu = "1 errors".into();
        let text = render(&[doubted], By::Server, Format::Markdown);
        let words = "; left out: 4 client_bound, 1 errors for throughput, latency; 1 errors for cpu";
        assert!(text.contains(words), "{text}");
    }

    #[test]
    fn workloads_that_the_article_s_form_cannot_tell_apart_have_a_line_each() {
        let level = |k: &str| {
            let mut summary = summary("/wait", "sequential", 100);
            summary.row.workload = format!("k = {k}");
            summary.row.workload_id = k.into();
            summary
        };
        let text = render(&[level("1"), level("2")], By::Server, Format::Markdown);
        assert!(text.contains("| k = 1 ") && text.contains("| k = 2 "), "{text}");
        let text = render(&[level("1"), level("2")], By::Work, Format::Markdown);
        assert!(text.contains("**k = 1**") && text.contains("**k = 2**"), "{text}");
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

    #[test]
    fn what_could_have_been_told_stands_with_the_tables() {
        let row = |server: &str, block: usize, workload: &str| Row {
            server: server.into(),
            block,
            workload_id: workload.into(),
            group_id: workload.into(),
            workload: workload.into(),
            loop_kind: "closed".into(),
            verdict: "ok".into(),
            throughput_rps: Some(100.0),
            ..Row::default()
        };
        let of = |workload: &str| -> Vec<Row> {
            (1..=12).flat_map(|block| ["a", "b"].map(|server| row(server, block, workload))).collect()
        };
        let analysis = Analysis::of(&[of("/x"), of("/y")].concat());
        let text = super::render(&analysis, By::Work, Format::Markdown);
        assert_eq!(text.matches("- could have told: requests/s 2%\n").count(), 2, "{text}");
        assert_eq!(text.matches("Could have told: the least").count(), 1, "{text}");
        let text = super::render(&analysis, By::Server, Format::Table);
        assert!(text.contains("/x: could have told: requests/s 2%\n/y: could have told:"), "{text}");
        let text = super::render(&Analysis::of(&of("/x")[..8]), By::Work, Format::Table);
        assert!(!text.to_lowercase().contains("could have told"), "{text}");
    }
}
