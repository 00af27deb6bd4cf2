//! The answer of an experiment: its question, and a table for each figure that answers it. Servers down, levels
//! across; each cell says what its blocks established.

use crate::analysis::Analysis;
use crate::analysis::pairs::Pair;
use crate::analysis::summary::interval;
use crate::analysis::turns::with_what_counts;
use crate::analysis::usable::usable;
use crate::exit::usage;
use crate::experiment::model::{Compare, Experiment};
use crate::record::column::{Column, Record as _};
use crate::record::directory::read_run;
use crate::record::row::Row;
use crate::record::rows::{counting, is_trial};
use crate::report::drawing::{Format, drawn};
use crate::report::figures;
use crate::report::outlook::could_have_told;
use anyhow::{Context as _, Result, anyhow};
use serde::Deserialize;
use stats::median;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The experiment's tables.
///
/// # Errors
/// The experiment has a figure that is no column.
pub fn render(experiment: &Experiment, rows: &[Row], analysis: &Analysis, format: Format) -> Result<String> {
    let searched: BTreeSet<&str> =
        rows.iter().filter(|row| is_trial(row)).map(|row| row.server.as_str()).collect();
    let rows = contestants(rows);
    let mut text = about(experiment, &rows, &searched, format);
    for figure in &experiment.figures {
        let figure = Figure::find(figure)?;
        text.push_str(&table(&figure, experiment, &rows, &analysis.pairs, format));
    }
    text.push_str(&format.paragraph(match experiment.compare {
        Compare::Servers => BEST,
        Compare::Factor { .. } | Compare::Phases { .. } => BASELINE,
    }));
    Ok(text)
}

/// The rows of the contestants that count, with the figures that count.
pub(super) fn contestants(rows: &[Row]) -> Vec<Row> {
    let rows = with_what_counts(&counting(rows));
    rows.into_iter().filter(|row| row.role == "contestant").collect()
}

const BEST: &str = "Of each figure the median over the blocks and its [95% interval]. `·`: not told from the \
best of its column. `!`: what comparisons leave out of the figure, and in how many blocks. Could have told: the least \
difference that these blocks would have established four times in five, from the quietest pair to the noisiest.\n";

const BASELINE: &str = "Of each figure the median over the blocks and its [95% interval]; under it how it differs \
from the baseline, the first column, with the ratio and its 95% interval, where that is established. `!`: what \
comparisons leave out of the figure, and in how many blocks. Could have told: the least difference from the baseline that \
these blocks would have established four times in five, from the quietest pair to the noisiest.\n";

/// The experiment of the run in `directory`.
///
/// # Errors
/// There is none: it is no run, or one of before there were experiments.
pub fn experiment_of(directory: &Path) -> Result<Experiment> {
    #[derive(Deserialize)]
    struct File {
        measured: Option<Experiment>,
    }
    let file: File = read_run(directory)?;
    file.measured
        .ok_or_else(|| usage!("{}: the run is of before there were experiments", directory.display()))
}

/// The line that a spliced part ends before.
const END: &str = "<!-- end of measured -->";

/// Puts `text` between the marks of a page, in place of what is there: those of `NAME` in `FILE#NAME`, where it has
/// several. The first mark notes `made_by`.
///
/// # Errors
/// The page cannot be read or written, or has no marks.
pub fn splice(page: &str, made_by: &str, text: &str) -> Result<()> {
    let (path, name) = page.split_once('#').map_or((page, None), |(path, name)| (path, Some(name)));
    let path = Path::new(path);
    let page = fs::read_to_string(path).map_err(|error| usage!("cannot read {}: {error}", path.display()))?;
    let begin = &*name.map_or("<!-- measured: ".to_owned(), |name| format!("<!-- measured {name}: "));
    let end = END;
    let parts = page.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let (before, after) =
        parts.ok_or_else(|| usage!("{}: there is no line '{begin}-->' and later '{end}'", path.display()))?;
    fs::write(path, format!("{before}{begin}{made_by} -->\n\n{}\n\n{end}{after}", text.trim()))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A figure of an experiment: a column, of one load where there are several.
pub(super) struct Figure<'a> {
    load: Option<&'a str>,
    pub(super) column: &'static Column<Row>,
}

impl<'a> Figure<'a> {
    pub(super) fn find(name: &'a str) -> Result<Figure<'a>> {
        let (load, column) = match name.rsplit_once('.') {
            Some((load, column)) => (Some(load), column),
            None => (None, name),
        };
        let column = Row::COLUMNS.iter().find(|known| known.name == column);
        let column = column.ok_or_else(|| anyhow!("figures: there is no column '{name}'"))?;
        Ok(Figure { load, column })
    }

    pub(super) fn is_of(&self, row: &Row) -> bool {
        self.load.is_none_or(|load| row.load == load) && (self.column.number)(row).is_some()
    }
}

/// What was run, in a few lines.
fn about(experiment: &Experiment, rows: &[Row], searched: &BTreeSet<&str>, format: Format) -> String {
    let blocks: BTreeSet<usize> = rows.iter().map(|row| row.block).filter(|block| *block > 0).collect();
    let workers: BTreeMap<&str, Option<usize>> = rows
        .iter()
        .filter(|row| row.error.is_empty())
        .map(|row| (&*row.server, row.worker_threads))
        .collect();
    // Before schema 6 the files said `0 1` and not `cpu 0 1`.
    let cpus = rows.iter().map(|row| row.server_cpus.trim_start_matches("cpu "));
    let cpus: BTreeSet<&str> = cpus.filter(|cpus| !cpus.is_empty()).collect();
    let mut by_workers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (server, n) in workers {
        let words = n.map_or("a thread for each connection".to_owned(), |n| {
            format!("{n} worker{}", if n == 1 { "" } else { "s" })
        });
        by_workers.entry(words).or_default().push(server);
    }
    let workers: Vec<String> =
        by_workers.iter().map(|(words, servers)| format!("{words}: {}", servers.join(", "))).collect();
    let placed = rows.first().map_or("", |row| &row.placement);
    let (asked_in, prediction) = (experiment.asked_in.join(", "), &experiment.prediction);
    let mut lines = vec![format!("Question: {}", experiment.question)];
    lines.extend((!asked_in.is_empty()).then(|| format!("Asked in: {asked_in}")));
    lines.extend((!prediction.is_empty()).then(|| format!("Predicted before measuring: {prediction}")));
    lines.push(format!(
        "{} blocks; placement {placed}, the server on CPU {}; {}",
        blocks.len(),
        cpus.into_iter().collect::<Vec<_>>().join(" or "),
        workers.join("; ")
    ));
    lines.extend(knees(rows, searched));
    format.list(&lines) + "\n"
}

/// What a search found for each server, if there was one.
fn knees(rows: &[Row], searched: &BTreeSet<&str>) -> Option<String> {
    let found: BTreeMap<&str, f64> =
        rows.iter().filter_map(|row| Some((row.server.as_str(), row.knee_rps?))).collect();
    let knee = |server: &&str| match found.get(*server) {
        Some(rps) => format!("{server} {}/s", figures::rate(*rps)),
        None => format!("{server} none, and left out"),
    };
    let words: Vec<String> = searched.iter().map(knee).collect();
    (!words.is_empty())
        .then(|| format!("Knees, from one search before the first block: {}", words.join(", ")))
}

fn table(
    figure: &Figure<'_>,
    experiment: &Experiment,
    rows: &[Row],
    pairs: &[Pair],
    format: Format,
) -> String {
    let rows: Vec<&Row> = rows.iter().filter(|row| figure.is_of(row)).collect();
    // Phases in the order of their time.
    let mut columns: BTreeMap<(usize, u64, &str), &Row> = BTreeMap::new();
    let mut servers: Vec<&str> = Vec::new();
    for row in &rows {
        let before_ms = (row.warmup_s.unwrap_or(0.0) * 1e3) as u64;
        columns.entry((row.workload_no, before_ms, &row.phase)).or_insert(row);
        if !servers.contains(&&*row.server) {
            servers.push(&row.server);
        }
    }
    servers.sort_unstable();
    let columns: Vec<&Row> = columns.into_values().collect();
    let names = varying(&columns);
    let header =
        std::iter::once("server".to_owned()).chain(columns.iter().map(|row| label(row, &names, format)));
    let body = servers.iter().map(|server| {
        let cells = columns.iter().map(|column| {
            let its: Vec<&Row> = rows
                .iter()
                .copied()
                .filter(|row| row.server == *server && row.workload_id == column.workload_id)
                .collect();
            cell(figure, experiment, &its, pairs, &rows, format)
        });
        std::iter::once((*server).to_owned()).chain(cells).collect()
    });
    let count = columns.len() + 1;
    let title = match figure.load {
        Some(load) => format!("{} of {load}", figure.column.name),
        None => figure.column.name.to_owned(),
    };
    if columns.is_empty() {
        return format.paragraph(&format!("{title}: no row has a value.\n\n"));
    }
    let meaning = format!(": {}", figure.column.meaning);
    let is_shown = |pair: &&Pair| {
        pair.metric.column() == figure.column.name
            && columns.iter().any(|column| column.workload_id == pair.row.workload_id)
    };
    let told = could_have_told(pairs.iter().filter(is_shown)).map(|line| format.list(&[line]) + "\n");
    format.heading(&title, &meaning)
        + &drawn(header.collect(), body.collect(), 1..count, format)
        + "\n"
        + &told.unwrap_or_default()
}

/// The names of the factors that have more than one level among these columns.
pub(super) fn varying<'a>(columns: &[&'a Row]) -> Vec<&'a str> {
    let mut levels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in columns {
        for (name, level) in &row.factors {
            levels.entry(name).or_default().insert(level);
        }
    }
    let all = columns.len();
    let everywhere = |name: &str| columns.iter().filter(|row| row.factors.contains_key(name)).count() == all;
    let varies = levels.into_iter().filter(|(name, levels)| levels.len() > 1 || !everywhere(name));
    varies.map(|(name, _)| name).collect()
}

/// What a column is about: the levels that vary, and its phase.
pub(super) fn label(row: &Row, names: &[&str], format: Format) -> String {
    let level = |name: &&str| row.factors.get(*name).map(|level| format!("{name} = {level}"));
    let mut words: Vec<String> = names.iter().filter_map(level).collect();
    if !row.phase.is_empty() {
        words.push(row.phase.clone());
    }
    if words.is_empty() { row.workload.clone() } else { words.join(format.line_break()) }
}

fn cell(
    figure: &Figure<'_>,
    experiment: &Experiment,
    rows: &[&Row],
    pairs: &[Pair],
    all: &[&Row],
    format: Format,
) -> String {
    let values = values(figure, rows);
    let Some(middle) = median(&values) else { return "-".to_owned() };
    let unit = figure.column.unit;
    let mut lines = vec![figures::in_unit(unit, middle, interval(&values))];
    // A column that is no metric is in no comparison.
    let left_out = figure.column.metric.map(|metric| usable(rows, metric.figure).words()).unwrap_or_default();
    let first = rows[0];
    let pair = |is: &dyn Fn(&Pair) -> bool| {
        pairs.iter().find(|pair| pair.metric.column() == figure.column.name && !pair.is_control && is(pair))
    };
    match experiment.compare {
        Compare::Factor { .. } | Compare::Phases { .. } if first.workload_id != first.group_id => {
            let its = pair(&|pair| {
                pair.server == first.server
                    && pair.row.workload_id == first.workload_id
                    && pair.against_workload_id == first.group_id
            });
            lines.extend(its.map(difference));
        }
        Compare::Factor { .. } | Compare::Phases { .. } => {}
        Compare::Servers => {
            let best = best(figure, &first.workload_id, all);
            let told = best.as_deref() == Some(&first.server)
                || pair(&|pair| {
                    let both = [pair.server.as_str(), pair.against.as_str()];
                    pair.row.workload_id == first.workload_id
                        && both.contains(&&*first.server)
                        && best.as_deref().is_some_and(|best| both.contains(&best))
                })
                .is_some_and(Pair::is_apart);
            if figure.column.metric.is_some() && !told {
                lines[0].push_str(" ·");
            }
        }
    }
    if !left_out.is_empty() {
        lines.push(format!("! {}", left_out.replace('_', " ")));
    }
    lines.join(format.line_break())
}

/// The values of a cell's blocks. A row with an error has none.
pub(super) fn values(figure: &Figure<'_>, rows: &[&Row]) -> Vec<f64> {
    rows.iter().filter(|row| row.error.is_empty()).filter_map(|row| (figure.column.number)(row)).collect()
}

/// The server with the best median on a workload.
fn best(figure: &Figure<'_>, workload_id: &str, rows: &[&Row]) -> Option<String> {
    let higher =
        figure.column.metric.is_some_and(|metric| metric.better == stats::difference::Better::Higher);
    let mut cells: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.workload_id == workload_id) {
        cells.entry(&row.server).or_default().push(row);
    }
    let medians =
        cells.into_iter().filter_map(|(server, rows)| Some((median(&values(figure, &rows))?, server)));
    let best = medians.reduce(|a, b| if (b.0 > a.0) == higher { b } else { a });
    best.map(|(_, server)| server.to_owned())
}

/// What a pair says of a level: `slower: 1.92 [1.85–1.99]`.
fn difference(pair: &Pair) -> String {
    match &*pair.verdict {
        _ if !pair.decidable && pair.verdict != "equivalent" => "too few blocks".to_owned(),
        "inconclusive" => "not told".to_owned(),
        word => format!("{word}: {}", figures::ratio(pair.ratio.unwrap_or(1.0), pair.interval())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::file;

    fn row(server: &str, block: usize, k: &str, value: f64) -> Row {
        Row {
            server: server.into(),
            role: "contestant".into(),
            block,
            attempt: 1,
            load: "probe".into(),
            workload_id: format!("k{k}"),
            workload_no: if k == "0" { 1 } else { 2 },
            group_id: "k0".into(),
            factors: [("k".to_owned(), k.to_owned())].into(),
            verdict: "ok".into(),
            worker_threads: Some(2),
            response_p50_us: Some(value * (1.0 + block as f64 / 1000.0)),
            ..Row::default()
        }
    }

    fn experiment() -> Experiment {
        let text = "question = 'q'\nblocks = 12\ncompare = { factor = 'k', baseline = 0 }\n\
            figures = ['probe.response_p50_us']\n[factors]\nk = [0, 1]\n[[load]]\nname = 'probe'\n\
            strategy = 'closed-loop'\nroute = 'wait'\nduration_s = 1\n[[load]]\nbackground = true\n\
            strategy = 'closed-loop'\nroute = 'fib/20'\nconcurrency = '{k}'\n";
        file::parse("x", text).expect("valid")
    }

    #[test]
    fn a_level_stands_beside_its_baseline_with_what_was_established() {
        let rows: Vec<Row> = (1..=12)
            .flat_map(|block| {
                [("a", "0", 1000.0), ("a", "1", 2000.0), ("b", "0", 1000.0), ("b", "1", 1000.0)]
                    .map(|(server, k, value)| row(server, block, k, value))
            })
            .collect();
        let text =
            render(&experiment(), &rows, &Analysis::of(&rows), Format::Markdown).expect("known figures");
        assert!(text.contains("| server |") && text.contains(" k = 0 |"), "{text}");
        assert!(text.contains("slower: 2.000 [2.000–2.000]"), "{text}");
        assert!(text.contains("equivalent: 1.000"), "{text}");
        assert!(text.contains("2 workers: a, b"), "{text}");
        assert!(text.contains("- could have told: response p50 2%\n"), "{text}");
    }

    #[test]
    fn a_cell_says_what_is_left_out_of_its_figure() {
        let rows: Vec<Row> = (1..=12).map(|block| row("a", block, "0", 1000.0)).collect();
        let of = |verdict: &str| {
            let mut rows = rows.clone();
            rows[0].verdict = verdict.into();
            render(&experiment(), &rows, &Analysis::of(&rows), Format::Markdown).expect("known figures")
        };
        assert!(of("late_generator").contains("<br>! 1 late generator"));
        assert!(!of("client_bound").contains("<br>!"), "one of twelve is used like the others");
    }

    #[test]
    fn every_experiment_s_figures_are_columns() {
        for experiment in file::all().expect("valid") {
            for figure in &experiment.figures {
                assert!(Figure::find(figure).is_ok(), "{}: {figure}", experiment.name);
            }
        }
    }

    #[test]
    fn what_is_spliced_takes_the_place_of_what_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let page = folder.path().join("page.md");
        fs::write(&page, "# A\n<!-- measured: -->\nold\n<!-- end of measured -->\nrest\n").expect("written");
        let path = page.to_str().expect("UTF-8");
        splice(path, "x", "new\n").expect("marks");
        splice(path, "y", "newer\n").expect("marks");
        let text = fs::read_to_string(&page).expect("readable");
        assert_eq!(text, "# A\n<!-- measured: y -->\n\nnewer\n\n<!-- end of measured -->\nrest\n");
        fs::write(&page, "# A\n").expect("written");
        assert!(splice(path, "x", "new").is_err());
        let two = "<!-- measured a: -->\n1\n<!-- end of measured -->\n<!-- measured b: -->\n2\n<!-- end of measured -->\n";
        fs::write(&page, two).expect("written");
        splice(&format!("{path}#b"), "x", "new").expect("marks");
        let text = fs::read_to_string(&page).expect("readable");
        assert!(
            text.contains("\n1\n")
                && text.ends_with("<!-- measured b: x -->\n\nnew\n\n<!-- end of measured -->\n"),
            "{text}"
        );
    }
}
