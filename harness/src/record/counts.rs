//! The columns of `counts.csv`, `counts_by_crate.csv` and `counts_by_function.csv`: what a request costs, counted and not timed.

use super::column::{Record, columns};
use super::directory::RUN;
use super::{csv, package, whole};
use crate::exit::usage;
use anyhow::Result;
use serde_json::Value as Json;
use std::fs;
use std::path::Path;

/// The file of one row per server and workload.
pub const COUNTS: &str = "counts.csv";
/// The file of one row per server, workload and crate.
pub const COUNTS_BY_CRATE: &str = "counts_by_crate.csv";
/// The file of one row per server, workload and function.
pub const COUNTS_BY_FUNCTION: &str = "counts_by_function.csv";
/// The version of the columns of these files. Columns are only ever added, and then this grows.
pub const COUNTS_VERSION: u32 = 1;

columns! {
    /// A row of `counts.csv`: what a request costs one server on one workload.
    #[derive(Debug, Clone, Default, PartialEq)]
    pub struct CountRow {
        schema_version: u32, "", &[] => "The version of the columns: 1.";
        server: String, "", &[] => "The server's name.";
        role: String, "", &[] => "`contestant` or `ceiling`, as in `cells.csv`.";
        workload_id: String, "", &[] =>
            "A short name of what is counted, without the server. Rows with the same one are compared, and no \
            others; no row of `cells.csv` has it.";
        workload: String, "", &[] => "The same workload in words.";
        route: String, "", &[] => "The path and query of the requests.";
        connections: usize, "connections", &[] =>
            "Connections that each have one request in flight, in a closed loop.";
        runtime: String, "", &[] => "The runtime, as the server says.";
        runtime_version: String, "", &[] => "The runtime's version.";
        http_stack: String, "", &[] => "The library that speaks HTTP, and its version.";
        repeats: usize, "", &[] => "How often it was counted, each time with fresh processes.";
        requests: u64, "requests", &[] =>
            "The larger of the two numbers of requests whose instructions give the slope.";
        instructions_per_request: Option<f64>, "instructions", &[] =>
            "Instructions in user space per request: the slope over two numbers of requests, the median of the \
            repeats. Callgrind counts them in all threads of all processes of the server.";
        instructions_per_request_min: Option<f64>, "instructions", &[] => "The least of the repeats.";
        instructions_per_request_max: Option<f64>, "instructions", &[] => "The largest of the repeats.";
        modes: String, "", &[] =>
            "Where the instructions are if repeats are more than 2% apart: `9410 or 11230` are the medians of two \
            clusters, `9410 to 11230` the ends of more than two; empty where there is one.";
        allocations_per_request: Option<f64>, "calls", &[] =>
            "Calls of `malloc`, `calloc`, `realloc`, `aligned_alloc`, `posix_memalign` and `memalign` per \
            request: the slope, the median of the repeats.";
        allocations_per_request_min: Option<f64>, "calls", &[] => "The least of the repeats.";
        allocations_per_request_max: Option<f64>, "calls", &[] => "The largest of the repeats.";
        syscalls_per_request: Option<f64>, "calls", &[] =>
            "System calls per request, counted without valgrind: the slope, the median of the repeats.";
        syscalls_per_request_min: Option<f64>, "calls", &[] => "The least of the repeats.";
        syscalls_per_request_max: Option<f64>, "calls", &[] => "The largest of the repeats.";
        syscalls_by: String, "", &[] =>
            "What counted the system calls: `perf`, or `strace`, under which a server batches less.";
        top_functions: String, "", &[] =>
            "The five functions with the most instructions, each with what was inlined into it, and their shares.";
        error: String, "", &[] => "Why there is no count; empty if there is one.";
    }
    with {}
}

columns! {
    /// A row of `counts_by_crate.csv`: the part of a request's instructions that one crate has.
    #[derive(Debug, Clone, Default, PartialEq)]
    pub struct CrateRow {
        schema_version: u32, "", &[] => "The version of the columns: 1.";
        server: String, "", &[] => "The server's name.";
        workload_id: String, "", &[] => "The workload, as in `counts.csv`.";
        route: String, "", &[] => "The path and query of the requests.";
        connections: usize, "connections", &[] => "Connections that each have one request in flight.";
        crate_name as "crate": String, "", &[] =>
            "Whose source the instructions are of, by the line tables: a crate; `std` (with core and alloc); \
            `ours` (the contract and the server's own code); `libc`; or the program or library that has no line \
            tables.";
        instructions_per_request: f64, "instructions", &[] =>
            "Instructions per request, in the repeat whose total is the median.";
        share: f64, "", &[] => "The part of all instructions of the request.";
    }
    with {}
}

columns! {
    /// A row of `counts_by_function.csv`: the part of a request's instructions that one function has.
    #[derive(Debug, Clone, Default, PartialEq)]
    pub struct FunctionRow {
        schema_version: u32, "", &[] => "The version of the columns: 1.";
        server: String, "", &[] => "The server's name.";
        workload_id: String, "", &[] => "The workload, as in `counts.csv`.";
        route: String, "", &[] => "The path and query of the requests.";
        connections: usize, "connections", &[] => "Connections that each have one request in flight.";
        function: String, "", &[] =>
            "The function, with what was inlined into it. Those of fewer than 10 instructions are left out.";
        instructions_per_request: f64, "instructions", &[] =>
            "Instructions per request, in the repeat whose total is the median.";
    }
    with {}
}

/// What begins the error of a cell that would have taken too long: no failure.
pub const LEFT_OUT: &str = "left out: ";

impl CountRow {
    /// Returns true if there should have been a count.
    pub fn has_failed(&self) -> bool {
        !self.error.is_empty() && !self.error.starts_with(LEFT_OUT)
    }
}

/// Writes the files of a directory: the three tables, their data package, and the circumstances in `run.json`.
///
/// # Errors
/// A file cannot be written.
pub fn write_counts(
    directory: &Path,
    rows: &[CountRow],
    crates: &[CrateRow],
    functions: &[FunctionRow],
    circumstances: &Json,
) -> Result<()> {
    let write = |name: &str, bytes: Vec<u8>| whole::replace(&directory.join(name), bytes);
    let (counts, by_crate) = (csv::fields::<CountRow>(), csv::fields::<CrateRow>());
    let by_function = csv::fields::<FunctionRow>();
    write(COUNTS, csv::file(&counts, rows)?)?;
    write(COUNTS_BY_CRATE, csv::file(&by_crate, crates)?)?;
    write(COUNTS_BY_FUNCTION, csv::file(&by_function, functions)?)?;
    let resources = [
        package::resource(directory, COUNTS, &counts)?,
        package::resource(directory, COUNTS_BY_CRATE, &by_crate)?,
        package::resource(directory, COUNTS_BY_FUNCTION, &by_function)?,
    ];
    package::write(directory, &resources.into_iter().flatten().collect::<Vec<_>>())?;
    write(RUN, serde_json::to_vec_pretty(circumstances)?)
}

/// Reads the `counts.csv` of a directory.
///
/// # Errors
/// The file is missing or was not written by the harness.
pub fn read_counts(directory: &Path) -> Result<Vec<CountRow>> {
    read(&directory.join(COUNTS))
}

/// Reads the `counts_by_crate.csv` of a directory.
///
/// # Errors
/// The file is missing or was not written by the harness.
pub fn read_crates(directory: &Path) -> Result<Vec<CrateRow>> {
    read(&directory.join(COUNTS_BY_CRATE))
}

/// Reads the `counts_by_function.csv` of a directory; empty for one from before there was such a file.
///
/// # Errors
/// The file was not written by the harness.
pub fn read_functions(directory: &Path) -> Result<Vec<FunctionRow>> {
    let path = directory.join(COUNTS_BY_FUNCTION);
    if path.exists() { read(&path) } else { Ok(Vec::new()) }
}

fn read<R: Record + Default>(path: &Path) -> Result<Vec<R>> {
    let text = fs::read(path).map_err(|error| usage!("cannot read {}: {error}", path.display()))?;
    csv::read_records(&text).map_err(|error| usage!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let row = CountRow {
            server: "smol".into(),
            connections: 64,
            instructions_per_request: Some(12_345.5),
            modes: "1 or 2".into(),
            ..CountRow::default()
        };
        write_counts(folder.path(), std::slice::from_ref(&row), &[], &[], &serde_json::json!({}))
            .expect("written");
        assert_eq!(read_counts(folder.path()).expect("readable"), [row]);
        assert!(
            folder.path().join(COUNTS_BY_CRATE).is_file() && folder.path().join(package::PACKAGE).is_file()
        );
    }

    #[test]
    fn what_was_left_out_has_not_failed() {
        let of = |error: String| CountRow { error, ..CountRow::default() }.has_failed();
        assert!(of("the server died".into()) && !of(format!("{LEFT_OUT}too much")) && !of(String::new()));
    }
}
