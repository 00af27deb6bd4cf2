//! What a run's rows are made into: `report` in each of its forms, `compare` of two halves, and the tables that are
//! written. The input changes fields of a real run's rows, so that it gets past the reader every time.

#![no_main]

use harness::analysis::comparison::{common, compare};
use harness::analysis::map::Map;
use harness::analysis::metric::{Metric, MetricName};
use harness::analysis::pairs::{self, Delta, control_ratios, delta_of};
use harness::analysis::{Analysis, summary};
use harness::experiment::file;
use harness::experiment::model::Experiment;
use harness::record::cells::Row;
use harness::record::column::Record as _;
use harness::record::csv;
use harness::record::rows::counting;
use harness::report::about::About;
use harness::report::cells::By;
use harness::report::drawing::Format;
use harness::report::{answer, comparison, html, map_picture, page, picture, tables, theme};
use libfuzzer_sys::arbitrary::{self, Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::LazyLock;

/// Blocks of a real run: a workload of a closed loop with a control and its ceilings, and one of an open loop.
static ROWS: LazyLock<Vec<Row>> =
    LazyLock::new(|| csv::read(include_bytes!("../rows.csv")).expect("a run's file"));

/// One with figures of its own, which makes tables of levels.
static EXPERIMENT: LazyLock<Experiment> = LazyLock::new(|| file::find("cost").expect("one of the project's"));

/// Values at which something may break, of every type.
const EDGES: [&str; 26] = [
    "",
    "0",
    "1",
    "2",
    "18446744073709551615",
    "4294967295",
    "-1",
    "-0.0",
    "0.1",
    "1e-320",
    "1e308",
    "-1e308",
    "NaN",
    "inf",
    "-inf",
    "true",
    "false",
    "ceiling",
    "control",
    "contestant",
    "open",
    "closed",
    "noisy_host",
    "ok",
    "a.control",
    "2026-11-24 15:00:30.521",
];

/// A change to one field of one row.
#[derive(Debug)]
struct Edit {
    row: usize,
    column: usize,
    value: String,
}

impl<'a> Arbitrary<'a> for Edit {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Edit> {
        let (row, column) = (u.arbitrary::<u8>()?, u.arbitrary::<u8>()?);
        let value = match u.arbitrary::<u8>()? {
            edge if usize::from(edge) < EDGES.len() => EDGES[usize::from(edge)].to_owned(),
            26..=99 => u.arbitrary::<f64>()?.to_string(),
            100..=149 => u.arbitrary::<u64>()?.to_string(),
            150..=199 => u.arbitrary::<String>()?,
            // As it stands in another row.
            _ => {
                let column = &Row::COLUMNS[usize::from(column) % Row::COLUMNS.len()];
                (column.get)(&ROWS[usize::from(u.arbitrary::<u8>()?) % ROWS.len()])
            }
        };
        Ok(Edit { row: row.into(), column: column.into(), value })
    }
}

/// How many rows there are, what is changed in them, and whether they are drawn, which takes longest.
#[derive(Debug, Arbitrary)]
struct Input {
    rows: u8,
    is_drawn: u8,
    edits: Vec<Edit>,
}

fuzz_target!(|input: Input| {
    let mut rows: Vec<Row> = ROWS.iter().take(usize::from(input.rows)).cloned().collect();
    for edit in &input.edits {
        let count = rows.len();
        // Many edits are of one column in every row, since blocks are looked at together.
        let column = &Row::COLUMNS[edit.column % Row::COLUMNS.len()];
        let place = edit.row;
        let chosen = rows.iter_mut().enumerate().filter(|(row, _)| match place {
            200.. => true,
            _ => *row == place % count.max(1),
        });
        for (_, row) in chosen {
            // A value of another type is refused, as in a file.
            _ = (column.set)(row, &edit.value);
        }
    }
    show(&rows, input.is_drawn.is_multiple_of(16));
    compare_halves(&rows);
});

/// All that `report` makes of the rows.
fn show(rows: &[Row], is_drawn: bool) {
    let analysis = Analysis::of(rows);
    _ = analysis.alarms();
    let factors = csv::factor_names(rows.iter());
    csv::file(&summary::fields(&factors), &analysis.summaries).expect("it can be written");
    csv::file(&pairs::fields(&factors), &analysis.pairs).expect("it can be written");
    let map = Map::of(rows, &analysis, Some(&EXPERIMENT));
    _ = answer::render(&map, &About::default(), answer::WIDTH);
    _ = answer::findings(&map);
    _ = tables::render(&analysis, By::Server, Format::Markdown);
    page::render(&EXPERIMENT, rows, &analysis, Format::Markdown).expect("known figures");
    if is_drawn {
        html::page(Path::new("/nowhere"), rows, &analysis).expect("a page");
        // There may be nothing to draw.
        _ = picture::svg(&EXPERIMENT, rows);
        _ = map_picture::draw(&map, &theme::DARK);
    }
}

/// All that `compare` makes of the first half of the rows and the second.
fn compare_halves(rows: &[Row]) {
    let rows = counting(rows);
    let (a, b) = rows.split_at(rows.len() / 2);
    for pairwise in [false, true] {
        let cells = common(a, b, pairwise);
        let delta = |metric: Metric| -> Delta { delta_of(control_ratios(&rows, metric).into_iter()) };
        let compared = compare(&cells, |_| MetricName::all(), delta, 0.05);
        _ = comparison::table(&compared, Format::Table);
        comparison::csv(&compared).expect("it can be written");
    }
}
