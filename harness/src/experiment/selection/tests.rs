//! Command lines that are right, and wrong ones.

use super::*;

fn with(set: impl FnOnce(&mut Request)) -> Result<Selection, String> {
    let mut args = Request { server: vec!["smol".into()], ..Request::default() };
    set(&mut args);
    let root = crate::experiment::root::find().expect("a clone");
    select(&root, &args).map_err(|error| {
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
fn the_seed_profile_gives_ten_cells_in_each_of_three_conditions() {
    let s = with(|args| args.profile = Some("seed".into())).expect("valid");
    let cells = cell::cells(&s.servers, &s.work, &s.conditions);
    assert_eq!(cells.len(), 30);
    assert_eq!(cells.iter().filter(|cell| cell.condition == s.conditions[0]).count(), 10);
}

#[test]
fn flags_narrow_and_change_what_the_profile_says() {
    let s = with(|args| {
        args.profile = Some("seed".into());
        args.strategy = vec!["async".into()];
        args.requests = Some(50);
        args.concurrency = Some(5);
        args.route = vec!["fib/10".into(), "/fib/10".into()];
        args.processes = Some(2);
    })
    .expect("valid");
    let expected = Work { concurrency: Some(5), ..Work::of(Strategy::Async, Amount::Requests(50)) };
    let targets = vec!["/fib/10".to_owned()];
    assert_eq!(s.work, [PlannedWork { work: expected, targets, alone: false }]);
    assert_eq!(s.conditions, [Condition { processes: 2, interference: None }]);
}

#[test]
fn wrong_names_and_absurd_numbers_are_refused_in_one_line() {
    type Set = fn(&mut Request);
    let cases: [(Set, &str); 18] = [
        (|a| a.server = vec!["smoll".into()], "did you mean smol?"),
        (|a| a.strategy = vec!["asinc".into()], "did you mean async?"),
        (|a| a.route = vec!["wiat".into()], "no such path"),
        (|a| a.profile = Some("sede".into()), "did you mean seed?"),
        (|a| a.requests = Some(0), "--requests 0"),
        (|a| a.requests = Some(u64::MAX), "--requests"),
        (|a| a.concurrency = Some(0), "--concurrency 0"),
        (|a| a.blocks = Some(0), "--blocks 0"),
        (|a| a.blocks = Some(1_000_000), "--blocks 1000000"),
        (|a| a.processes = Some(0), "--processes 0"),
        (|a| a.workers = Some(0), "--workers 0"),
        (|a| a.blocking_threads = Some(99_999), "--blocking-threads 99999"),
        (|a| a.manifest = vec!["/nonexistent/runtime.toml".into()], "cannot read"),
        (
            |a| {
                a.strategy = vec!["sequential".into()];
                a.concurrency = Some(4);
            },
            "no effect",
        ),
        (
            |a| {
                a.strategy = vec!["async".into()];
                a.rate = Some(5.0);
            },
            "--rate has no effect on async",
        ),
        (
            |a| {
                a.strategy = vec!["closed-loop".into()];
                a.requests = Some(5);
            },
            "--requests has no effect on closed-loop",
        ),
        (
            |a| {
                a.profile = Some("seed".into());
                a.strategy = vec!["open-loop".into()];
            },
            "open-loop needs a --rate",
        ),
        (
            |a| {
                a.strategy = vec!["open-loop".into()];
                a.rate = Some(-1.0);
            },
            "--rate -1",
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
        args.server = vec!["null".into()];
        args.route = vec!["plaintext".into()];
    });
    assert!(alone.expect("valid").ceiling.is_none());
}

#[test]
fn flags_about_starting_servers_have_no_effect_on_a_url() {
    type Set = fn(&mut Request);
    let cases: [(Set, &str); 5] = [
        (|a| a.server = vec!["smol".into()], "--server"),
        (|a| a.route = vec!["wait".into()], "--route"),
        (|a| a.processes = Some(2), "--processes"),
        (|a| a.workers = Some(2), "--workers"),
        (|a| a.blocking_threads = Some(2), "--blocking-threads"),
    ];
    for (set, flag) in cases {
        let problem = with(|args| {
            args.server.clear();
            args.url = Some("http://127.0.0.1:1/".into());
            set(args);
        })
        .expect_err(flag);
        assert!(problem.starts_with(&format!("{flag} has no effect with --url")), "{problem}");
    }
}
