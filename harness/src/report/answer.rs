//! What a run answers, on one screen: servers down, workloads across, one figure each; what was told apart, in a few
//! sentences; and where the rest is.

use super::about::About;
use super::figures::{self, rate, three};
use super::outlook::told_range;
use super::words::{sentences, work};
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
/// The characters before a line, and behind a name.
const MARGIN: u16 = 2;

/// The width that there is, [`WIDTH`] where stdout is no terminal.
pub fn width() -> usize {
    console::Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| columns.into())
}

/// What is said of a run, in a few sentences.
pub fn findings(map: &Map) -> Vec<String> {
    sentences(map).into_iter().take(SENTENCES).collect()
}

/// Draws the answer of a run, so wide at the most.
pub fn render(map: &Map, about: &About, width: usize) -> String {
    let mut lines: Vec<String> =
        textwrap::wrap(&about.headline(map), width).into_iter().map(String::from).collect();
    lines.push(String::new());
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
    lines.extend(wrapped(&legend(map), width));
    let last = about.last_lines(map);
    // Where the tables take more than a screen, a few more lines are no matter.
    let room = LINES.checked_sub(lines.len() + last.len()).map_or(LINES, |room| room.max(1));
    let mut said: Vec<String> = Vec::new();
    for sentence in findings(map) {
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
pub(super) fn labels(map: &Map) -> Vec<Vec<String>> {
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

/// The figure of a column with the unit that suits its best value, and by what a value is divided for that.
pub(super) fn unit(column: &MapColumn) -> (String, f64) {
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
        table.add_row(std::iter::once(map.name(server)).chain(shown));
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
    let told = under("could tell", &|column| column.told.map(|(least, most)| told_range(least, most)));
    let bound = under("bound by", &|column| {
        (!column.bound_by.is_empty()).then(|| column.bound_by.replace('_', " ").replace("cpu", "CPU"))
    });
    for row in [ceiling.filter(|_| map.servers.len() == 1), told, bound].into_iter().flatten() {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if index == 0 { (MARGIN, MARGIN) } else { (0, 1) });
        column.set_cell_alignment(if index == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// A value and its mark, so that numbers stand under each other.
fn cell_text(cell: &MapCell, divisor: f64, metric: Metric) -> String {
    let Some(value) = cell.value else { return "-  ".to_owned() };
    let shown = number(value, divisor, metric);
    match cell.standing {
        Standing::NotTold(_) | Standing::Alike(_) => format!("{shown} ·"),
        Standing::Reference => format!("{}  ", style(shown).bold()),
        _ => format!("{shown}  "),
    }
}

/// Writes a value, without the unit.
pub(super) fn number(value: f64, divisor: f64, metric: Metric) -> String {
    if metric == Metric::THROUGHPUT { rate(value) } else { three(value / divisor) }
}

/// What the marks of the table mean, as far as they stand there.
fn legend(map: &Map) -> Vec<String> {
    let cells =
        || map.workloads.iter().flat_map(|column| column.cells.iter().map(move |cell| (column, cell)));
    let mut lines = Vec::new();
    let blocks = cells().map(|(_, (_, cell))| cell.blocks).max().unwrap_or(0);
    let of = |against: Against| {
        cells().any(|(column, (_, cell))| {
            column.against == against && matches!(cell.standing, Standing::NotTold(_) | Standing::Alike(_))
        })
    };
    if blocks < BLOCKS_NEEDED && cells().any(|(_, (_, cell))| matches!(cell.standing, Standing::NotTold(_))) {
        lines.push(format!("{blocks} blocks tell no difference; {BLOCKS_NEEDED} are the least that can"));
    } else if of(Against::Best) {
        lines.push("· not told from the best of its column".to_owned());
    } else if of(Against::Baseline) {
        lines.push("· not told from the same server in the first column of its figure".to_owned());
    }
    if !map.deviating.is_empty() {
        lines.push(DEVIATES.to_owned());
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

/// What the mark behind a server's name says.
pub(super) const DEVIATES: &str = "† answers some requests otherwise than the rest: see its runtime.toml";
/// The most cells without a figure that are named.
const MOST_WITHOUT: usize = 3;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::analysis::Analysis;

    /// Twelve blocks of a server, with CPU times around `level` µs.
    pub(in crate::report) fn cell(server: &str, workload: &str, level: f64) -> Vec<Row> {
        let noise = |block: usize| 1.0 + 0.002 * ((block * 7 + server.len() * 3) % 5) as f64;
        let row = |block: usize| Row {
            block,
            server: server.into(),
            role: "contestant".into(),
            workload_id: workload.into(),
            workload: workload.into(),
            route: format!("/{workload}"),
            strategy: "closed-loop".into(),
            concurrency: 64,
            attempt: 1,
            verdict: "ok".into(),
            bound_by: "server_cpu".into(),
            server_cpu_us_per_request: Some(level * noise(block)),
            ..Row::default()
        };
        (1..=12).map(row).collect()
    }

    fn answer(rows: &[Row], blocks: usize, width: usize) -> String {
        let about = About { blocks, ..About::default() };
        let text = render(&about.map(rows, &Analysis::of(rows)), &about, width);
        console::strip_ansi_codes(&text).into_owned()
    }

    #[test]
    fn whoever_answers_otherwise_is_marked() {
        let rows = [cell("may", "x", 1.0), cell("smol", "x", 2.0)].concat();
        assert!(!answer(&rows, 12, 80).contains('†'));
        let deviating = ["smol", "not-in-it"].map(str::to_owned).into();
        let about = About { blocks: 12, deviating, ..About::default() };
        let text = render(&about.map(&rows, &Analysis::of(&rows)), &about, 80);
        assert!(text.contains("smol †") && text.contains(DEVIATES), "{text}");
        assert_eq!(text.matches('†').count(), 2, "{text}");
    }

    #[test]
    fn one_screen_says_what_was_told_apart_and_what_was_not() {
        let cells = [("may", 6.0), ("smol", 9.0), ("tokio", 6.0)];
        let rows: Vec<Row> =
            cells.iter().flat_map(|(server, level)| cell(server, "plaintext", *level)).collect();
        let text = answer(&rows, 12, 80);
        let line = |start: &str| text.lines().find(|line| line.trim_start().starts_with(start)).expect(start);
        assert!(text.contains("CPU µs/request") && text.contains("64 in flight"), "{text}");
        assert!(line("smol").ends_with("9.04") && line("tokio").ends_with('·'), "{text}");
        assert!(line("(bound by)").ends_with("server CPU") && text.contains("(could tell)"), "{text}");
        assert!(text.contains("· not told from the best of its column"), "{text}");
        assert!(text.contains("/plaintext, 64 in flight: smol takes 49% more CPU per request ("), "{text}");
        assert!(text.lines().count() <= LINES, "{text}");
    }

    #[test]
    fn a_difference_that_two_copies_may_have_is_said_and_called_that() {
        let text = answer(&[cell("a", "x", 1.0), cell("bb", "x", 1.02)].concat(), 12, 80);
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("/x, 64 in flight: bb takes 1.6% more CPU per request (1."), "{text}");
        assert!(words.contains("%) than a; less than 2% does not count."), "{text}");
        assert!(
            text.lines().any(|line| line.trim_start().starts_with("bb") && line.ends_with('·')),
            "{text}"
        );
    }

    #[test]
    fn what_does_not_fit_goes_into_the_next_table() {
        let workloads = ["plaintext", "asyncwait", "fib/20", "parfib/30", "wait"];
        let cells = workloads.iter().flat_map(|route| {
            [cell("tokio-multi-thread", route, 6.0), cell("smol", route, 9.0)].into_iter().flatten()
        });
        let rows: Vec<Row> = cells.collect();
        for width in [60, 80, 120, 200] {
            let text = answer(&rows, 12, width);
            assert!(text.lines().all(|line| console::measure_text_width(line) <= width), "{width}\n{text}");
            assert!(workloads.iter().all(|route| text.contains(&format!("/{route}"))), "{text}");
        }
        let tables = |width| answer(&rows, 12, width).matches("(bound by)").count();
        assert_eq!((tables(200), tables(80) > 1), (1, true));
    }

    #[test]
    fn few_blocks_and_a_server_alone_are_told_what_they_lack() {
        let few = |rows: Vec<Row>| rows.into_iter().filter(|row| row.block <= 3).collect::<Vec<Row>>();
        let text = answer(&few([cell("a", "x", 1.0), cell("b", "x", 2.0)].concat()), 3, 80);
        assert!(text.contains("3 blocks tell no difference; 6 are the least that can"), "{text}");
        let text = answer(&cell("a", "x", 1.0), 12, 80);
        assert!(text.contains("compare it: harness --server a,OTHER") && !text.contains('·'), "{text}");
    }

    #[test]
    fn a_cell_without_a_figure_says_why() {
        let mut lost = cell("b", "x", 2.0);
        lost.iter_mut().for_each(|row| row.verdict = "errors".into());
        let text = answer(&[cell("a", "x", 1.0), lost].concat(), 12, 80);
        assert!(text.contains("- b, /x 64 in flight: 12 errors"), "{text}");
        assert!(text.contains("12 of 24 rows not used (12 errors)"), "{text}");
    }
}
