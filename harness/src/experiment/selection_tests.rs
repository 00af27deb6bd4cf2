//! Command lines that are right, and wrong ones.

use super::*;
use load::protocol::Strategy;

fn with(set: impl FnOnce(&mut Request)) -> Result<Selection, String> {
    let mut args = Request { server: vec!["smol".into()], ..Request::default() };
    set(&mut args);
    let root = crate::experiment::root::find().expect("a clone");
    select(Some(&root), &args).map_err(|error| {
        assert_eq!(crate::exit::code_of(&error), crate::exit::Exit::Usage);
        error.to_string()
    })
}

#[test]
fn the_oracle_runs_only_where_it_is_named() {
    let oracles = |s: Selection| s.servers.iter().filter(|server| server.role == Role::Oracle).count();
    assert_eq!(oracles(with(|args| args.server.clear()).expect("valid")), 0);
    let named = with(|args| {
        args.server = vec!["oracle".into()];
        args.route = vec!["plaintext".into()];
    });
    assert_eq!(oracles(named.expect("valid")), 1);
}

#[test]
fn a_server_that_an_experiment_is_not_about_runs_only_where_it_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.toml");
    let experiment = |without: &str| {
        let text = format!(
            "question = 'q'\nblocks = 1\nwithout = {{ {without} = 'it is slow' }}\n[[load]]\n\
             strategy = 'closed-loop'\nroute = 'plaintext'\nduration_s = 1\n"
        );
        std::fs::write(&file, text).expect("written");
        file.to_str().map(str::to_owned)
    };
    let of = |server: &[&str], experiment: Option<String>| {
        with(|args| {
            args.server = server.iter().map(|name| (*name).to_owned()).collect();
            args.experiment = experiment;
        })
    };
    let all = of(&[], experiment("smol")).expect("valid");
    assert!(all.servers.iter().all(|server| server.name != "smol"));
    assert!(all.left_out.contains(&"smol is left out: it is slow".to_owned()), "{:?}", all.left_out);
    assert_eq!(of(&["smol"], experiment("smol")).expect("valid").servers[0].name, "smol");
    let problem = of(&[], experiment("smoll")).expect_err("unknown");
    assert!(problem.contains("mine: without:") && problem.contains("smol"), "{problem}");
}

/// Labels of all that is measured.
fn labels(selection: &Selection) -> Vec<String> {
    let workloads = selection.experiment.workloads.iter().map(|planned| &planned.workload);
    workloads.flat_map(|w| w.parts().into_iter().map(|part| w.label(part))).collect()
}

#[test]
fn flags_narrow_and_change_what_the_experiment_says() {
    let selection = with(|args| {
        args.experiment = Some("seed".into());
        args.strategy = vec![Strategy::Async];
        args.requests = Some(50);
        args.concurrency = Some(5);
        args.route = vec!["fib/10".into(), "/fib/10".into()];
        args.processes = Some(2);
    });
    assert_eq!(labels(&selection.expect("valid")), ["/fib/10, async, 50 by 5, 2 processes"]);
}

#[test]
fn a_strategy_that_the_experiment_lacks_is_added_on_its_routes() {
    let selection = with(|args| {
        args.experiment = Some("seed".into());
        args.strategy = vec![Strategy::OpenLoop];
        args.rate = Some(10.0);
        args.interfere = Some("fib/30@2".parse().expect("valid"));
    });
    let label = |route: &str| format!("{route}, open-loop, 10/s constant, 256 connections, + fib/30@2");
    assert_eq!(labels(&selection.expect("valid")), [label("/wait"), label("/asyncwait")]);
}

#[test]
fn a_url_is_measured_on_its_own_path_alone() {
    let selection = with(|args| {
        args.server.clear();
        args.url = Some("http://127.0.0.1:1/mine?x=1".into());
        args.experiment = Some("seed".into());
    });
    let labels = labels(&selection.expect("valid"));
    assert_eq!(labels.len(), 5);
    assert!(labels.iter().all(|label| label.starts_with("/mine?x=1, ") && !label.contains("fib")));
}

#[test]
fn wrong_names_and_absurd_numbers_are_refused_in_one_line() {
    type Set = fn(&mut Request);
    let cases: [(Set, &str); 17] = [
        (|a| a.server = vec!["smoll".into()], "did you mean smol "),
        (|a| a.route = vec!["wiat".into()], "no such path"),
        (|a| a.experiment = Some("sede".into()), "did you mean seed?"),
        (|a| a.requests = Some(0), "give a number from 1"),
        (|a| a.requests = Some(u64::MAX), "requests"),
        (|a| a.concurrency = Some(0), "concurrency 0"),
        (|a| a.blocks = Some(0), "--blocks 0"),
        (|a| a.blocks = Some(1_000_000), "--blocks 1000000"),
        (|a| a.processes = Some(0), "--processes 0"),
        (|a| a.workers = Some(0), "--workers 0"),
        (|a| a.blocking_threads = Some(99_999), "--blocking-threads 99999"),
        (|a| a.manifest = vec!["/nonexistent/runtime.toml".into()], "cannot read"),
        (
            |a| {
                a.strategy = vec![Strategy::Sequential];
                a.concurrency = Some(4);
            },
            "no effect",
        ),
        (
            |a| {
                a.strategy = vec![Strategy::Async];
                a.rate = Some(5.0);
            },
            "--rate has no effect on async",
        ),
        (
            |a| {
                a.strategy = vec![Strategy::ClosedLoop];
                a.requests = Some(5);
            },
            "--requests has no effect on closed-loop",
        ),
        (
            |a| {
                a.experiment = Some("seed".into());
                a.strategy = vec![Strategy::OpenLoop];
            },
            "open-loop needs a rate",
        ),
        (
            |a| {
                a.strategy = vec![Strategy::OpenLoop];
                a.rate = Some(-1.0);
            },
            "rate -1",
        ),
    ];
    for (set, said) in cases {
        let problem = with(set).expect_err(said);
        assert!(problem.contains(said), "{said}: {problem}");
        assert!(!problem.contains('\n'), "{problem}");
    }
}

#[test]
fn a_ceiling_comes_with_whatever_is_selected_but_is_not_selected_by_itself() {
    let all = with(|args| args.server.clear()).expect("valid");
    assert!(all.servers.len() > 1 && all.servers.iter().all(|server| server.role == Role::Contestant));
    assert_eq!(all.ceiling.expect("there is one").role, Role::Ceiling);
    let alone = with(|args| {
        args.server = vec!["ceiling".into()];
        args.route = vec!["plaintext".into()];
    });
    assert!(alone.expect("valid").ceiling.is_none());
}

#[test]
fn one_server_alone_is_asked_briefly() {
    let blocks = |set: fn(&mut Request)| with(set).expect("valid").experiment.blocks;
    assert_eq!(blocks(|a| a.server = vec!["smol".into()]), 3);
    assert_eq!(
        blocks(|a| {
            a.server = vec!["smol".into()];
            a.blocks = Some(9);
        }),
        9
    );
    assert!(blocks(|a| a.server = vec!["smol".into(), "may".into()]) > 6);
}
