//! What a plan says of work, cells and orders.

use super::*;

#[test]
fn orders_are_permutations_that_the_seed_decides() {
    let groups: Vec<usize> = (0..20).map(|group| group % 3 * 5).collect();
    let first = order(&groups, 1, 7);
    assert_eq!(first, order(&groups, 1, 7));
    assert_ne!(first, order(&groups, 2, 7));
    assert_ne!(first, order(&groups, 1, 8));
    let mut sorted = first;
    sorted.sort_unstable();
    for (index, (group, mut cells)) in sorted.into_iter().enumerate() {
        cells.sort_unstable();
        assert_eq!((group, cells), (index, (0..groups[index]).collect()));
    }
}

#[test]
fn the_order_of_a_seed_never_changes() {
    // Seen once, and part of what a recorded seed means.
    let seen = [(0, vec![2, 0, 3, 1]), (2, vec![0, 1]), (1, vec![2, 1, 0])];
    assert_eq!(order(&[4, 3, 2], 1, 42), seen);
    assert_eq!(control(8, 42), Some(1));
    assert_eq!(control(1, 42), None);
}

fn load(strategy: Strategy, rate: Option<f64>) -> LoadSpec {
    LoadSpec {
        name: String::new(),
        strategy,
        route: "/a".into(),
        requests: None,
        concurrency: None,
        rate: rate.map(Quantity::from),
        arrival: Default::default(),
        background: false,
    }
}

fn workload(load: LoadSpec) -> Workload {
    let phases = crate::experiment::file::timed(Quantity::from(1.0), Quantity::from(4.0));
    Workload {
        server: ServerOptions::default(),
        loads: vec![load],
        phases,
        rounds: None,
        levels: BTreeMap::new(),
    }
}

#[test]
fn the_ceiling_of_a_rate_is_what_the_same_engine_reaches_without() {
    let closed = LoadSpec { concurrency: Some(Quantity::from(256.0)), ..load(Strategy::ClosedLoop, None) };
    let works =
        [load(Strategy::OpenLoop, Some(500.0)), load(Strategy::OpenLoop, Some(900.0)), closed.clone()];
    let workloads: Vec<Workload> = works.into_iter().map(workload).collect();
    let ceilings = ceilings(&workloads);
    // Both rates have the same connections, and so the same ceiling; each has its own floor.
    assert_eq!(ceilings.len(), 3);
    assert!(does_the_same(&ceilings[0].loads[0], &closed));
    let rate = |ceiling: &Workload| ceiling.loads[0].rate.as_ref().and_then(Quantity::constant);
    assert_eq!((rate(&ceilings[1]), rate(&ceilings[2])), (Some(500.0), Some(900.0)));
    let seconds: Vec<_> = ceilings[0].phases.iter().map(|phase| phase.duration_s.constant()).collect();
    assert_eq!(seconds, [Some(0.25), Some(0.5)]);
    assert!(ceilings.iter().all(|ceiling| ceiling.loads[0].route == "/plaintext"));

    let planned =
        |workload: &Workload| Planned { workload: workload.clone(), base: 0, search: None, figure: None };
    let plan = Plan {
        workloads: ceilings.iter().map(planned).collect(),
        ceilings: (0..3).map(|workload| Cell { server: 0, workload }).collect(),
        ..Plan::default()
    };
    assert_eq!(plan.ceiling_of(&load(Strategy::OpenLoop, Some(900.0))), Some(0));
    assert_eq!(plan.ceiling_of(&load(Strategy::Churn, None)), None);
}

#[test]
fn churn_at_a_rate_is_bounded_by_churn_without() {
    let churn = workload(load(Strategy::Churn, Some(50.0)));
    let ceilings = ceilings([&churn]);
    let rates: Vec<_> =
        ceilings.iter().map(|c| c.loads[0].rate.as_ref().and_then(Quantity::constant)).collect();
    assert_eq!(rates, [None, Some(50.0)]);
    assert!(ceilings.iter().all(|c| c.loads[0].concurrency == Some(Quantity::from(256.0))));
}

#[test]
fn a_number_that_depends_on_the_server_has_no_ceiling() {
    let of_workers =
        LoadSpec { concurrency: Quantity::parse("2 * workers").ok(), ..load(Strategy::ClosedLoop, None) };
    let at_the_knee = LoadSpec { rate: Quantity::parse("0.5 * knee").ok(), ..load(Strategy::OpenLoop, None) };
    assert!(ceilings(&[workload(of_workers)]).is_empty());
    // Its own connections without a rate are the same for all.
    assert_eq!(ceilings(&[workload(at_the_knee)]).len(), 1);
}

#[test]
fn arrivals_differ_by_block_and_workload_and_not_by_server() {
    let seed = |block, id| schedule_seed(7, block, id);
    assert_eq!(seed(1, "w1"), seed(1, "w1"));
    assert_ne!(seed(1, "w1"), seed(2, "w1"));
    assert_ne!(seed(1, "w1"), seed(1, "w2"));
    assert_ne!(seed(1, "w1"), schedule_seed(8, 1, "w1"));
}

#[test]
fn a_group_differs_in_one_axis() {
    let text = |compare: &str| {
        format!(
            "question = 'q'\nblocks = 1\n{compare}\n[factors]\nk = [0, 1, 2]\nroute = ['wait', 'asyncwait']\n\
             [[load]]\nstrategy = 'async'\nrequests = 10\nroute = '{{route}}'\n\
             [[load]]\nbackground = true\nstrategy = 'closed-loop'\nroute = 'fib/20'\nconcurrency = '{{k}}'\n"
        )
    };
    let cells: Vec<Cell> =
        (0..2).flat_map(|server| (0..6).map(move |workload| Cell { server, workload })).collect();
    let servers = crate::experiment::file::parse("x", &text("")).expect("valid");
    assert_eq!(groups(&cells, &servers).iter().map(Vec::len).collect::<Vec<_>>(), [2; 6]);
    let levels = crate::experiment::file::parse("x", &text("compare = { factor = 'k', baseline = 0 }"))
        .expect("valid");
    let groups = groups(&cells, &levels);
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [3; 4]);
    for group in groups {
        let routes: Vec<&str> = group
            .iter()
            .map(|cell| levels.workloads[cell.workload].workload.loads[0].route.as_str())
            .collect();
        assert!(routes.iter().all(|route| *route == routes[0]));
        assert!(group.iter().all(|cell| cell.server == group[0].server));
    }
}

#[test]
fn the_ceiling_of_slices_is_one_measurement_as_long_as_they_are_together() {
    let lead_in = Quantity::parse("lead_in").expect("valid");
    let phases = crate::experiment::file::timed(lead_in, Quantity::from(0.05));
    let in_slices = |rounds: f64| {
        let rounds = Some(Quantity::from(rounds));
        Workload { phases: phases.clone(), rounds, ..workload(load(Strategy::ClosedLoop, None)) }
    };
    let seconds = |rounds: f64| -> Vec<Option<f64>> {
        let ceilings = ceilings([&in_slices(rounds)]);
        assert!(ceilings[0].rounds.is_none());
        ceilings[0].phases.iter().map(|phase| phase.duration_s.constant()).collect()
    };
    assert_eq!(seconds(4.0), [Some(0.25), Some(0.2)]);
    // Or as long as a ceiling needs at the most.
    assert_eq!(seconds(1000.0), [Some(0.25), Some(0.5)]);
}
