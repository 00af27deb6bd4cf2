//! `slices.csv`: a line for each slice of the servers that took turns.

use super::column::columns;
use super::csv::{self, Field};
use super::row::Row;
use super::whole;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

/// The file of one line per slice.
pub const SLICES: &str = "slices.csv";

/// The kind of a turn that counts.
pub const SLICE: &str = "slice";
/// The kind of a piece of a continuous window.
pub const CONTINUOUS: &str = "continuous";
/// The kind of a window that says what lead-in a server needs.
pub const AFTER_IDLING: &str = "after idling";

columns! {
    /// A line of `slices.csv`.
    #[derive(Debug, Clone, Default, PartialEq)]
    pub struct SliceRow {
        block: usize, "", &[] => "The block; 0 for what was measured before the first one.";
        attempt: usize, "", &[] => "The attempt of the group in this block, as in `cells.csv`.";
        workload_id: String, "", &[] => "The workload, as in `cells.csv`.";
        server: String, "", &[] => "The server.";
        kind: String, "", &[] =>
            "`slice`: a turn that counts; `continuous`: a piece of the window without turns that slices are checked \
            against; `after idling`: a window after the server had nothing to do, which says how long a lead-in it \
            needs.";
        window: usize, "", &[] => "Which of the windows after idling, from 0.";
        round: usize, "", &[] => "The round of turns, from 1; 0 for what is in none.";
        ok: u64, "requests", &[] => "Requests that were begun in the slice and answered rightly.";
        seconds: f64, "s", &[] => "From its beginning until the last of its requests had ended.";
        server_cpu_us: Option<f64>, "µs", &[] => "The server's CPU time in it.";
        client_cpu_us: Option<f64>, "µs", &[] => "The client's CPU time in it.";
    } with {}
}

/// The columns of `slices.csv`.
pub fn fields() -> Vec<Field<SliceRow>> {
    csv::fields()
}

/// Appends lines to the run's file, which the first ones make.
///
/// # Errors
/// The disk is full, for one.
pub fn append(directory: &Path, lines: &[SliceRow]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let path = directory.join(SLICES);
    let fields = fields();
    let header = if path.exists() { Vec::new() } else { csv::header(&fields)? };
    let bytes = [header, csv::lines(&fields, lines)?].concat();
    let written =
        File::options().create(true).append(true).open(&path).and_then(|mut file| file.write_all(&bytes));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Reads the run's file; there is none where no servers took turns.
///
/// # Errors
/// The file was not written by the harness.
pub fn read(directory: &Path) -> Result<Vec<SliceRow>> {
    let path = directory.join(SLICES);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    csv::read_records(whole::lines(&text)).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// Leaves only the lines of rows that there are, and those before the first block: those of a group that a run was
/// killed in are written before its rows.
///
/// # Errors
/// The file cannot be read or written.
pub fn keep(directory: &Path, rows: &[Row]) -> Result<()> {
    let path = directory.join(SLICES);
    if !path.exists() {
        return Ok(());
    }
    let text = fs::read(&path)?;
    let lines: Vec<SliceRow> = csv::read_records(whole::lines(&text)).unwrap_or_default();
    let there: BTreeSet<_> =
        rows.iter().map(|row| (row.block, row.attempt, &row.workload_id, &row.server)).collect();
    let is_there = |line: &&SliceRow| {
        line.block == 0 || there.contains(&(line.block, line.attempt, &line.workload_id, &line.server))
    };
    let kept: Vec<SliceRow> = lines.iter().filter(is_there).cloned().collect();
    whole::replace(&path, csv::file(&fields(), &kept)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(block: usize, server: &str) -> SliceRow {
        let (workload_id, kind) = ("w".to_owned(), "slice".to_owned());
        SliceRow {
            block,
            attempt: 1,
            workload_id,
            server: server.into(),
            kind,
            seconds: 0.05,
            ..SliceRow::default()
        }
    }

    #[test]
    fn lines_come_back_and_those_without_rows_are_taken_out() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(read(folder.path()).expect("none"), []);
        keep(folder.path(), &[]).expect("nothing to do");
        append(folder.path(), &[line(0, "a"), line(1, "a")]).expect("room");
        append(folder.path(), &[line(2, "a"), line(2, "b")]).expect("room");
        assert_eq!(read(folder.path()).expect("readable").len(), 4);
        // The last line was cut off, and of block 2 no row was written.
        let path = folder.path().join(SLICES);
        let bytes = fs::read(&path).expect("there");
        fs::write(&path, &bytes[..bytes.len() - 3]).expect("written");
        let row = Row { block: 1, attempt: 1, workload_id: "w".into(), server: "a".into(), ..Row::default() };
        keep(folder.path(), &[row]).expect("room");
        assert_eq!(read(folder.path()).expect("readable"), [line(0, "a"), line(1, "a")]);
    }
}
