//! Experiment files: one that is read has workloads that could be measured, and is the same when `run.json` keeps it.

#![no_main]

use harness::experiment::plan;
use harness::experiment::quantity::Known;
use harness::experiment::{file, workload::Workload};
use libfuzzer_sys::fuzz_target;

/// Asks of a workload what a run asks of it before it starts a server.
fn ask(workload: &Workload) {
    workload.check().expect("it was checked");
    assert!(!workload.parts().is_empty(), "something is measured");
    for part in workload.parts() {
        assert!(!workload.label(part).is_empty());
        assert_eq!(workload.id(part, "split"), workload.clone().id(part, "split"));
    }
    for index in 0..workload.loads.len() {
        // What depends on the server may be wrong with another one.
        _ = workload.load(index, &Known { workers: Some(7), ..Known::SAMPLE });
    }
    _ = workload.scenario(&Known::default());
}

fuzz_target!(|text: &str| {
    let Ok(experiment) = file::parse("fuzzed", text) else { return };
    experiment.check().expect("what was read is whole");
    experiment.workloads.iter().for_each(|planned| ask(&planned.workload));
    plan::ceilings(experiment.workloads.iter().map(|planned| &planned.workload)).iter().for_each(ask);
    _ = experiment.most_connections();

    let again = fuzz::comes_back(&experiment);
    for (one, other) in experiment.workloads.iter().zip(&again.workloads) {
        assert!(one.workload.is_same(&other.workload), "{other:?}");
    }
});
