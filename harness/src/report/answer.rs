//! What a run answers, on one screen: servers down, workloads across, one figure each; what was told apart, in a few
//! sentences; and where the rest is.

use super::about::About;
use super::figures::{self, rate, three};
use super::outlook::told;
use super::words::sentences;
use crate::analysis::map::{Against, Map, MapCell, MapColumn, Standing};
use crate::analysis::metric::Metric;
use crate::record::row::Row;
use crate::report::page::varying;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets::NOTHING};
use console::style;
use stats::difference::BLOCKS_NEEDED;

/// The width where there is no terminal, in characters.
pub const WIDTH: usize = 80;
/// A screen, in lines. Sentences are left out before it is full.
const LINES: usize = 24;
/// The most sentences.
const SENTENCES: usize = 5;
/// The characters before a line, and between columns.
const MARGIN: usize = 2;

/// Draws the answer of a run, so wide at the most.
pub fn render(map: &Map, about: &About, width: usize) -> String {
    let mut lines = vec![about.headline(map), String::new()];
    let labels = labels(map);
    let mut first = 0;
    while first < map.workloads.len() {
        let fits = |count: &usize| {
            let last = first + count;
            last <= map.workloads.len() && widest(&table(map, &labels, first, last)) <= width
        };
        let count = (1..=map.workloads.len() - first).take_while(fits).last().unwrap_or(1);
        lines.extend(table(map, &labels, first, first + count));
        lines.push(String::new());
        first += count;
    }
    lines.extend(wrapped(&legend(map, about.blocks), width));
    let last = about.last_lines(map);
    let room = LINES.saturating_sub(lines.len() + last.len() + 1).max(1);
    let mut said: Vec<String> = Vec::new();
    for sentence in sentences(map).into_iter().take(SENTENCES) {
        let its = wrapped(&[sentence], width);
        if !said.is_empty() && said.len() + its.len() > room {
            break;
        }
        said.extend(its);
    }
    lines.extend(said);
    lines.extend(last.iter().flat_map(|line| wrapped(std::slice::from_ref(line), width)));
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn widest(lines: &[String]) -> usize {
    lines.iter().map(|line| console::measure_text_width(line)).max().unwrap_or(0)
}

/// Breaks sentences into lines, each sentence on a line of its own.
fn wrapped(sentences: &[String], width: usize) -> Vec<String> {
    let room = textwrap::Options::new(width).initial_indent("  ").subsequent_indent("    ");
    sentences.iter().flat_map(|sentence| textwrap::wrap(sentence, &room)).map(Into::into).collect()
}

/// The lines above each column: its route, what happens there, and its figure with the unit.
fn labels(map: &Map) -> Vec<Vec<String>> {
    let rows: Vec<&Row> = map.workloads.iter().map(|column| &column.row).collect();
    let factors = varying(&rows);
    let of = |column: &MapColumn| {
        let row = &column.row;
        let mut lines = vec![row.route.clone(), work(row)];
        let level = |name: &&str| row.factors.get(*name).map(|level| format!("{name} = {level}"));
        // The levels of a factor that is no more than the route or the strategy are said already.
        let said = |line: &String| !row.route.contains(line.rsplit(" = ").next().unwrap_or_default());
        if column.against == Against::Baseline {
            lines.extend(factors.iter().filter_map(level).filter(said));
        }
        lines.extend([&row.phase].into_iter().filter(|phase| !phase.is_empty()).cloned());
        if !row.interference.is_empty() {
            lines.push(format!("beside {}", row.interference.trim_start_matches('/')));
        }
        if row.processes > 1 {
            lines.push(format!("{} processes", row.processes));
        }
        lines.push(unit(column).0);
        lines
    };
    map.workloads.iter().map(of).collect()
}

/// What the client does, in two words.
pub(super) fn work(row: &Row) -> String {
    match (row.strategy.as_str(), row.requests, row.offered_rps) {
        ("churn", _, Some(rps)) => format!("{}/s, churn", rate(rps).trim_end_matches(".0")),
        (_, None, Some(rps)) => format!("{}/s", rate(rps).trim_end_matches(".0")),
        ("sequential", ..) => "one by one".to_owned(),
        (strategy, Some(requests), _) => format!("{strategy} {requests}"),
        ("churn", ..) => "new connections".to_owned(),
        _ => format!("{} in flight", row.concurrency),
    }
}

/// The figure of a column with the unit that suits its best value, and by what a value is divided for that.
fn unit(column: &MapColumn) -> (String, f64) {
    let best = column.best().map_or(1.0, |(_, value)| value);
    let (divisor, unit) = figures::scale_of(column.metric.unit(), best);
    let name = match column.metric {
        Metric::CPU => format!("CPU {unit}/request"),
        Metric::THROUGHPUT => "requests/s".to_owned(),
        metric => format!("{} {unit}", figures::name(metric)),
    };
    (name.trim_end().to_owned(), divisor)
}

/// The columns from `first` until before `last`, as lines.
fn table(map: &Map, labels: &[Vec<String>], first: usize, last: usize) -> Vec<String> {
    let columns = &map.workloads[first..last];
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let heights = labels[first..last].iter().map(Vec::len).max().unwrap_or(0);
    let (above, figure) = (heights.saturating_sub(1), labels[first..last].iter().map(|lines| lines.last()));
    for line in 0..above {
        let of = |lines: &Vec<String>| lines[..lines.len() - 1].get(line).cloned().unwrap_or_default();
        table.add_row(std::iter::once(String::new()).chain(labels[first..last].iter().map(of)));
    }
    table.add_row(std::iter::once(String::new()).chain(figure.map(|name| name.cloned().unwrap_or_default())));
    for server in &map.servers {
        let shown = columns.iter().map(|column| match column.cells.get(server) {
            Some(cell) => cell_text(cell, unit(column).1, column.metric),
            None => "  ".to_owned(),
        });
        table.add_row(std::iter::once(server.clone()).chain(shown));
    }
    let under = |name: &str, of: &dyn Fn(&MapColumn) -> Option<String>| {
        let words: Vec<Option<String>> = columns.iter().map(of).collect();
        words.iter().any(Option::is_some).then(|| {
            std::iter::once(format!("({name})"))
                .chain(words.into_iter().map(|word| format!("{}  ", word.unwrap_or_default())))
                .collect::<Vec<_>>()
        })
    };
    let ceiling =
        under("constant bytes", &|column| Some(number(column.ceiling?, unit(column).1, column.metric)));
    let told = under("could tell", &|column| {
        let (least, most) = column.told?;
        let (least, most) = (told(least), told(most));
        Some(if least == most { most } else { format!("{}–{most}", least.trim_end_matches('%')) })
    });
    let bound = under("bound by", &|column| {
        (!column.bound_by.is_empty()).then(|| column.bound_by.replace('_', " ").replace("cpu", "CPU"))
    });
    for row in [ceiling.filter(|_| map.servers.len() == 1), told, bound].into_iter().flatten() {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { MARGIN as u16 } else { 0 }, MARGIN as u16));
        column.set_cell_alignment(if index == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// A value and its mark, so that numbers stand under each other.
fn cell_text(cell: &MapCell, divisor: f64, metric: Metric) -> String {
    let Some(value) = cell.value else { return "-  ".to_owned() };
    let shown = number(value, divisor, metric);
    match cell.standing {
        Standing::NotTold | Standing::Alike(_) => format!("{shown} ·"),
        Standing::Reference => format!("{}  ", style(shown).bold()),
        _ => format!("{shown}  "),
    }
}

fn number(value: f64, divisor: f64, metric: Metric) -> String {
    if metric == Metric::THROUGHPUT { rate(value) } else { three(value / divisor) }
}

/// What the marks of the table mean, as far as they stand there.
fn legend(map: &Map, blocks: usize) -> Vec<String> {
    let cells =
        || map.workloads.iter().flat_map(|column| column.cells.iter().map(move |cell| (column, cell)));
    let mut lines = Vec::new();
    let of = |against: Against| {
        cells().any(|(column, (_, cell))| {
            column.against == against && matches!(cell.standing, Standing::NotTold | Standing::Alike(_))
        })
    };
    if blocks < BLOCKS_NEEDED && cells().any(|(_, (_, cell))| cell.standing == Standing::NotTold) {
        lines.push(format!("{blocks} blocks tell no difference; {BLOCKS_NEEDED} are the least that can"));
    } else if of(Against::Best) {
        lines.push("· not told from the best of its column".to_owned());
    } else if of(Against::Baseline) {
        lines.push("· not told from the same server in the first column of its figure".to_owned());
    }
    let mut without: Vec<String> = cells()
        .filter_map(|(column, (server, cell))| match &cell.standing {
            Standing::Without(why) => {
                Some(format!("- {server}, {} {}: {why}", column.row.route, work(&column.row)))
            }
            _ => None,
        })
        .collect();
    let more = without.len().saturating_sub(MOST_WITHOUT);
    without.truncate(MOST_WITHOUT);
    lines.extend(without);
    lines.extend((more > 0).then(|| format!("- and {more} more: --details")));
    lines
}

/// The most cells without a figure that are named.
const MOST_WITHOUT: usize = 3;
