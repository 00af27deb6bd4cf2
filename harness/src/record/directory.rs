//! A run's directory: `cells.csv` growing row by row, `summary.csv`, `run.json` and `histograms/`.

use super::csv;
use super::row::Row;
use super::{interval_log, older, whole};
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
            io::ErrorKind::AlreadyExists => exists(path),
            _ => anyhow!("cannot make {}: {error}", path.display()),
        })?;
        fs::create_dir(path.join(HISTOGRAMS))?;
        let file = lock(File::create_new(path.join(CELLS))?, path)?;
        let cells = CellsFile::new(file, factors).with_context(|| format!("cannot write {CELLS}"))?;
        Ok(Directory { path: path.to_path_buf(), cells })
    }

    /// The same with a `run.json`, at once or not at all: whatever ends the run from now on, it can be continued.
    ///
    /// # Errors
    /// The directory exists already, or cannot be made.
    pub fn begin(path: &Path, factors: &[String], run: &impl Serialize) -> Result<Directory> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let partial = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let begin = || {
            let mut directory = Directory::create(&partial, factors)?;
            directory.write_run(run)?;
            // Nothing is replaced but an empty directory.
            fs::rename(&partial, path).map_err(|error| match path.exists() {
                true => exists(path),
                false => anyhow!("cannot make {}: {error}", path.display()),
            })?;
            directory.path = path.to_path_buf();
            Ok(directory)
        };
        begin().inspect_err(|_| _ = fs::remove_dir_all(&partial))
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
        let mut text = serde_json::to_string_pretty(run)?;
        text.push('\n');
        whole::replace(&self.path.join(RUN), text)
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

fn exists(path: &Path) -> anyhow::Error {
    usage!("{} exists already: results are never overwritten", path.display())
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
        let whole = whole::lines(&bytes);
        if !bytes.starts_with(&header) && !header.starts_with(&bytes) {
            return Err(anyhow!("it has other columns than this version of the harness writes"));
        }
        let rows = csv::read(if whole.is_empty() { &header } else { whole }).map_err(|e| anyhow!(e))?;
        let mut cells = CellsFile { file, factors: factors.to_vec(), length: 0 };
        cells.cut(whole.len() as u64)?;
        if whole.is_empty() {
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
#[path = "directory_tests.rs"]
mod tests;
