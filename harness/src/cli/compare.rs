//! `harness compare`: two runs, or two servers, block by block.

use crate::analysis::comparison::{CommonCell, Compared, common, compare};
use crate::analysis::counted;
use crate::analysis::fail_on::{Bound, Finding, worst};
use crate::analysis::metric::{Metric, MetricName};
use crate::analysis::pairs::{Delta, Pair, control_ratios, delta_of};
use crate::analysis::role::is_unjudged;
use crate::analysis::side::Side;
use crate::analysis::usable::{usable, words};
use crate::cli::args::{CompareArgs, CompareFormat};
use crate::exit::{Exit, usage};
use crate::record::counts::CountRow;
use crate::report::figures::percent;
use crate::report::{comparison, fail_on};
use anyhow::Result;
use stats::difference::blocks_needed;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

/// Compares, and says what became of every `--fail-on`.
///
/// # Errors
/// A usage error: no such run, server or metric, or nothing that both have.
pub(super) fn run(args: &CompareArgs) -> Result<Exit> {
    if let Some((a, b)) = counted::sides(&args.a, &args.b)? {
        return counts(args, &a, &b);
    }
    let metrics = args.metric.iter().map(|name| MetricName::find(name)).collect::<Result<Vec<_>>>()?;
    let bounds = args.fail_on.iter().map(|text| Bound::parse(text)).collect::<Result<Vec<_>>>()?;
    let (a, b) = (Side::read(&args.a)?, Side::read(&args.b)?);
    refuse_nonsense(&a, &b)?;
    let cells = common(&a.rows, &b.rows, a.server.is_some());
    if cells.is_empty() {
        return Err(usage!("nothing that both have: A is {}; B is {}", a.contents(), b.contents()));
    }
    let asked = |loop_kind: &str| {
        let mut asked = if metrics.is_empty() { defaults(loop_kind) } else { metrics.clone() };
        asked.extend(bounds.iter().map(|bound| bound.asked));
        asked
    };
    let compared = compare(&cells, asked, |metric| delta(&a, &b, metric), a.alpha.min(b.alpha));
    let judge = |bound: &Bound| {
        let found = bound.find_all(&compared);
        (worst(&found), fail_on::lines(bound, &found))
    };
    let findings: Vec<(Finding, Vec<String>)> = bounds.iter().map(judge).collect();

    let head = head(&a, &b, &cells, &compared);
    let lines = findings.iter().flat_map(|(_, lines)| lines.clone()).collect::<Vec<_>>();
    let mut out = std::io::stdout().lock();
    // Whoever closed stdout has read enough; the exit code says the rest.
    _ = match args.format {
        CompareFormat::Csv => {
            for line in head.iter().chain(&lines) {
                eprintln!("{line}");
            }
            out.write_all(&comparison::csv(&compared)?)
        }
        CompareFormat::Table | CompareFormat::Markdown => {
            let format = args.format.table();
            let table = comparison::table(&compared, format);
            let gap = if lines.is_empty() { "" } else { "\n" };
            let head = format.list(&head);
            write!(out, "{head}\n{table}{gap}{}", format.list(&lines))
        }
    };
    // An empty table is no answer.
    let unasked = if compared.is_empty() { Exit::Invalid } else { Exit::Done };
    Ok(findings.iter().map(|(finding, _)| *finding).max().map_or(unasked, Finding::exit))
}

/// Compares counted figures, which have ranges over their repeats in place of intervals.
fn counts(args: &CompareArgs, a: &[CountRow], b: &[CountRow]) -> Result<Exit> {
    let mut figures =
        args.metric.iter().map(|name| counted::Figure::find(name)).collect::<Result<Vec<_>>>()?;
    let limits = args.fail_on.iter().map(|text| counted::Bound::parse(text)).collect::<Result<Vec<_>>>()?;
    if figures.is_empty() {
        figures.push(counted::Figure::INSTRUCTIONS);
    }
    for limit in &limits {
        if !figures.contains(&limit.figure) {
            figures.push(limit.figure);
        }
    }
    let compared = counted::compare(a, b, &figures);
    if compared.is_empty() {
        return Err(usage!("nothing that both have: A and B have no server and workload in common"));
    }
    let found: Vec<_> =
        limits.iter().map(|limit| (limit.worst(&compared), comparison::limit(limit, &compared))).collect();
    let lines: String = found.iter().flat_map(|(_, lines)| lines).map(|line| format!("{line}\n")).collect();
    let text = match args.format {
        CompareFormat::Csv => {
            eprint!("{lines}");
            String::from_utf8(comparison::counted_csv(&compared)?)?
        }
        format => comparison::counted(&compared, format.table()) + &lines,
    };
    // A closed stdout is not an error.
    _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(found.iter().map(|(finding, _)| *finding).max().map_or(Exit::Done, Finding::exit))
}

/// What is compared where nothing is said: on an open loop the schedule sets the throughput.
fn defaults(loop_kind: &str) -> Vec<MetricName> {
    let names: &[&str] = if loop_kind == "open" { &["p50", "p99", "cpu"] } else { &["throughput", "cpu"] };
    MetricName::all().into_iter().filter(|asked| names.contains(&asked.name)).collect()
}

fn refuse_nonsense(a: &Side, b: &Side) -> Result<()> {
    let shown = |side: &Side| side.dir.display().to_string();
    match (&a.server, &b.server) {
        (Some(server), None) => Err(usage!("give both sides a server: did you mean {}:{server}?", shown(b))),
        (None, Some(server)) => Err(usage!("give both sides a server: did you mean {}:{server}?", shown(a))),
        (a_server, b_server) if a_server == b_server && a.is_same_run(b) => {
            Err(usage!("that is the same twice: give two runs, or two servers as {}:SERVER", shown(a)))
        }
        _ => Ok(()),
    }
}

/// δ of a metric, from the controls of the run or of both.
fn delta(a: &Side, b: &Side, metric: Metric) -> Delta {
    let mut ratios = control_ratios(&a.run, metric);
    if !a.is_same_run(b) {
        ratios.extend(control_ratios(&b.run, metric));
    }
    delta_of(ratios.into_iter())
}

/// What stands above the table: what is compared, with what, and what speaks against it.
fn head(a: &Side, b: &Side, cells: &[CommonCell<'_>], compared: &[Compared<'_>]) -> Vec<String> {
    let mut lines = vec![format!("A: {}", a.title()), format!("B: {}", b.title())];
    let rows = || cells.iter().flat_map(|cell| cell.a.iter().chain(&cell.b)).copied();
    let blocks =
        |of: fn(&CommonCell<'_>) -> Vec<usize>| cells.iter().flat_map(of).collect::<BTreeSet<usize>>().len();
    let (in_a, in_b) = (
        blocks(|cell| cell.a.iter().map(|row| row.block).collect()),
        blocks(|cell| cell.b.iter().map(|row| row.block).collect()),
    );
    let used = |metric: Metric| {
        let mut left_out: BTreeMap<&str, usize> = BTreeMap::new();
        let mut used = 0;
        for rows in cells.iter().flat_map(|cell| [&cell.a, &cell.b]) {
            let usable = usable(rows, metric.figure());
            used += usable.rows.len();
            usable.left_out.into_iter().for_each(|(word, n)| *left_out.entry(word).or_default() += n);
        }
        let words =
            if left_out.is_empty() { String::new() } else { format!(", left out: {}", words(&left_out)) };
        format!("{used} of {} rows used{words}", rows().count())
    };
    let mut metrics: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let of_all: BTreeSet<Metric> = compared.iter().map(|one| one.pair.metric).collect();
    for metric in if of_all.is_empty() { BTreeSet::from([Metric::THROUGHPUT]) } else { of_all } {
        metrics.entry(used(metric)).or_default().push(metric.column());
    }
    let facts = format!("{} that both have; {in_a} blocks in A, {in_b} in B", count(cells.len(), "cell"));
    match metrics.first_key_value() {
        // The same rows are good for every figure.
        Some((used, _)) if metrics.len() == 1 => lines.push(format!("{facts}; {used}")),
        _ => {
            lines.push(facts);
            let of = |(used, metrics): (String, Vec<&str>)| format!("{}: {used}", metrics.join(", "));
            lines.extend(metrics.into_iter().map(of));
        }
    }
    if compared.is_empty() {
        lines.push(
            "nothing to compare: no row of either side that may be used has any of these figures".into(),
        );
        return lines;
    }
    lines.push(delta_line(compared));
    let metrics: BTreeSet<&str> = compared.iter().map(|one| one.pair.metric.column()).collect();
    if metrics.iter().any(|metric| metric.starts_with("service")) {
        lines.push(
            "service times are of closed loops, where a late answer delays the next request; \
             open loops have response times"
                .to_owned(),
        );
    }
    let short = compared.iter().filter(|one| one.pair.ratio.is_some() && !one.pair.decidable);
    let short = short.count();
    if short > 0 {
        lines.push(format!(
            "note: {short} of {} comparisons have too few blocks for the test to ever tell a difference; it takes \
             {}",
            compared.len(),
            blocks_needed(a.alpha.min(b.alpha))
        ));
    }
    if rows().any(is_unjudged) {
        lines.push(
            "note: nobody judged some of these rows (schema 1, or no gate applied); they are used as they are"
                .to_owned(),
        );
    }
    if !a.is_same_run(b) {
        lines.push(
            "note: two runs were not interleaved: what changed on the machine between them is inside every \
             difference. Better: both builds in one run, under two names (docs/compare.md)"
                .to_owned(),
        );
        let differences = a.differences(b);
        if !differences.is_empty() {
            lines.push(format!("WARNING: the runs differ in {}", differences.join(", ")));
        }
    }
    lines
}

/// δ of every metric and where it comes from: `δ: throughput_rps 2% (floor)`.
fn delta_line(compared: &[Compared<'_>]) -> String {
    let deltas: BTreeMap<&str, &Pair> =
        compared.iter().map(|one| (one.pair.metric.column(), &one.pair)).collect();
    if deltas.values().all(|pair| pair.delta_cells == 0) {
        return "δ, the least difference that counts: 2%, the floor, since no run has an A/A control of it"
            .into();
    }
    let one = |(metric, pair): (&&str, &&Pair)| {
        let from = match pair.delta_cells {
            0 => "floor".to_owned(),
            n => count(n, "A/A control"),
        };
        format!("{metric} {} ({from})", percent(pair.delta))
    };
    let all: Vec<String> = deltas.iter().map(one).collect();
    format!("δ, the least difference that counts: {}", all.join(", "))
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
