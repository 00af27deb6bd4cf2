//! What runs next, and again.

use super::*;
use crate::experiment::blocks_of::BlocksOf;
use crate::experiment::file;
use crate::experiment::model::{Experiment, Planned};

const WORKLOADS: &str = "
question = 'q'
blocks = 1
[factors]
route = ['wait', 'asyncwait', 'plaintext']
[[load]]
strategy = 'async'
requests = 10
route = '{route}'
";

fn experiment(text: &str) -> Experiment {
    file::parse("x", text).expect("valid")
}

/// Two servers on three routes, and the ceiling of a third.
fn plan(blocks: usize) -> Plan {
    let mut workloads = experiment(WORKLOADS).workloads;
    let ceiling = plan::ceilings(workloads.iter().map(|planned| &planned.workload)).remove(0);
    workloads.push(Planned { workload: ceiling, base: 3, search: None, figure: None });
    let group = |workload| (0..2).map(|server| Cell { server, workload }).collect();
    Plan {
        workloads,
        searches_from: 3,
        ceilings: vec![Cell { server: 2, workload: 3 }],
        groups: (0..3).map(group).collect(),
        blocks,
        seed: 3,
        ..Plan::default()
    }
}

/// Runs it to its end; `noisy` says which steps are disturbed.
fn run(scheduler: &mut Scheduler, noisy: impl Fn(&Step) -> bool) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(step) = scheduler.step() {
        let verdict = if noisy(&step) { Verdict::NoisyHost } else { Verdict::Ok };
        let throughput_rps = Some((100 * step.block + step.order_index) as f64);
        scheduler.advance(&[Row { verdict: verdict.name().into(), throughput_rps, ..Row::default() }]);
        steps.push(step);
    }
    steps
}

fn scheduler(blocks: usize) -> Scheduler {
    Scheduler::new(plan(blocks), &[])
}

#[test]
fn a_block_is_its_ceilings_and_then_group_after_group() {
    let mut scheduler = scheduler(2);
    let steps = run(&mut scheduler, |_| false);
    assert_eq!((steps.len(), scheduler.steps(), scheduler.voided()), (14, 14, 0));
    for (block, steps) in steps.chunks(7).enumerate() {
        assert_eq!((steps[0].cell.server, &steps[0].client_ceilings[..]), (2, &[None][..]));
        for (index, step) in steps.iter().enumerate() {
            assert_eq!((step.block, step.order_index, step.attempt), (block + 1, index + 1, 1));
        }
        for group in steps[1..].chunks(2) {
            assert_eq!(group[0].cell.workload, group[1].cell.workload);
            assert_ne!(group[0].cell.server, group[1].cell.server);
            // The ceiling of this block, not of another.
            assert_eq!(group[0].client_ceilings, [Some((100 * (block + 1) + 1) as f64)]);
        }
    }
}

#[test]
fn a_group_begins_with_its_first_cell() {
    let mut scheduler = scheduler(1);
    let mut begins = Vec::new();
    while scheduler.step().is_some() {
        begins.push(scheduler.begins_group());
        scheduler.advance(&[Row::default()]);
    }
    // The ceiling, and three groups of two servers.
    assert_eq!(begins, [true, true, false, true, false, true, false]);
}

#[test]
fn parts_of_a_run_have_its_blocks_each_in_the_same_order() {
    let whole = run(&mut scheduler(5), |_| false);
    let mut parts: Vec<Step> = Vec::new();
    for index in 1..=2 {
        let part = Plan { part: BlocksOf { index, of: 2 }, ..plan(5) };
        let mut scheduler = Scheduler::new(part, &[]);
        let steps = run(&mut scheduler, |_| false);
        assert_eq!(steps.len(), scheduler.steps());
        parts.extend(steps);
    }
    parts.sort_by_key(|step| step.block);
    assert_eq!(parts, whole);
}

#[test]
fn a_disturbed_group_is_run_again_as_a_whole_and_a_bounded_number_of_times() {
    let mut scheduler = scheduler(4);
    let steps = run(&mut scheduler, |step| step.cell == Cell { server: 1, workload: 1 });
    let attempts = |block| {
        let of_group = steps.iter().filter(|step| step.block == block && step.cell.workload == 1);
        of_group.map(|step| step.attempt).collect::<Vec<_>>()
    };
    // Two in a block at the most, and as many as there are blocks in the run.
    assert_eq!(attempts(1), [1, 1, 2, 2, 3, 3]);
    assert_eq!(attempts(2), [1, 1, 2, 2, 3, 3]);
    assert_eq!(attempts(3), [1, 1]);
    assert_eq!((scheduler.voided(), steps.len()), (4, 4 * 7 + 4 * 2));
    // Both servers of each attempt stand together, and places are not given twice.
    for block in 1..=4 {
        let places: Vec<usize> =
            steps.iter().filter(|step| step.block == block).map(|step| step.order_index).collect();
        assert_eq!(places, (1..=places.len()).collect::<Vec<_>>());
    }
    let second = steps.iter().position(|step| step.attempt == 2).expect("there is one");
    assert_eq!(steps[second].cell.workload, steps[second - 1].cell.workload);
}

#[test]
fn a_clean_attempt_ends_the_repeating() {
    let steps = run(&mut scheduler(1), |step| step.cell.workload == 2 && step.attempt == 1);
    let attempts = steps.iter().filter(|step| step.cell.workload == 2).map(|step| step.attempt);
    assert_eq!(attempts.collect::<Vec<_>>(), [1, 1, 2, 2]);
}

#[test]
fn what_ran_for_long_is_not_run_again() {
    let mut scheduler = scheduler(1);
    let mut attempts = Vec::new();
    while let Some(step) = scheduler.step() {
        // The group of one workload is too long, and the others are not.
        let elapsed_s = Some(if step.cell.workload == 1 { 61.0 } else { 60.0 });
        let verdict = if step.cell.workload == 3 { Verdict::Ok } else { Verdict::NoisyHost }.name().into();
        scheduler.advance(&[Row { verdict, elapsed_s, ..Row::default() }]);
        attempts.push((step.cell.workload, step.attempt));
    }
    let most = |workload| attempts.iter().filter(|a| a.0 == workload).map(|a| a.1).max();
    assert_eq!((most(0).max(most(2)), most(1)), (Some(2), Some(1)));
}

#[test]
fn a_disturbed_ceiling_is_run_again_once_and_the_last_counts() {
    let steps = run(&mut scheduler(1), |step| step.cell.server == 2);
    assert_eq!(steps[..2].iter().map(|step| step.attempt).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((steps[2].cell.server < 2, &steps[2].client_ceilings[..]), (true, &[Some(102.0)][..]));
}

#[test]
fn an_empty_plan_is_at_its_end() {
    assert_eq!(Scheduler::new(Plan::default(), &[]).step(), None);
}

#[test]
fn a_ceiling_that_failed_is_none() {
    let mut scheduler = scheduler(1);
    scheduler.advance(&[Row { throughput_rps: Some(9.0), error: "it died".into(), ..Row::default() }]);
    assert_eq!(scheduler.step().expect("six more").client_ceilings, [None]);
}

const SEARCHED: &str = "
question = 'q'
blocks = 1
[search]
over = 'rate'
keep = 'response_p99_us < 5000'
from = 100
to = 3200
precision = 0.1
trials = 1
[[search.load]]
strategy = 'open-loop'
route = 'plaintext'
duration_s = 0.5
[[load]]
strategy = 'open-loop'
route = 'plaintext'
rate = '0.5 * knee'
duration_s = 1
";

/// A server, its control and one without a knee.
fn searched() -> Scheduler {
    let experiment = experiment(SEARCHED);
    let mut workloads = experiment.workloads;
    let trial = experiment.searches[0].workload.clone();
    workloads.push(Planned { workload: trial, base: 1, search: None, figure: None });
    let plan = Plan {
        workloads,
        searches_from: 1,
        searches: vec![Cell { server: 0, workload: 1 }, Cell { server: 2, workload: 1 }],
        groups: vec![(0..3).map(|server| Cell { server, workload: 0 }).collect()],
        control: Some((1, 0)),
        blocks: 1,
        seed: 1,
        ..Plan::default()
    };
    Scheduler::new(plan, &experiment.searches)
}

#[test]
fn searches_take_turns_and_go_before_the_first_block() {
    let mut scheduler = searched();
    let mut servers = Vec::new();
    while let Some(step) = scheduler.step().filter(|step| step.block == 0) {
        servers.push(step.cell.server);
        let knee = if step.cell.server == 0 { 1000.0 } else { 0.5 };
        let passed = step.known.trial.expect("a rate") <= knee;
        scheduler.advance(&[Row { search_passed: Some(passed), ..Row::default() }]);
    }
    assert_eq!(servers[..4], [0, 2, 0, 2]);
    let steps = run(&mut scheduler, |_| false);
    let knee =
        |server: usize| steps.iter().find(|step| step.cell.server == server).and_then(|step| step.known.knee);
    let found = knee(0).expect("there is one");
    assert!((1000.0 / 1.1..=1000.0).contains(&found), "{found}");
    // The control runs at its server's knee; whoever has none is left out.
    assert_eq!(knee(1), knee(0));
    assert_eq!(steps.iter().filter(|step| step.cell.server == 2).count(), 0);
    assert_eq!(scheduler.left_out(), [Cell { server: 2, workload: 0 }]);
}

#[test]
fn a_run_in_which_no_search_finds_anything_ends() {
    let mut scheduler = searched();
    while scheduler.step().is_some() {
        scheduler.advance(&[Row { search_passed: Some(false), ..Row::default() }]);
    }
    assert_eq!(scheduler.left_out().len(), 3);
}

#[test]
fn a_disturbed_trial_is_run_again_and_a_bounded_number_of_times() {
    let mut scheduler = searched();
    let row = |verdict: Verdict| {
        [Row { verdict: verdict.name().into(), search_passed: Some(true), ..Row::default() }]
    };
    let rate = |scheduler: &Scheduler| scheduler.step().and_then(|step| step.known.trial);
    scheduler.advance(&row(Verdict::NoisyHost));
    scheduler.advance(&row(Verdict::Ok));
    // The first server's rate is on trial still, the other's is decided.
    assert_eq!(rate(&scheduler), Some(100.0));
    scheduler.advance(&row(Verdict::Ok));
    assert_eq!(rate(&scheduler), Some(200.0));
    let mut steps = 0;
    while scheduler.step().is_some_and(|step| step.block == 0) {
        scheduler.advance(&row(Verdict::NoisyHost));
        steps += 1;
        assert!(steps < 40, "it does not end");
    }
}

#[test]
fn a_run_that_is_extended_goes_on_as_one_that_was_longer_from_the_start() {
    let longer = run(&mut scheduler(4), |_| false);
    let mut scheduler = scheduler(2);
    let first = run(&mut scheduler, |_| false);
    assert_eq!((scheduler.extend(2), scheduler.steps()), (14, 28));
    let second = run(&mut scheduler, |_| false);
    assert_eq!([first, second].concat(), longer);
}

#[test]
fn blocks_that_are_added_bring_repeats_with_them() {
    let noisy = |step: &Step| step.cell == Cell { server: 1, workload: 1 };
    let mut scheduler = scheduler(1);
    run(&mut scheduler, noisy);
    assert_eq!(scheduler.voided(), 1);
    scheduler.extend(2);
    run(&mut scheduler, noisy);
    assert_eq!(scheduler.voided(), 3);
}

#[test]
fn a_run_whose_time_is_over_completes_its_block_and_begins_no_other() {
    for (steps, blocks) in [(0, 0), (1, 1), (6, 1), (7, 1), (8, 2), (21, 3)] {
        let mut scheduler = scheduler(3);
        for _ in 0..steps {
            scheduler.advance(&[Row::default()]);
        }
        scheduler.end_with_block();
        let left = run(&mut scheduler, |_| false).len();
        assert_eq!((steps + left, scheduler.plan().blocks), (7 * blocks, blocks), "{steps}");
    }
    let mut scheduler = searched();
    scheduler.advance(&[Row { search_passed: Some(true), ..Row::default() }]);
    scheduler.end_with_block();
    assert_eq!(scheduler.step(), None);
}
