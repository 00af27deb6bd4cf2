//! What a plan is made of.

use super::*;
use crate::experiment::file;
use crate::experiment::request::Request;
use crate::experiment::{root, selection};
use crate::run::target::Running;
use load::protocol::Strategy;

fn selected() -> Selection {
    let request = Request {
        server: vec!["ceiling".into(), "smol".into()],
        route: vec!["plaintext".into()],
        strategy: vec![Strategy::Async, Strategy::ClosedLoop],
        ..Default::default()
    };
    selection::select(Some(&root::find().expect("a clone")), &request).expect("valid")
}

fn running(name: &str) -> RunServer {
    let running = Running {
        name: name.into(),
        addr: ([127, 0, 0, 1], 1).into(),
        target: "/".into(),
        expect: crate::run::target::expected("/"),
    };
    RunServer { name: name.into(), role: Role::Contestant, target: Target::Running(running) }
}

#[test]
fn a_ceiling_that_was_selected_is_not_measured_twice() {
    let selection = selected();
    let (cells, _) = plan::cells(&selection.servers, &selection.experiment.workloads);
    let before = cells.len();
    let plan = plan(&selection, &[running("ceiling"), running("smol")], cells, Some(0), None);
    assert_eq!(plan.ceilings.len() + plan.groups.iter().map(Vec::len).sum::<usize>(), before);
    // For as long as was asked.
    assert!(plan.ceilings.iter().all(|cell| cell.workload < plan.searches_from));
    assert!(plan.groups.iter().flatten().all(|cell| cell.server == 1));
}

#[test]
fn a_ceiling_that_was_not_selected_is_measured_besides_and_briefly() {
    let selection = selected();
    let plan =
        plan(&selection, &[running("ceiling"), running("smol"), running("c")], Vec::new(), Some(2), None);
    assert_eq!(plan.ceilings.len(), selection.experiment.workloads.len());
    for cell in &plan.ceilings {
        let workload = &plan.workloads[cell.workload].workload;
        assert_eq!((cell.server, workload.loads[0].route.as_str()), (2, "/plaintext"));
        let seconds = workload.phases.iter().filter_map(|phase| phase.duration_s.constant());
        assert!(seconds.into_iter().all(|seconds| seconds <= 2.0));
    }
}

#[test]
fn the_control_does_all_that_its_server_does() {
    let mut servers = vec![running("x"), running("y")];
    let cell = |server, workload| Cell { server, workload };
    let mut cells = vec![cell(0, 0), cell(1, 0), cell(1, 1)];
    assert_eq!(add_control("y", &mut servers, &mut cells), Some((2, 1)));
    assert_eq!((servers[2].name.as_str(), servers[2].role), ("y.control", Role::Control));
    assert_eq!(cells[3..], [cell(2, 0), cell(2, 1)]);
}

#[test]
fn every_server_but_the_control_is_searched_once_for_all_that_needs_its_knee() {
    let text = "
        question = 'q'
        blocks = 1
        [factors]
        share = [0.1, 0.5]
        [search]
        over = 'rate'
        keep = 'response_p99_us < 5000'
        from = 100
        to = 1000
        precision = 0.1
        [[search.load]]
        strategy = 'open-loop'
        route = 'plaintext'
        duration_s = 0.5
        [[load]]
        strategy = 'open-loop'
        route = 'plaintext'
        rate = '{share} * knee'
        duration_s = 1
    ";
    let experiment = file::parse("x", text).expect("valid");
    let cell = |server, workload| Cell { server, workload };
    let cells = [cell(0, 0), cell(0, 1), cell(1, 0), cell(1, 1)];
    let servers = [running("x"), running("x.control")];
    assert_eq!(searches(&experiment, &servers, &cells, Some((1, 0))), [cell(0, 2)]);
}
