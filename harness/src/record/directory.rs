//! A run's directory: `cells.csv` growing row by row, `summary.csv`, `run.json` and `histograms/`.

use super::csv;
use super::row::Row;
use super::{interval_log, older};
use crate::exit::usage;
use anyhow::{Context, Result, anyhow};
use load::protocol::PartReport;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The file of one row per replicate.
pub const CELLS: &str = "cells.csv";
/// The file of one row per cell.
pub const SUMMARY: &str = "summary.csv";
/// The file of the run's circumstances.
pub const RUN: &str = "run.json";
/// The folder of one interval log per row.
pub const HISTOGRAMS: &str = "histograms";

/// A run's directory, open for writing.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    cells: CellsFile<File>,
}

impl Directory {
    /// Makes the directory, which must not exist, and a `cells.csv` that has the header of a run with these
    /// factors.
    ///
    /// # Errors
    /// The directory exists already, or cannot be made.
    pub fn create(path: &Path, factors: &[String]) -> Result<Directory> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        fs::create_dir(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                usage!("{} exists already: results are never overwritten", path.display())
            }
            _ => anyhow!("cannot make {}: {error}", path.display()),
        })?;
        fs::create_dir(path.join(HISTOGRAMS))?;
        let file = lock(File::create_new(path.join(CELLS))?, path)?;
        let cells = CellsFile::new(file, factors).with_context(|| format!("cannot write {CELLS}"))?;
        Ok(Directory { path: path.to_path_buf(), cells })
    }

    /// Opens the directory of a run that ended early, to go on with it. A row that was half written is cut
    /// off. Returns the rows that are there.
    ///
    /// # Errors
    /// There is no such run, it still goes on, or its `cells.csv` is not one that this version of the harness
    /// writes for these factors; such a file is left as it is.
    pub fn reopen(path: &Path, factors: &[String]) -> Result<(Directory, Vec<Row>)> {
        let cells = path.join(CELLS);
        let file = File::options().read(true).append(true).open(&cells);
        let file = file.map_err(|error| usage!("cannot open {}: {error}", cells.display()))?;
        let (cells, rows) = CellsFile::reopen(lock(file, path)?, factors)
            .map_err(|error| usage!("cannot continue {}: {error}", cells.display()))?;
        Ok((Directory { path: path.to_path_buf(), cells }, rows))
    }

    /// Cuts `cells.csv` off behind its first `rows` rows.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn keep(&mut self, rows: usize) -> Result<()> {
        let path = self.path.join(CELLS);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // The header is a line too.
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        if let Some(end) = ends.take(rows + 1).last() {
            self.cells.cut(end as u64).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends rows to `cells.csv`, all of them or none; they are in the file when this returns.
    ///
    /// # Errors
    /// The disk is full, for one. The rows before stay whole.
    pub fn append(&mut self, rows: &[Row]) -> Result<()> {
        self.cells.append(rows).with_context(|| {
            format!("cannot write {}: the rows before this one are whole", self.path.join(CELLS).display())
        })
    }

    /// Writes the histograms of a row that is about to be appended. A file that a run left behind when it
    /// was killed before it had the row is replaced.
    ///
    /// # Errors
    /// The file cannot be written, or the report has an unreadable histogram.
    pub fn write_histograms(&self, row: &Row, report: &PartReport) -> Result<()> {
        let path = self.path.join(HISTOGRAMS).join(histograms_name(row));
        let bytes =
            interval_log::write(report, row.started_at.map_or(SystemTime::UNIX_EPOCH, SystemTime::from))?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes `run.json`, replacing an earlier state of it at once or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_run(&self, run: &impl Serialize) -> Result<()> {
        let path = self.path.join(RUN);
        let partial = self.path.join("run.json.partial");
        let mut text = serde_json::to_string_pretty(run)?;
        text.push('\n');
        fs::write(&partial, text)
            .and_then(|()| fs::rename(&partial, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Returns the name of a row's file in [`HISTOGRAMS`]. Rows of one replicate differ in their load or phase.
pub fn histograms_name(row: &Row) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' };
    let mut name =
        format!("{}-{}-{}-{}-{}", row.block, row.attempt, row.order_index, row.server, row.strategy);
    if !(row.load.is_empty() && row.phase.is_empty()) {
        name.push_str(&format!("-{}-{}", row.load, row.phase));
    }
    name.chars().map(plain).collect::<String>() + ".hlog"
}

/// Locks the file until the process ends: one run at a time writes into a directory.
fn lock(file: File, path: &Path) -> Result<File> {
    file.try_lock().map_err(|_| usage!("the run in {} still goes on", path.display()))?;
    Ok(file)
}

/// Reads a `run.json`.
///
/// # Errors
/// The file is missing or was not written by the harness.
pub fn read_run<T: DeserializeOwned>(directory: &Path) -> Result<T> {
    let path = directory.join(RUN);
    let text =
        fs::read_to_string(&path).map_err(|error| usage!("cannot read {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| usage!("{}: {error}", path.display()))
}

/// Reads the rows of a `cells.csv`.
///
/// # Errors
/// The file is missing or was not written by the harness.
pub fn read_cells(directory: &Path) -> Result<Vec<Row>> {
    let path = directory.join(CELLS);
    let text = fs::read(&path).map_err(|error| usage!("cannot read {}: {error}", path.display()))?;
    let mut rows = csv::read(&text).map_err(|error| usage!("{}: {error}", path.display()))?;
    older::complete(&mut rows);
    Ok(rows)
}

/// A CSV file that only ever holds whole rows.
#[derive(Debug)]
struct CellsFile<F> {
    file: F,
    factors: Vec<String>,
    length: u64,
}

/// A file that can be cut back to where it was whole.
trait Truncate {
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

impl Truncate for File {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        use std::io::Seek as _;
        self.set_len(length)?;
        self.seek(io::SeekFrom::Start(length)).map(|_| ())
    }
}

impl CellsFile<File> {
    /// Opens the file and cuts off what follows the last whole row: no field of a row has a line break in it, so a row is
    /// whole where its line is. Nothing is cut off a file with other columns.
    fn reopen(mut file: File, factors: &[String]) -> Result<(CellsFile<File>, Vec<Row>)> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let header = csv::header(&csv::cells(factors))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if !bytes.starts_with(&header) && !header.starts_with(&bytes) {
            return Err(anyhow!("it has other columns than this version of the harness writes"));
        }
        let rows = csv::read(if whole > 0 { &bytes[..whole] } else { &header }).map_err(|e| anyhow!(e))?;
        let mut cells = CellsFile { file, factors: factors.to_vec(), length: 0 };
        cells.cut(whole as u64)?;
        if whole == 0 {
            cells.write(&header)?;
        }
        Ok((cells, rows))
    }
}

impl<F: Write + Truncate> CellsFile<F> {
    fn new(file: F, factors: &[String]) -> io::Result<CellsFile<F>> {
        let mut cells = CellsFile { file, factors: factors.to_vec(), length: 0 };
        cells.write(&csv::header(&csv::cells(factors))?)?;
        Ok(cells)
    }

    fn append(&mut self, rows: &[Row]) -> io::Result<()> {
        self.write(&csv::lines(&csv::cells(&self.factors), rows)?)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.truncate(length)?;
        self.length = length;
        Ok(())
    }

    /// Writes all of `bytes`, or nothing of them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all(bytes).and_then(|()| self.file.flush()) {
            Ok(()) => {
                self.length += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // The error that counts is the first: a row half written is cut off if that is possible.
                _ = self.file.truncate(self.length);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that takes `room` bytes.
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.room - self.bytes.len());
            if n == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Truncate for Disk {
        fn truncate(&mut self, length: u64) -> io::Result<()> {
            self.bytes.truncate(usize::try_from(length).map_err(io::Error::other)?);
            Ok(())
        }
    }

    fn row(n: usize) -> Row {
        Row {
            block: n,
            workload_id: "w".into(),
            server: "smol".into(),
            error: "a, \"b\"".into(),
            ..Row::default()
        }
    }

    #[test]
    fn a_full_disk_leaves_whole_rows() {
        let mut whole = CellsFile::new(Disk { bytes: Vec::new(), room: usize::MAX }, &[]).expect("room");
        let header = whole.file.bytes.len();
        whole.append(&[row(1)]).expect("room");
        let size = whole.file.bytes.len();
        let line = size - header;
        for room in [size, size + 1, size + line, size + line + 1] {
            let mut cells = CellsFile::new(Disk { bytes: Vec::new(), room }, &[]).expect("room");
            cells.append(&[row(1)]).expect("room for one");
            // Of two rows of a replicate none is written if there is room for one only.
            let error = cells.append(&[row(2), row(2)]).expect_err("no room for more");
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert_eq!(csv::read(&cells.file.bytes).expect("valid CSV"), [row(1)]);
        }
    }

    #[test]
    fn rows_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run");
        let mut directory = Directory::create(&path, &[]).expect("new");
        let full = Row { ok: Some(3), elapsed_s: Some(0.125), keep_alive: true, ..row(1) };
        directory.append(&[full.clone(), row(2)]).expect("room");
        assert_eq!(read_cells(&path).expect("readable"), [full, row(2)]);
        assert!(Directory::create(&path, &[]).expect_err("exists").to_string().contains("never overwritten"));
    }

    #[test]
    fn a_half_written_row_is_cut_off_wherever_it_was_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run");
        let mut directory = Directory::create(&path, &[]).expect("new");
        directory.append(&[row(1)]).expect("room");
        let whole = fs::read(path.join(CELLS)).expect("there");
        assert!(Directory::reopen(&path, &[]).expect_err("locked").to_string().contains("still goes on"));
        directory.append(&[row(2)]).expect("room");
        drop(directory);
        let both = fs::read(path.join(CELLS)).expect("there");
        // A prime stride, and the ends of the lines.
        let ends = [whole.len() - 1, whole.len(), whole.len() + 1, both.len() - 1];
        for length in (0..both.len()).step_by(97).chain(ends) {
            fs::write(path.join(CELLS), &both[..length]).expect("written");
            let (mut directory, rows) = Directory::reopen(&path, &[]).expect("continued");
            let expected = if length >= whole.len() { vec![row(1)] } else { Vec::new() };
            assert_eq!(rows, expected, "{length}");
            directory.append(&[row(3)]).expect("room");
            drop(directory);
            assert_eq!(read_cells(&path).expect("readable").last(), Some(&row(3)), "{length}");
        }
    }

    #[test]
    fn a_file_with_other_columns_is_refused_and_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run");
        drop(Directory::create(&path, &["k".to_owned()]).expect("new"));
        let other_factors = fs::read(path.join(CELLS)).expect("there");
        for text in [other_factors.as_slice(), b"a,b\n1,2\n3", b"precious", b"schema_version,precious\n1"] {
            fs::write(path.join(CELLS), text).expect("written");
            let refusal = Directory::reopen(&path, &[]).expect_err("another's").to_string();
            assert!(refusal.contains("other columns") && refusal.lines().count() == 1, "{refusal}");
            assert_eq!(fs::read(path.join(CELLS)).expect("there"), text);
        }
        fs::write(path.join(CELLS), &other_factors).expect("written");
        assert!(Directory::reopen(&path, &["k".to_owned()]).is_ok());
    }

    #[test]
    fn rows_are_cut_off_where_they_are_told_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run");
        let mut directory = Directory::create(&path, &[]).expect("new");
        directory.append(&[row(1), row(2), row(3)]).expect("room");
        for (keep, left) in [(4, vec![1, 2, 3]), (2, vec![1, 2]), (0, vec![])] {
            directory.keep(keep).expect("cut");
            directory.append(&[row(9)]).expect("room");
            let blocks: Vec<usize> = read_cells(&path).expect("readable").iter().map(|r| r.block).collect();
            assert_eq!(blocks, [left, vec![9]].concat());
            directory.keep(blocks.len() - 1).expect("cut");
        }
    }

    #[test]
    fn a_row_s_histograms_are_named_after_it() {
        let row = Row {
            block: 3,
            attempt: 2,
            order_index: 14,
            server: "[::1]:80".into(),
            strategy: "async".into(),
            ..Row::default()
        };
        assert_eq!(histograms_name(&row), "3-2-14-___1__80-async.hlog");
        let named = |load: &str, phase: &str| {
            histograms_name(&Row { load: load.into(), phase: phase.into(), ..row.clone() })
        };
        assert_eq!(named("probe", "burst"), "3-2-14-___1__80-async-probe-burst.hlog");
        assert_ne!(named("probe", ""), named("", "probe"));
        let folder = tempfile::tempdir().expect("a folder");
        let directory = Directory::create(&folder.path().join("run"), &[]).expect("new");
        let service = load::histogram::latency(&[7]).expect("encodes");
        directory.write_histograms(&row, &PartReport { service, ..PartReport::default() }).expect("room");
        let path = directory.path().join(HISTOGRAMS).join(histograms_name(&row));
        assert_eq!(interval_log::read(&path).expect("a log").len(), 1);
    }
}
