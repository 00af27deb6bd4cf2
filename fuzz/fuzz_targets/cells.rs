//! `cells.csv`, and the other tables of a run: rows that are read are the same when they are written and read again, and
//! whatever they say can be analysed and shown.

#![no_main]

use harness::analysis::Analysis;
use harness::analysis::map::Map;
use harness::record::counts::CountRow;
use harness::record::csv;
use harness::record::older;
use harness::record::slices::SliceRow;
use harness::report::about::About;
use harness::report::cells::By;
use harness::report::drawing::Format;
use harness::report::{answer, tables};
use libfuzzer_sys::fuzz_target;

/// More rows than that take too long for every input.
const MOST: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(slices) = csv::read_records::<SliceRow>(bytes) {
        let text = csv::file(&csv::fields(), &slices).expect("it can be written");
        let again = csv::read_records::<SliceRow>(&text).expect("it can be read");
        assert_eq!(csv::file(&csv::fields(), &again).expect("it can be written"), text);
    }
    _ = csv::read_records::<CountRow>(bytes);
    let Ok(mut rows) = csv::read(bytes) else { return };
    let factors = csv::factor_names(rows.iter());
    let text = csv::file(&csv::cells(&factors), &rows).expect("it can be written");
    let again = csv::read(&text).expect("it can be read");
    let text_again = csv::file(&csv::cells(&factors), &again).expect("it can be written");
    assert_eq!(text_again, text, "{}", String::from_utf8_lossy(&text));

    rows.truncate(MOST);
    older::complete(&mut rows);
    let analysis = Analysis::of(&rows);
    _ = analysis.alarms();
    let map = Map::of(&rows, &analysis, None);
    _ = answer::render(&map, &About::default(), answer::WIDTH);
    _ = answer::findings(&map);
    _ = tables::render(&analysis, By::Server, Format::Table);
});
