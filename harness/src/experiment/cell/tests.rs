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

#[test]
fn interference_is_a_route_and_a_count() {
    let one: Interference = "fib/42@1".parse().expect("valid");
    assert_eq!(one, Interference { target: "/fib/42".into(), count: 1 });
    assert_eq!(one.to_string(), "fib/42@1");
    for wrong in ["fib/42", "fib/42@0", "fib/42@x", "fib/99@1", "nosuch@1", "@1", "/fib@x"] {
        assert!(wrong.parse::<Interference>().is_err(), "{wrong}");
    }
    assert!("/nosuch@1".parse::<Interference>().expect("some server's").check().is_err());
    assert!(one.check().is_ok());
}

#[test]
fn work_is_told_in_a_few_words() {
    let second = Amount::Time { warmup: Duration::ZERO, duration: Duration::from_secs(1) };
    let rate = Work { rate: Some(500.0), ..Work::of(Strategy::OpenLoop, second) };
    assert_eq!(rate.to_string(), "open-loop 500/s constant");
    assert_eq!(Work::of(Strategy::Churn, second).to_string(), "churn 64");
    let limited = Work { concurrency: Some(10), ..Work::of(Strategy::Async, Amount::Requests(99)) };
    assert_eq!(limited.to_string(), "async 99 by 10");
}

#[test]
fn absurd_work_is_refused() {
    let work = |strategy, requests, concurrency| Work {
        concurrency,
        ..Work::of(strategy, Amount::Requests(requests))
    };
    assert!(work(Strategy::Async, 100, None).check().is_ok());
    assert!(work(Strategy::Async, 0, None).check().is_err());
    assert!(work(Strategy::Async, 100, Some(0)).check().is_err());
    assert!(work(Strategy::Async, 100, Some(101)).check().is_err());
    assert!(work(Strategy::Sequential, 100, Some(5)).check().is_err());
    assert!(work(Strategy::Async, 1_000_000, None).check().expect_err("").contains("--concurrency"));
    assert!(work(Strategy::OpenLoop, 100, None).check().expect_err("").contains("a duration"));
    let second = Amount::Time { warmup: Duration::ZERO, duration: Duration::from_secs(1) };
    let timed = |strategy, rate| Work { rate, ..Work::of(strategy, second) };
    assert!(timed(Strategy::OpenLoop, Some(10.0)).check().is_ok());
    assert!(timed(Strategy::OpenLoop, None).check().expect_err("").contains("--rate"));
    assert!(timed(Strategy::OpenLoop, Some(f64::NAN)).check().expect_err("").contains("--rate"));
    assert!(timed(Strategy::ClosedLoop, Some(10.0)).check().expect_err("").contains("no effect"));
    assert!(timed(Strategy::Churn, None).check().is_ok());
    assert!(timed(Strategy::Async, None).check().expect_err("").contains("number of requests"));
}
