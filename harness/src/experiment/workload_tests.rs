//! What makes workloads the same, and what they are called.

use super::*;

fn load(strategy: Strategy) -> LoadSpec {
    let requests = (!strategy.is_engine()).then_some(Quantity::from(100.0));
    LoadSpec {
        name: "x".into(),
        strategy,
        route: "/wait".into(),
        requests,
        concurrency: None,
        rate: None,
        arrival: Arrival::default(),
        background: false,
    }
}

fn workload(load: LoadSpec) -> Workload {
    let timed = || crate::experiment::file::timed(Quantity::from(1.0), Quantity::from(2.0));
    let phases = if load.strategy.is_engine() { timed() } else { Vec::new() };
    Workload {
        server: ServerOptions::default(),
        loads: vec![load],
        phases,
        rounds: None,
        levels: BTreeMap::new(),
    }
}

const FIRST: Part = Part { load: 0, phase: 0 };

fn id(workload: &Workload) -> String {
    workload.id(FIRST, "split")
}

fn number(n: f64) -> Option<Quantity> {
    Some(Quantity::from(n))
}

#[test]
fn names_and_written_defaults_make_no_other_workload() {
    let plain = workload(load(Strategy::ClosedLoop));
    let mut other = plain.clone();
    (other.loads[0].name, other.phases[1].name) = ("y".into(), "z".into());
    other.levels.insert("k".into(), "1".into());
    other.loads[0].concurrency = number(64.0);
    assert_eq!(id(&plain), id(&other));
    assert_eq!(id(&plain).len(), 11);
    assert!(id(&plain).starts_with('w'));
}

#[test]
fn every_number_and_the_placement_make_another_workload() {
    let plain = workload(LoadSpec { rate: number(100.0), ..load(Strategy::OpenLoop) });
    type Change = fn(&mut Workload);
    let changes: [Change; 10] = [
        |w| w.server.processes = Quantity::from(2.0),
        |w| w.server.workers = number(2.0),
        |w| w.server.blocking_threads = number(2.0),
        |w| w.loads[0].route = "/asyncwait".into(),
        |w| w.loads[0].concurrency = number(3.0),
        |w| w.loads[0].rate = number(200.0),
        |w| w.loads[0].arrival = Arrival::Poisson,
        |w| w.loads.push(LoadSpec { background: true, ..load(Strategy::ClosedLoop) }),
        |w| w.phases[1].duration_s = Quantity::from(3.0),
        |w| w.phases[0].duration_s = Quantity::from(3.0),
    ];
    let mut ids = vec![id(&plain), plain.id(FIRST, "shared")];
    for change in changes {
        let mut other = plain.clone();
        change(&mut other);
        ids.push(id(&other));
    }
    let unique: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
}

#[test]
fn the_id_of_a_workload_never_changes() {
    // Seen once: runs of different days are compared by it.
    assert_eq!(id(&workload(load(Strategy::ClosedLoop))), "wae09bef68d");
}

#[test]
fn workloads_are_told_in_a_few_words() {
    let label = |workload: &Workload| workload.label(FIRST);
    assert_eq!(label(&workload(load(Strategy::Sequential))), "/wait, sequential, 100");
    assert_eq!(label(&workload(load(Strategy::Async))), "/wait, async, 100");
    let by = LoadSpec { concurrency: number(10.0), ..load(Strategy::Async) };
    assert_eq!(label(&workload(by)), "/wait, async, 100 by 10");
    assert_eq!(label(&workload(load(Strategy::Churn))), "/wait, churn, 64 connections");
    let rate = LoadSpec { rate: number(500.0), arrival: Arrival::Poisson, ..load(Strategy::OpenLoop) };
    let mut disturbed = workload(rate);
    disturbed.server.processes = Quantity::from(2.0);
    let background = LoadSpec {
        route: "/fib/42".into(),
        concurrency: number(1.0),
        background: true,
        ..load(Strategy::ClosedLoop)
    };
    disturbed.loads.push(background);
    assert_eq!(label(&disturbed), "/wait, open-loop, 500/s poisson, 256 connections, 2 processes + fib/42@1");
    assert_eq!(disturbed.beside(FIRST), "fib/42@1");
}

#[test]
fn loads_are_resolved_with_what_is_known_of_the_server() {
    let known = Known { workers: Some(2), knee: Some(1000.0), ..Known::default() };
    let rate = LoadSpec { rate: Quantity::parse("0.5 * knee").ok(), ..load(Strategy::OpenLoop) };
    let resolved = workload(rate).load(0, &known).expect("known").expect("somebody");
    assert_eq!(resolved.arrivals, Arrivals::Open { rate: 500.0, process: Arrival::Constant });
    assert_eq!(resolved.connections, Connections::Kept(256));
    let nobody = LoadSpec {
        background: true,
        concurrency: Quantity::parse("workers - 2").ok(),
        ..load(Strategy::ClosedLoop)
    };
    assert_eq!(workload(nobody).load(0, &known), Ok(None));
    let sequential = workload(load(Strategy::Sequential)).load(0, &known).expect("known").expect("somebody");
    assert_eq!(
        (sequential.arrivals, sequential.amount),
        (Arrivals::Closed { in_flight: 1 }, Amount::Requests(100))
    );
    assert!(workload(load(Strategy::OpenLoop)).load(0, &known).is_err());
}

#[test]
fn absurd_work_is_refused() {
    let refused = |load: LoadSpec, said: &str| {
        let problem = workload(load).check().expect_err(said);
        assert!(problem.contains(said), "{said}: {problem}");
    };
    assert!(workload(load(Strategy::Async)).check().is_ok());
    refused(LoadSpec { requests: number(0.0), ..load(Strategy::Async) }, "concurrency 0");
    refused(LoadSpec { concurrency: number(0.0), ..load(Strategy::Async) }, "concurrency 0");
    refused(LoadSpec { concurrency: number(101.0), ..load(Strategy::Async) }, "concurrency 101");
    refused(LoadSpec { concurrency: number(5.0), ..load(Strategy::Sequential) }, "no effect on sequential");
    refused(LoadSpec { requests: number(1e6), ..load(Strategy::Async) }, "give a concurrency");
    refused(LoadSpec { requests: number(5.0), ..load(Strategy::OpenLoop) }, "runs for a time");
    refused(load(Strategy::OpenLoop), "needs a rate");
    refused(LoadSpec { rate: number(-1.0), ..load(Strategy::OpenLoop) }, "rate -1");
    refused(LoadSpec { rate: number(10.0), ..load(Strategy::ClosedLoop) }, "no effect on closed-loop");
    refused(LoadSpec { requests: None, ..load(Strategy::Async) }, "number of requests");
    assert!(workload(load(Strategy::Churn)).check().is_ok());
}
