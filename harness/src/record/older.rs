//! Fills in what rows of older files lack: those of schema 1 and 2 have no workloads, only what makes them up. And
//! takes back what is not said of a row any more.

use super::row::Row;
use crate::experiment::file;
use crate::experiment::quantity::Quantity;
use crate::experiment::request::Interference;
use crate::experiment::workload::{LoadSpec, Part, ServerOptions, Workload};
use crate::judge::verdict::Verdict;
use contract::route::{ROUTES, Route};
use load::Strategy;
use load::schedule::Arrival;
use std::collections::BTreeMap;
use strum::VariantArray as _;

/// Gives every row without a workload the one that its other columns make up, and `ok` to a row that was left out
/// for its own halves: up to schema 4 that was a row's verdict, and now the blocks of a cell are asked together.
pub fn complete(rows: &mut [Row]) {
    for row in rows.iter_mut().filter(|row| row.verdict == Verdict::NoSteadyState.name()) {
        row.verdict = Verdict::Ok.name().to_owned();
        // The one gate that came after it.
        row.verdict_reason = "not judged: Little's law".to_owned();
    }
    for row in rows.iter_mut().filter(|row| row.amount.is_empty()) {
        row.amount = row.asked_for();
    }
    let old = || rows.iter().filter(|row| row.workload_id.is_empty());
    let ids: BTreeMap<_, String> = old().map(|row| (order(row), id(row))).collect();
    let places: BTreeMap<String, usize> = ids.into_values().zip(1..).collect();
    for row in rows.iter_mut().filter(|row| row.workload_id.is_empty()) {
        row.workload_id = id(row);
        row.group_id.clone_from(&row.workload_id);
        row.workload_no = places[&row.workload_id];
        row.workload = workload_of(row).label(ALONE);
    }
}

/// The one measured load of a row, which has one phase.
const ALONE: Part = Part { load: 0, phase: 0 };

/// The workload of a row that has none, as an experiment would give it: runs of then and now have the same.
fn workload_of(row: &Row) -> Workload {
    let count = |n: u64| Quantity::from(n as f64);
    let seconds = |seconds: Option<f64>| Quantity::from(seconds.unwrap_or(0.0));
    let known = Strategy::VARIANTS.iter().copied().find(|strategy| strategy.name() == row.strategy);
    let strategy = known.unwrap_or(Strategy::Sequential);
    let load = LoadSpec {
        name: row.strategy.clone(),
        strategy,
        route: row.route.clone(),
        requests: row.requests.map(count),
        concurrency: (strategy != Strategy::Sequential).then(|| count(row.concurrency as u64)),
        rate: row.offered_rps.map(Quantity::from),
        arrival: if row.arrival == "poisson" { Arrival::Poisson } else { Arrival::Constant },
        background: false,
    };
    let beside = row.interference.parse::<Interference>().ok().map(|interference| interference.load());
    let phases = match row.duration_s {
        Some(_) => file::timed(seconds(row.warmup_s), seconds(row.duration_s)),
        None => Vec::new(),
    };
    let server = ServerOptions { processes: count(row.processes as u64), ..ServerOptions::default() };
    Workload {
        server,
        loads: std::iter::once(load).chain(beside).collect(),
        phases,
        rounds: None,
        levels: BTreeMap::new(),
    }
}

fn id(row: &Row) -> String {
    workload_of(row).id(ALONE, placement(row))
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
    let strategy = Strategy::VARIANTS.iter().position(|strategy| strategy.name() == row.strategy);
    // As bits, which are ordered like the positive numbers they stand for.
    let bits = |value: Option<f64>| value.map(f64::to_bits);
    let work = (row.requests.is_none(), row.requests, strategy, row.strategy.clone(), row.concurrency);
    let schedule = (bits(row.offered_rps), row.arrival.clone(), bits(row.duration_s), bits(row.warmup_s));
    (row.processes, row.interference.clone(), route, work, schedule, placement(row).to_owned())
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
        let id = |row: Row| id(&row);
        assert_ne!(id(row(2, "split")), id(row(2, "shared")));
        assert_eq!(id(row(1, "")), id(row(2, "shared")));
    }

    #[test]
    fn a_row_that_has_a_workload_keeps_it() {
        let row = Row { workload_id: "w".into(), group_id: "g".into(), workload_no: 7, ..Row::default() };
        assert_eq!(completed(&row), row);
    }

    #[test]
    fn a_row_that_was_left_out_for_its_own_halves_is_not_any_more() {
        let row = |verdict: &str| Row { verdict: verdict.into(), workload_id: "w".into(), ..Row::default() };
        assert_eq!(completed(&row("no_steady_state")).verdict, "ok");
        assert_eq!(completed(&row("client_bound")), row("client_bound"));
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
