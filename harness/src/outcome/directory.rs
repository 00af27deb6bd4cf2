//! A run's directory: `cells.csv` growing row by row, `summary.csv` and `run.json`.

use super::row::Row;
use super::summary::Summary;
use crate::exit::usage;
use anyhow::{Context, Result, anyhow};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file of one row per replicate.
pub const CELLS: &str = "cells.csv";
/// The file of one row per cell.
pub const SUMMARY: &str = "summary.csv";
/// The file of the run's circumstances.
pub const RUN: &str = "run.json";

/// A run's directory, open for writing.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    cells: CellsFile<File>,
}

impl Directory {
    /// Makes the directory, which must not exist, and an empty `cells.csv` with its header.
    ///
    /// # Errors
    /// It exists already, or cannot be made.
    pub fn create(path: &Path) -> Result<Directory> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        fs::create_dir(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                usage!("{} exists already: results are never overwritten", path.display())
            }
            _ => anyhow!("cannot make {}: {error}", path.display()),
        })?;
        let file = File::create_new(path.join(CELLS))?;
        let cells = CellsFile::new(file).with_context(|| format!("cannot write {CELLS}"))?;
        Ok(Directory { path: path.to_path_buf(), cells })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a row to `cells.csv`; it is in the file when this returns.
    ///
    /// # Errors
    /// The disk is full, for one. The rows before stay whole.
    pub fn append(&mut self, row: &Row) -> Result<()> {
        self.cells.append(row).with_context(|| {
            format!("cannot write {}: the rows before this one are whole", self.path.join(CELLS).display())
        })
    }

    /// Writes `summary.csv`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_summary(&self, summaries: &[Summary]) -> Result<()> {
        let path = self.path.join(SUMMARY);
        let mut writer = csv::Writer::from_writer(Vec::new());
        for summary in summaries {
            writer.serialize(summary)?;
        }
        let bytes = writer.into_inner().map_err(|error| error.into_error())?;
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

/// Reads the rows of a `cells.csv`.
///
/// # Errors
/// The file is missing or is none of ours.
pub fn read_cells(directory: &Path) -> Result<Vec<Row>> {
    let path = directory.join(CELLS);
    let mut reader =
        csv::Reader::from_path(&path).map_err(|error| usage!("cannot read {}: {error}", path.display()))?;
    reader
        .deserialize()
        .collect::<Result<Vec<Row>, _>>()
        .map_err(|error| usage!("{}: {error}", path.display()))
}

/// A CSV file that only ever holds whole rows.
#[derive(Debug)]
struct CellsFile<F> {
    file: F,
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

impl<F: Write + Truncate> CellsFile<F> {
    fn new(file: F) -> io::Result<CellsFile<F>> {
        let mut cells = CellsFile { file, length: 0 };
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(Row::default()).map_err(io::Error::other)?;
        let bytes = writer.into_inner().map_err(|error| error.into_error())?;
        let header = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        cells.write(&bytes[..header])?;
        Ok(cells)
    }

    fn append(&mut self, row: &Row) -> io::Result<()> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        writer.serialize(row).map_err(io::Error::other)?;
        let bytes = writer.into_inner().map_err(|error| error.into_error())?;
        self.write(&bytes)
    }

    /// All of `bytes`, or nothing of them.
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
        Row { block: n, server: "smol".into(), error: "a, \"b\"".into(), ..Row::default() }
    }

    #[test]
    fn a_full_disk_leaves_whole_rows() {
        let mut whole = CellsFile::new(Disk { bytes: Vec::new(), room: usize::MAX }).expect("room");
        whole.append(&row(1)).expect("room");
        let size = whole.file.bytes.len();
        for room in [size, size + 1, size + 20] {
            let mut cells = CellsFile::new(Disk { bytes: Vec::new(), room }).expect("room");
            cells.append(&row(1)).expect("room for one");
            let error = cells.append(&row(2)).expect_err("no room for two");
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            let rows: Vec<Row> = csv::Reader::from_reader(cells.file.bytes.as_slice())
                .deserialize()
                .collect::<Result<_, _>>()
                .expect("valid CSV");
            assert_eq!(rows, [row(1)]);
        }
    }

    #[test]
    fn rows_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run");
        let mut directory = Directory::create(&path).expect("new");
        let full = Row { ok: Some(3), elapsed_s: Some(0.125), keep_alive: true, ..row(1) };
        directory.append(&full).expect("room");
        directory.append(&row(2)).expect("room");
        assert_eq!(read_cells(&path).expect("readable"), [full, row(2)]);
        assert!(Directory::create(&path).expect_err("exists").to_string().contains("never overwritten"));
    }

    #[test]
    fn a_run_without_rows_still_has_a_header() {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = Directory::create(&folder.path().join("run")).expect("new");
        let text = fs::read_to_string(directory.path().join(CELLS)).expect("there");
        assert!(text.starts_with("schema_version,run_id,block,attempt,order_index,started_at,seed,server,"));
        assert_eq!(read_cells(directory.path()).expect("readable"), []);
    }
}
