//! A run's directory, made of the input: `run.json`, a line `---`, and `cells.csv`. Read as `report`, `compare` and
//! `--resume` do: what is wrong is an error in one line.

#![no_main]

use harness::analysis::Analysis;
use harness::analysis::map::Map;
use harness::analysis::side::Side;
use harness::analysis::until::alpha_of;
use harness::record::directory::{CELLS, RUN, read_cells};
use harness::report::about::About;
use harness::report::drawing::Format;
use harness::report::{answer, page};
use harness::run::rehearsal::rehearse;
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::sync::LazyLock;
use tempfile::TempDir;

/// What parts the two files.
const BETWEEN: &[u8] = b"\n---\n";

/// One directory for all inputs. Whoever starts this removes it.
static DIRECTORY: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

/// Checks that an error is one line.
fn in_one_line<T>(outcome: anyhow::Result<T>) -> Option<T> {
    outcome.inspect_err(|error| assert!(!format!("{error:#}").contains('\n'), "one line: {error:#}")).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN);
    let (run, cells) = at.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + BETWEEN.len()..]));
    let directory = DIRECTORY.path();
    fs::write(directory.join(RUN), run).expect("room");
    fs::write(directory.join(CELLS), cells).expect("room");

    let about = in_one_line(About::read(directory));
    let experiment = in_one_line(page::experiment_of(directory));
    let alpha = alpha_of(directory);
    if let Some(rows) = in_one_line(read_cells(directory)) {
        let analysis = Analysis::at(&rows, &[], alpha);
        if let Some(about) = &about {
            let map = Map::of(&rows, &analysis, about.experiment.as_ref());
            _ = answer::render(&map, about, answer::WIDTH);
        }
        if let Some(experiment) = &experiment {
            in_one_line(page::render(experiment, &rows, &analysis, Format::Markdown));
        }
    }
    let side = in_one_line(Side::read(directory.to_str().expect("UTF-8")));
    if let Some(side) = side {
        _ = (side.title(), side.contents(), side.differences(&side));
    }
    // Last, since it cuts off what is half written.
    in_one_line(rehearse(directory));
});
