//! Fills in what rows of older files lack: those of schema 1 and 2 have no workloads, only what makes them up.

use super::row::Row;
use contract::route::{ROUTES, Route};
use load::Strategy;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Gives every row without a workload the one that its other columns make up.
pub fn complete(rows: &mut [Row]) {
    let old = || rows.iter().filter(|row| row.workload_id.is_empty());
    let ids: BTreeMap<_, String> = old().map(|row| (order(row), workload_id_of_old(row))).collect();
    let places: BTreeMap<String, usize> = ids.into_values().zip(1..).collect();
    for row in rows.iter_mut().filter(|row| row.workload_id.is_empty()) {
        row.workload_id = workload_id_of_old(row);
        row.group_id.clone_from(&row.workload_id);
        row.workload_no = places[&row.workload_id];
        row.workload = label(row);
    }
}

/// The id of the workload of a row that has none: a hash of everything that makes a cell but its server.
pub fn workload_id_of_old(row: &Row) -> String {
    let number = |number: Option<f64>| number.map_or_else(String::new, |number| number.to_string());
    let parts = [
        row.processes.to_string(),
        row.interference.clone(),
        row.route.clone(),
        row.requests.map_or_else(String::new, |requests| requests.to_string()),
        row.strategy.clone(),
        row.concurrency.to_string(),
        number(row.offered_rps),
        row.arrival.clone(),
        number(row.duration_s),
        number(row.warmup_s),
        placement(row).to_owned(),
    ];
    let hash = Sha256::digest(parts.join("\n"));
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Before there was a column for it, server and client shared all CPUs.
fn placement(row: &Row) -> &str {
    if row.schema_version == 1 { "shared" } else { &row.placement }
}

/// The order of tables: by condition, route, load, client. The article's strategies, which have a number of
/// requests, come before those that run for a time.
fn order(row: &Row) -> impl Ord + use<> {
    let name = Route::parse_target(&row.route).map(Route::name).ok();
    let route = (ROUTES.iter().position(|route| Some(route.name) == name), row.route.clone());
    let strategy = Strategy::ALL.iter().position(|strategy| strategy.name() == row.strategy);
    // As bits, which are ordered like the positive numbers they stand for.
    let bits = |value: Option<f64>| value.map(f64::to_bits);
    let work = (row.requests.is_none(), row.requests, strategy, row.strategy.clone(), row.concurrency);
    let schedule = (bits(row.offered_rps), row.arrival.clone(), bits(row.duration_s), bits(row.warmup_s));
    (row.processes, row.interference.clone(), route, work, schedule, placement(row).to_owned())
}

/// The workload in words: `/wait, async, 1000, 2 processes + fib/42@1`.
fn label(row: &Row) -> String {
    let mut label = format!("{}, {}", row.route, row.work());
    if row.processes > 1 {
        label.push_str(&format!(", {} processes", row.processes));
    }
    if !row.interference.is_empty() {
        let comma = if row.processes > 1 { "" } else { "," };
        label.push_str(&format!("{comma} + {}", row.interference));
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::directory::read_cells;

    fn completed(row: &Row) -> Row {
        let mut rows = [row.clone()];
        complete(&mut rows);
        rows[0].clone()
    }

    #[test]
    fn labels_say_what_is_measured() {
        let mut row = Row {
            route: "/wait".into(),
            strategy: "async".into(),
            requests: Some(1000),
            concurrency: 1000,
            processes: 1,
            ..Row::default()
        };
        assert_eq!(completed(&row).workload, "/wait, async, 1000");
        (row.concurrency, row.interference) = (100, "fib/42@1".into());
        assert_eq!(completed(&row).workload, "/wait, async, 1000 by 100, + fib/42@1");
        row.processes = 2;
        assert_eq!(completed(&row).workload, "/wait, async, 1000 by 100, 2 processes + fib/42@1");
        (row.requests, row.strategy, row.offered_rps) = (None, "open-loop".into(), Some(500.0));
        row.arrival = "poisson".into();
        let label = "/wait, open-loop, 500/s poisson, 100 connections, 2 processes + fib/42@1";
        assert_eq!(completed(&row).workload, label);
    }

    #[test]
    fn two_placements_are_two_workloads_and_old_rows_shared_their_cpus() {
        let row = |schema_version, placement: &str| Row {
            schema_version,
            placement: placement.into(),
            ..Row::default()
        };
        let id = |row: Row| workload_id_of_old(&row);
        assert_ne!(id(row(2, "split")), id(row(2, "shared")));
        assert_eq!(id(row(1, "")), id(row(2, "shared")));
    }

    #[test]
    fn a_row_that_has_a_workload_keeps_it() {
        let row = Row { workload_id: "w".into(), group_id: "g".into(), workload_no: 7, ..Row::default() };
        assert_eq!(completed(&row), row);
    }

    #[test]
    fn the_committed_runs_of_schema_1_and_2_are_read() {
        let root = crate::experiment::root::find().expect("a clone");
        for (run, version, count, workloads, first) in [
            ("20261122T115236Z-vm-seed", 1, 1200, 30, "/wait, sequential, 100"),
            ("20261122T171002Z-vm-full", 2, 1145, 17, "/plaintext, sequential, 10"),
        ] {
            let rows = read_cells(&root.join("results").join(run)).expect("readable");
            assert_eq!(rows.len(), count, "{run}");
            assert!(rows.iter().all(|row| row.schema_version == version && row.run_id == run));
            assert!(rows.iter().all(|row| row.throughput_rps.is_some() && row.group_id == row.workload_id));
            let labels: BTreeMap<usize, &str> =
                rows.iter().map(|row| (row.workload_no, row.workload.as_str())).collect();
            assert_eq!((labels.len(), labels[&1]), (workloads, first), "{run}: {labels:?}");
        }
    }
}
