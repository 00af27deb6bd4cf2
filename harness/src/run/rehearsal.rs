//! What `--resume` makes of a run's files, without a server: for tests, and for fuzzing.

use super::hosts::Hosts;
use super::measure::Run;
use super::prepare::{Prepared, add_control, plan};
use super::replicate::Setting;
use super::target::{RunServer, Running, Target, expected};
use super::unfinished;
use crate::agent::placement::{Asked, Placing};
use crate::agent::server::StartOptions;
use crate::exit::usage;
use crate::experiment::plan::Cell;
use crate::experiment::selection::Selection;
use crate::experiment::server::Role;
use crate::record::directory::{Directory, read_cells};
use crate::report::progress::Shown;
use anyhow::Result;
use std::path::Path;

/// Takes the rows of the run in the directory `path` for its own, as a run that continues it does, and says how many
/// those are. Its servers stand there by their names alone. What is half written is cut off.
///
/// # Errors
/// There is no such run, it is complete, or its rows are not those that its seed gives.
pub fn rehearse(path: &Path) -> Result<usize> {
    let file = unfinished(path)?;
    let (directory, rows) = Directory::reopen(path, &file.measured.factors)?;
    // A server of a URL is not selected, but recorded.
    let names: Vec<&String> = match file.selected.is_empty() {
        true => file.servers.keys().collect(),
        false => file.selected.iter().collect(),
    };
    let mut servers: Vec<RunServer> = names.into_iter().map(|name| stand_in(name)).collect();
    let workloads = file.measured.workloads.len();
    let of_server = |server| (0..workloads).map(move |workload| Cell { server, workload });
    let mut cells: Vec<Cell> = (0..servers.len()).flat_map(of_server).collect();
    let control = file.control.as_deref().and_then(|name| add_control(name, &mut servers, &mut cells));
    let ceiling = file.ceiling.as_deref().map(|name| {
        servers.iter().position(|server| server.name == name).unwrap_or_else(|| {
            servers.push(stand_in(name));
            servers.len() - 1
        })
    });
    let selection = Selection {
        request: file.request.clone(),
        experiment: file.measured.clone(),
        servers: Vec::new(),
        left_out: Vec::new(),
        ceiling: None,
        seed: file.seed,
    };
    let plan = plan(&selection, &servers, cells, ceiling, control);
    let asked = Asked { running: true, ..Asked::default() };
    let setting = Setting {
        hosts: Hosts::none(),
        network_floor_us: None,
        run_id: file.run_id.clone(),
        experiment: file.experiment.clone(),
        seed: file.seed,
        timeout: file.request.timeout(),
        start: StartOptions::default(),
        driver: file.request.driver.unwrap_or_default(),
        placing: Placing::new(Vec::new(), asked, false).map_err(|problem| usage!("{problem}"))?,
        mutation: None,
    };
    let searches = file.measured.searches.clone();
    let mut run = Run::new(Prepared { servers, plan, searches, setting, file }, directory, Shown::Files);
    run.replay(rows)?;
    Ok(read_cells(path)?.len())
}

/// A server that nobody asks.
fn stand_in(name: &str) -> RunServer {
    let running = Running {
        name: name.to_owned(),
        addr: ([127, 0, 0, 1], 1).into(),
        target: "/".to_owned(),
        expect: expected("/"),
    };
    RunServer { name: name.to_owned(), role: Role::Contestant, target: Target::Running(running) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::root;
    use crate::record::directory::RUN;
    use crate::record::row::Row;
    use serde_json::{Value, json};
    use std::fs;
    use std::path::PathBuf;
    use tempfile::TempDir;

    /// The committed run of `quick`, whose servers take turns.
    fn committed() -> PathBuf {
        let results = root::find().expect("a clone").join("results");
        let runs = fs::read_dir(results).expect("readable").map(|entry| entry.expect("an entry").path());
        let quick = |path: &PathBuf| path.to_string_lossy().ends_with("-quick");
        runs.filter(quick).max().expect("a run of quick")
    }

    /// A committed run, as it was before it had ended, with these rows and this `run.json`.
    fn unfinished_run(rows: impl FnOnce(&mut Vec<Row>), run: impl FnOnce(&mut Value)) -> (TempDir, usize) {
        let committed = committed();
        let mut kept = read_cells(&committed).expect("readable");
        rows(&mut kept);
        let text = fs::read_to_string(committed.join(RUN)).expect("readable");
        let mut file: Value = serde_json::from_str(&text).expect("JSON");
        file["ended_at"] = Value::Null;
        run(&mut file);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run");
        let factors: Vec<String> =
            serde_json::from_value(file["measured"]["factors"].clone()).expect("names");
        Directory::create(&path, &factors).and_then(|mut made| made.append(&kept)).expect("room");
        fs::write(path.join(RUN), file.to_string()).expect("room");
        (folder, kept.len())
    }

    fn rehearsed(folder: &TempDir) -> Result<usize> {
        rehearse(&folder.path().join("run"))
    }

    #[test]
    fn a_run_that_ended_early_takes_its_whole_replicates_for_its_own() {
        let (whole, rows) = unfinished_run(|_| (), |_| ());
        assert_eq!(rehearsed(&whole).expect("its own rows"), rows);
        // Servers that take turns are a group of rows, and half of them are none.
        let (cut, rows) = unfinished_run(|rows| _ = rows.pop(), |_| ());
        let kept = rehearsed(&cut).expect("its own rows");
        assert!(kept > 0 && kept < rows, "{kept} of {rows}");
        assert_eq!(rehearsed(&cut).expect("nothing else to cut off"), kept);
    }

    #[test]
    fn rows_of_another_run_are_refused() {
        let (other, _) = unfinished_run(|rows| rows[3].server = "another".into(), |_| ());
        let refusal = rehearsed(&other).expect_err("no such server").to_string();
        assert!(refusal.contains("not what its seed gives") && refusal.lines().count() == 1, "{refusal}");
        let (other, _) = unfinished_run(|_| (), |file| file["seed"] = json!(1));
        assert!(rehearsed(&other).expect_err("another order").to_string().contains("its seed"));
    }

    #[test]
    fn a_run_file_that_no_run_wrote_is_refused() {
        let refused = |change: fn(&mut Value)| {
            let (folder, _) = unfinished_run(|_| (), change);
            let refusal = rehearsed(&folder).expect_err("changed").to_string();
            assert_eq!(refusal.lines().count(), 1, "{refusal}");
            refusal
        };
        assert!(refused(|file| file["measured"]["blocks"] = json!(0)).contains("run.json: blocks"));
        assert!(
            refused(|file| file["measured"]["workloads"][0]["base"] = json!(99)).contains("no workload 99")
        );
        assert!(
            refused(|file| file["measured"]["workloads"][0]["search"] = json!(0)).contains("no search 0")
        );
        assert!(refused(|file| file["ended_at"] = json!("now")).contains("is complete"));
    }
}
