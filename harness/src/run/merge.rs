//! Joins the parts of a run, each with its share of the blocks, to one run whose rows are those of a single one.
//!
//! A block is measured as a whole on one machine, so that pairs stay within a machine: which one it was is a blocking
//! factor, as the block is.

use super::run_file::{PartRecord, RunFile};
use crate::analysis::{Analysis, PAIRS};
use crate::exit::usage;
use crate::experiment::blocks_of::BlocksOf;
use crate::experiment::root;
use crate::host::machine;
use crate::record::directory::{
    CELLS, Directory, HISTOGRAMS, RUN, SUMMARY, histograms_name, read_cells, read_run,
};
use crate::record::package::PACKAGE;
use crate::record::row::Row;
use crate::record::slices::{self, SLICES, SliceRow};
use crate::report::html;
use anyhow::{Context as _, Result};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A part, as it was read.
struct Part {
    path: PathBuf,
    file: RunFile,
    of: BlocksOf,
    rows: Vec<Row>,
    slices: Vec<SliceRow>,
}

/// Joins the runs in these directories, in `out` or in a directory below [`root::results`]. Returns the files.
///
/// # Errors
/// They are not all the parts of one run, or a file cannot be written.
pub fn merge(directories: &[PathBuf], out: Option<&Path>) -> Result<Vec<PathBuf>> {
    let mut parts = directories.iter().map(|path| read(path)).collect::<Result<Vec<Part>>>()?;
    parts.sort_by_key(|part| part.of);
    check(&parts)?;
    let Some(first) = parts.first() else { return Err(usage!("give the directories of the parts")) };
    let path = match out {
        Some(out) => out.to_path_buf(),
        None => {
            let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
            root::results().join(format!("{time}-{}-{}", machine::host(), first.file.experiment))
        }
    };
    let mut directory = Directory::create(&path, &first.file.measured.factors)?;
    let run_id = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut rows = Vec::new();
    // Before the first block come the trials of each part, one part after the other.
    let mut trials = 0;
    for part in &parts {
        let before = trials;
        for row in &part.rows {
            let order_index = row.order_index + if row.block == 0 { before } else { 0 };
            let joined = Row { run_id: run_id.clone(), order_index, ..row.clone() };
            copy_histograms(&part.path, row, &path, &joined)?;
            trials = trials.max(if row.block == 0 { order_index } else { 0 });
            rows.push(joined);
        }
    }
    // Within a block as they were measured.
    rows.sort_by_key(|row| row.block);
    let mut lines: Vec<SliceRow> = parts.iter().flat_map(|part| part.slices.clone()).collect();
    lines.sort_by_key(|line| line.block);
    slices::append(&path, &lines)?;
    directory.append(&rows)?;
    let rows = read_cells(&path)?;
    let file = joined(&parts, run_id);
    let analysis = Analysis::at(&rows, &lines, file.alpha());
    analysis.write(&path)?;
    directory.write_run(&RunFile { alarms: analysis.alarms(), ..file })?;
    html::write(&path, &rows, &analysis)?;
    let files = [CELLS, SLICES, SUMMARY, PAIRS, PACKAGE, html::REPORT, RUN, HISTOGRAMS];
    Ok(files.iter().map(|file| path.join(file)).filter(|path| path.exists()).collect())
}

fn read(path: &Path) -> Result<Part> {
    let file: RunFile = read_run(path)?;
    let of = file
        .request
        .blocks_of
        .ok_or_else(|| usage!("{} is no part of a run: it was not run with --blocks-of", path.display()))?;
    if file.ended_at.is_none() || file.interrupted {
        return Err(usage!("{} is not complete: continue it with --resume {0}", path.display()));
    }
    let (rows, slices) = (read_cells(path)?, slices::read(path)?);
    let other = rows.iter().find(|row| row.block > 0 && !of.has(row.block));
    if let Some(row) = other {
        return Err(usage!("{}: block {} is not in the part {of}", path.display(), row.block));
    }
    Ok(Part { path: path.to_path_buf(), file, of, rows, slices })
}

/// Refuses parts that are not all those of one run.
fn check(parts: &[Part]) -> Result<()> {
    let Some(first) = parts.first() else { return Ok(()) };
    for part in parts {
        if let Some(what) = first.file.difference(&part.file) {
            return Err(usage!(
                "{} and {} are of two runs: they differ in {what}",
                first.path.display(),
                part.path.display()
            ));
        }
    }
    if let Some([one, other]) = parts.windows(2).find(|pair| pair[0].of == pair[1].of) {
        return Err(usage!(
            "{} and {} are the same part, {}",
            one.path.display(),
            other.path.display(),
            one.of
        ));
    }
    let of = first.of.of;
    let there: BTreeSet<usize> = parts.iter().map(|part| part.of.index).collect();
    match (1..=of).find(|index| !there.contains(index)) {
        Some(missing) => Err(usage!("the part {missing}/{of} is missing")),
        None => Ok(()),
    }
}

/// `run.json` of all parts together.
fn joined(parts: &[Part], run_id: String) -> RunFile {
    let files = || parts.iter().map(|part| &part.file);
    let first = &parts[0].file;
    let mut lead_ins_s = first.lead_ins_s.clone();
    if files().any(|file| file.lead_ins_s != first.lead_ins_s) {
        let of = |file: &RunFile| {
            let part = file.request.blocks_of.unwrap_or_default();
            let named = file.lead_ins_s.iter().map(move |(what, s)| (format!("{part}: {what}"), *s));
            named.collect::<Vec<_>>()
        };
        lead_ins_s = files().flat_map(of).collect();
    }
    let mut request = first.request.clone();
    request.blocks_of = None;
    RunFile {
        run_id,
        arguments: std::env::args().skip(1).collect(),
        request,
        started_at: files().map(|file| file.started_at.clone()).min().unwrap_or_default(),
        resumed_at: files().flat_map(|file| file.resumed_at.clone()).collect(),
        ended_at: files().filter_map(|file| file.ended_at.clone()).max(),
        voided_attempts: files().map(|file| file.voided_attempts).sum(),
        bookkeeping_s: files().map(|file| file.bookkeeping_s).sum(),
        lead_ins_s,
        parts: files().map(PartRecord::of).collect(),
        ..first.clone()
    }
}

/// Copies the histograms of a row, under the name that it has in the joined run.
fn copy_histograms(from: &Path, row: &Row, to: &Path, joined: &Row) -> Result<()> {
    let source = from.join(HISTOGRAMS).join(histograms_name(row));
    // A row of a client that never reported has none.
    if !source.exists() {
        return Ok(());
    }
    let target = to.join(HISTOGRAMS).join(histograms_name(joined));
    fs::copy(&source, &target).with_context(|| format!("cannot write {}", target.display()))?;
    Ok(())
}
