//! Experiment files that are right, and wrong ones.

use super::*;
use crate::experiment::quantity::Known;
use crate::experiment::workload::Part;
use load::protocol::Amount;

const GOOD: &str = "
question = 'q'
blocks = 2
[factors]
route = ['wait', 'asyncwait']
k = [0, 1, '2 * workers']
[[load]]
name = 'probe'
strategy = 'open-loop'
route = '{route}?ms=5'
rate = 200
arrival = 'poisson'
duration_s = 3
[[load]]
name = 'computing'
background = true
strategy = 'closed-loop'
route = 'fib/20'
concurrency = '{k}'
";

fn labels(experiment: &Experiment) -> Vec<String> {
    let workloads = experiment.workloads.iter().map(|planned| &planned.workload);
    workloads.flat_map(|w| w.parts().into_iter().map(|part| w.label(part))).collect()
}

#[test]
fn every_experiment_of_the_project_is_valid_and_the_default_exists() {
    let all = all().expect("valid");
    assert!(all.iter().any(|experiment| experiment.name == DEFAULT));
    assert!(all.iter().all(|experiment| !experiment.workloads.is_empty()));
}

#[test]
fn the_seed_is_the_article_s_ten_cells_in_three_conditions() {
    let seed = find("seed").expect("valid");
    let labels = labels(&seed);
    assert_eq!((seed.blocks, labels.len()), (5, 30));
    assert!(labels.contains(&"/wait, sequential, 100".to_owned()), "{labels:?}");
    assert!(labels.contains(&"/asyncwait, async, 1000, 2 processes + fib/42@1".to_owned()), "{labels:?}");
    assert_eq!(labels.iter().filter(|label| label.contains("fib/42@1")).count(), 20);
}

#[test]
fn more_combinations_than_a_run_could_measure_are_refused() {
    let with = |levels: usize| {
        let levels = (1..=levels).map(|level| level.to_string()).collect::<Vec<_>>().join(", ");
        let text = "question = 'q'\nblocks = 1\n[factors]\na = [LEVELS]\nb = [LEVELS]\n[[load]]\n\
             strategy = 'closed-loop'\nroute = 'wait?ms={a}'\nconcurrency = '{b}'\nduration_s = 1\n";
        parse("x", &text.replace("LEVELS", &levels)).map(|experiment| experiment.workloads.len())
    };
    assert_eq!(with(3), Ok(9));
    assert_eq!(with(32), Err("factors: give at most 1000 combinations of levels".to_owned()));
}

#[test]
fn every_level_of_every_factor_is_a_workload() {
    let experiment = parse("x", GOOD).expect("valid");
    let labels = labels(&experiment);
    assert_eq!(labels.len(), 6);
    assert_eq!(labels[0], "/wait?ms=5, open-loop, 200/s poisson, 256 connections");
    assert_eq!(labels[2], "/wait?ms=5, open-loop, 200/s poisson, 256 connections, + fib/20@2 * workers");
    let levels = &experiment.workloads[5].workload.levels;
    assert_eq!((levels["route"].as_str(), levels["k"].as_str()), ("asyncwait", "2 * workers"));
    // A load of nobody is none.
    assert_eq!(experiment.workloads[0].workload.loads.len(), 1);
}

#[test]
fn a_level_may_set_several_names_in_step() {
    let text = GOOD.replace("k = [0, 1, '2 * workers']", "c = [{ k = 0, p = 1 }, { k = 1, p = 2 }]");
    let text =
        text.replace("[[load]]\nname = 'probe'", "[server]\nprocesses = '{p}'\n[[load]]\nname = 'probe'");
    let experiment = parse("x", &text).expect("valid");
    assert_eq!(experiment.workloads.len(), 4);
    assert_eq!(
        experiment.workloads[1].workload.label(crate::experiment::workload::Part { load: 0, phase: 0 }),
        "/wait?ms=5, open-loop, 200/s poisson, 256 connections, 2 processes + fib/20@1"
    );
    assert_eq!(experiment.factors, ["route", "k", "p"]);
}

#[test]
fn scenarios_are_multiplied_by_the_factors_they_use() {
    let text = "question = 'q'\nblocks = 1\n[factors]\nroute = ['wait', 'asyncwait']\n\
        [[scenario]]\n[[scenario.load]]\nstrategy = 'async'\nrequests = 1\nroute = '{route}'\n\
        [[scenario]]\n[[scenario.load]]\nstrategy = 'closed-loop'\nroute = 'plaintext'\nduration_s = 1\n";
    assert_eq!(parse("x", text).expect("valid").workloads.len(), 3);
}

#[test]
fn a_measured_phase_has_a_row_for_each_measured_load() {
    let text = "question = 'q'\nblocks = 1\n\
        [[load]]\nname = 'a'\nstrategy = 'open-loop'\nrate = 10\nroute = 'wait'\n\
        [[load]]\nname = 'b'\nstrategy = 'closed-loop'\nroute = 'plaintext'\n\
        [[phase]]\nduration_s = 1\nmeasured = false\n\
        [[phase]]\nname = 'before'\nduration_s = 2\n\
        [[phase]]\nname = 'burst'\nduration_s = 1\nscale = 5\n";
    let workload = &parse("x", text).expect("valid").workloads[0].workload;
    assert_eq!(workload.parts().len(), 4);
    let burst = workload.phases.last().expect("three");
    // A closed loop has no rate to scale.
    assert_eq!(burst.scale, [Quantity::from(5.0), Quantity::from(1.0)]);
    let each = text.replace("scale = 5", "scale = { a = 2 }");
    let workload = &parse("x", &each).expect("valid").workloads[0].workload;
    assert_eq!(workload.phases[2].scale[0], Quantity::from(2.0));
    let ids: std::collections::BTreeSet<_> =
        workload.parts().into_iter().map(|p| workload.id(p, "split")).collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn what_is_compared_may_be_a_factor() {
    let text = GOOD.replace("blocks = 2", "blocks = 2\ncompare = { factor = 'k', baseline = 0 }");
    let experiment = parse("x", &text).expect("valid");
    let bases: Vec<usize> = experiment.workloads.iter().map(|planned| planned.base).collect();
    assert_eq!(bases, [0, 0, 0, 3, 3, 3]);
    for (wrong, said) in [("factor = 'l'", "no factor 'l'"), ("baseline = 7", "has the levels 0, 1")] {
        let text = if wrong.starts_with("factor") {
            text.replace("factor = 'k'", wrong)
        } else {
            text.replace("baseline = 0", wrong)
        };
        assert!(parse("x", &text).expect_err(wrong).contains(said), "{wrong}");
    }
}

#[test]
fn what_is_compared_may_be_phases() {
    let text = GOOD
        .replace("duration_s = 3", "")
        .replace("blocks = 2", "blocks = 2\ncompare = { phase = 'before' }")
        + "[[phase]]\nduration_s = 1\nmeasured = false\n[[phase]]\nname = 'burst'\nduration_s = 1\n\
           [[phase]]\nname = 'before'\nduration_s = 1\n";
    let experiment = parse("x", &text).expect("valid");
    let base = |phase| {
        let workload = &experiment.workloads[0].workload;
        experiment.compare.base_part(workload, Part { load: 0, phase })
    };
    assert_eq!([base(0), base(1)], [Part { load: 0, phase: 1 }; 2]);
    for (right, wrong, said) in [
        ("phase = 'before'", "phase = 'after'", "no measured phase is called 'after'"),
        ("phase = 'before'", "phase = 'before', baseline = 0", "or a phase"),
        ("phase = 'before'", "baseline = 0", "or a phase"),
    ] {
        let problem = parse("x", &text.replacen(right, wrong, 1)).expect_err(wrong);
        assert!(problem.contains(said), "{problem}");
    }
}

#[test]
fn levels_that_come_to_the_same_are_one_workload() {
    let text = GOOD
        .replace("blocks = 2", "blocks = 2\ncompare = { factor = 'k', baseline = 0 }")
        .replace("route = ['wait', 'asyncwait']", "route = ['wait']\ncomputing = ['fib/20', 'asyncfib/20']")
        .replace("route = 'fib/20'", "route = '{computing}'");
    let experiment = parse("x", &text).expect("valid");
    // Without anybody who computes it is all the same what is computed.
    assert_eq!(experiment.workloads.len(), 5);
    assert!(experiment.workloads.iter().all(|planned| planned.base == 0));
    let levels = |index: usize| &experiment.workloads[index].workload.levels;
    assert_eq!((levels(0).get("computing"), levels(0)["k"].as_str()), (None, "0"));
    assert_eq!(levels(3)["computing"], "asyncfib/20");
}

#[test]
fn a_knee_needs_its_search() {
    let text = GOOD.replace("rate = 200", "rate = '0.5 * knee'");
    assert!(parse("x", &text).expect_err("no search").contains("[search]"));
    let search = "[search]\nover = 'rate'\nkeep = 'response_p99_us < 5000'\nfrom = 100\nto = 10_000\nprecision = 0.05\n\
        [[search.load]]\nstrategy = 'open-loop'\nroute = '{route}'\nduration_s = 0.5\n";
    let experiment = parse("x", &format!("{text}{search}")).expect("valid");
    assert_eq!(experiment.searches.len(), 2);
    let of: Vec<Option<usize>> = experiment.workloads.iter().map(|planned| planned.search).collect();
    assert_eq!(of, [Some(0), Some(0), Some(0), Some(1), Some(1), Some(1)]);
    for (right, wrong, said) in [
        ("over = 'rate'", "over = 'k'", "search.over"),
        ("precision = 0.05", "precision = 5", "search.precision"),
        ("from = 100", "from = 0", "search.from"),
        ("to = 10_000", "to = 10", "search.to"),
        ("keep = 'response_p99_us < 5000'", "keep = 'p99'", "keep"),
        ("duration_s = 0.5", "duration_s = 0.5\nrate = 1", "the search sets it"),
    ] {
        let problem = parse("x", &format!("{text}{}", search.replace(right, wrong))).expect_err(wrong);
        assert!(problem.contains(said), "{wrong}: {problem}");
    }
}

#[test]
fn mistakes_are_told_in_one_line_with_their_field() {
    for (right, wrong, said) in [
        ("question = 'q'", "qestion = 'q'", "qestion"),
        ("question = 'q'", "question = ' '", "question"),
        ("blocks = 2", "blocks = 0", "blocks"),
        ("blocks = 2", "blocks = ", "blocks"),
        ("rate = 200", "rte = 200", "load[0].rte"),
        ("rate = 200", "rate = 'fast'", "load[0].rate: 'fast'"),
        ("rate = 200", "rate = '2 * wrokers'", "no 'wrokers'"),
        ("rate = 200", "rate = 0", "load 'probe': rate 0"),
        ("rate = 200\narrival = 'poisson'", "requests = 5", "runs for a time"),
        ("strategy = 'open-loop'", "strategy = 'open'", "load[0].strategy"),
        ("arrival = 'poisson'", "arrival = 'poison'", "load[0].arrival"),
        ("duration_s = 3", "", "give duration_s"),
        ("duration_s = 3", "duration_s = 0", "duration 0"),
        ("background = true", "", "concurrency 0"),
        ("name = 'computing'", "name = 'probe'", "two loads"),
        ("{k}", "{j}", "load[1].concurrency: '{j}'"),
        ("concurrency = '{k}'", "concurrency = 1", "factors.k: no field uses it"),
        ("{k}", "x", "load[1].concurrency"),
        ("k = [0, 1, '2 * workers']", "k = 1", "factors.k: give a list"),
        ("k = [0, 1, '2 * workers']", "k = []", "factors.k: give a list"),
        ("k = [0, 1, '2 * workers']", "knee = [1]", "factors.knee"),
        ("strategy = 'closed-loop'", "strategy = 'async'\nrequests = 5", "ends by itself"),
    ] {
        let text = GOOD.replacen(right, wrong, 1);
        assert_ne!(text, GOOD, "{right}");
        let problem = parse("x", &text).expect_err(wrong);
        assert!(problem.contains(said), "{wrong}: {problem}");
        assert!(!problem.contains('\n'), "{problem}");
    }
}

#[test]
fn a_file_of_one_s_own_is_given_by_its_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.toml");
    fs::write(&path, GOOD).expect("written");
    let given = path.to_str().expect("UTF-8");
    assert_eq!(find(given).expect("valid").name, "mine");
    fs::write(&path, GOOD.replace("rate = 200", "rat = 200")).expect("written");
    let problem = find(given).expect_err("wrong").to_string();
    assert!(problem.contains("mine.toml: load[0].rat"), "{problem}");
    assert!(find("sede").expect_err("unknown").to_string().contains("did you mean seed?"));
}

const IN_TURNS: &str = "
question = 'q'
blocks = 8
rounds = 20
[[load]]
strategy = 'closed-loop'
route = 'plaintext'
duration_s = 0.05
";

#[test]
fn rounds_let_servers_take_turns_with_a_lead_in_that_is_measured() {
    let experiment = parse("x", IN_TURNS).expect("valid");
    let workload = &experiment.workloads[0].workload;
    assert_eq!(workload.rounds(&Known::SAMPLE), Ok(Some(20)));
    assert!(workload.needs("lead_in"));
    let part = workload.parts()[0];
    assert_eq!(workload.label(part), "/plaintext, closed-loop, 64 connections, 20 slices of 50 ms");
    let known = Known { lead_in: Some(0.3), ..Known::default() };
    let load = workload.load(0, &known).expect("valid").expect("a load");
    let Amount::Time(phases) = load.amount else { panic!("{load:?}") };
    assert_eq!(phases.iter().map(|p| p.duration.as_millis()).collect::<Vec<_>>(), [300, 50]);
    // As long as the file says, where it says so; and another workload than without turns.
    let given = IN_TURNS.replace("0.05", "0.05\nwarmup_s = 0.01");
    let given = &parse("x", &given).expect("valid").workloads[0].workload;
    assert!(!given.needs("lead_in"));
    let whole = given.clone();
    let whole = Workload { rounds: None, ..whole };
    assert_ne!(given.id(part, "split"), whole.id(part, "split"));
}

#[test]
fn rounds_of_what_cannot_take_turns_are_refused() {
    let with = |from: &str, to: &str| parse("x", &IN_TURNS.replace(from, to)).expect_err(to);
    assert!(with("20", "0").contains("rounds 0: give a number from 1"));
    assert!(with("'closed-loop'", "'churn'").contains("one open-loop or closed-loop"));
    let background = "[[load]]\nbackground = true\nstrategy = 'closed-loop'\nroute = 'fib/20'\n[[load]]";
    assert!(with("[[load]]", background).contains("nothing in the background"));
}

#[test]
fn a_pause_is_for_servers_that_take_turns_and_asks_for_nothing() {
    let phases = "
[[phase]]
duration_s = 0.25
pause = true
[[phase]]
name = 'first 20 ms'
duration_s = 0.02
";
    let text = IN_TURNS.replace("duration_s = 0.05\n", "") + phases;
    let workload = parse("x", &text).expect("valid").workloads[0].workload.clone();
    let load = workload.load(0, &Known::SAMPLE).expect("valid").expect("a load");
    let Amount::Time(times) = load.amount else { panic!("{load:?}") };
    assert_eq!(times.iter().map(|p| (p.scale, p.measured)).collect::<Vec<_>>(), [(0.0, false), (1.0, true)]);
    assert_eq!(workload.parts().len(), 1);
    let refused = |text: &str| parse("x", text).expect_err(text);
    assert!(refused(&text.replace("rounds = 20", "")).contains("give rounds"));
    assert!(refused(&text.replace("pause = true", "pause = true\nmeasured = true")).contains("no rows"));
}
