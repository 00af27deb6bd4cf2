//! Every formula gives the figure that the table of known answers prints, to the digits it prints.

use super::*;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

const MS: f64 = 1e-3;

/// Within half a unit of the last digit printed.
#[track_caller]
fn prints(value: f64, printed: f64, unit: f64) {
    assert!((value - printed).abs() <= unit / 2.0 + 1e-12, "{value}, not {printed}");
}

#[test]
fn k1_a_closed_loop_is_bound_by_clients_or_by_servers() {
    let many = closed_loop(16, 4, 50.0 * MS);
    prints(many.throughput, 80.0, 1e-9);
    prints(many.latency, 200.0 * MS, 1e-9);
    let few = closed_loop(2, 4, 50.0 * MS);
    prints(few.throughput, 40.0, 1e-9);
    prints(few.latency, 50.0 * MS, 1e-9);
}

#[test]
fn k2_little_s_law() {
    prints(in_flight(500.0, 20.0 * MS), 10.0, 1e-9);
}

#[test]
fn k3a_constant_service() {
    let queue = Md1::new(250.0, 2.0 * MS);
    prints(queue.mean(), 3.00 * MS, 0.01 * MS);
    prints(queue.sojourn_quantile(0.90), 5.03 * MS, 0.01 * MS);
    prints(queue.sojourn_quantile(0.99), 8.67 * MS, 0.01 * MS);
}

#[test]
fn k3a_agrees_with_erlang_s_series() {
    // P(W ≤ t) = (1 − ρ) Σ (λ(iD − t))^i e^(−λ(iD − t)) / i! for i ≤ t/D: exact, but of alternating signs.
    let (rate, service) = (250.0, 2.0 * MS);
    let queue = Md1::new(rate, service);
    for step in 0..60 {
        let wait = f64::from(step) * 0.35 * MS;
        let mut factorial = 1.0;
        let mut sum = 0.0;
        for i in 0..=(wait / service).floor() as i32 {
            factorial *= f64::from(i.max(1));
            let x = rate * (f64::from(i) * service - wait);
            sum += x.powi(i) * (-x).exp() / factorial;
        }
        let erlang = (1.0 - rate * service) * sum;
        let ours = queue.sojourn_cdf(service + wait);
        assert!((ours - erlang).abs() < 1e-9, "{wait}: {ours}, not {erlang}");
    }
}

#[test]
fn k3a_s_distribution_is_one_at_every_load() {
    for rho in [0.05, 0.3, 0.8, 0.95] {
        let queue = Md1::new(rho, 1.0);
        prints(queue.sojourn_cdf(1.0), 1.0 - rho, 1e-9);
        assert_eq!(queue.sojourn_cdf(0.99), 0.0);
        // The mean is the integral of what exceeds t.
        let step = 0.001;
        let excess: f64 = (0..150_000).map(|i| 1.0 - queue.sojourn_cdf((f64::from(i) + 0.5) * step)).sum();
        assert!((excess * step / queue.mean() - 1.0).abs() < 1e-4, "{rho}: {}", excess * step);
        let quantiles = [0.5, 0.9, 0.99, 0.999].map(|p| queue.sojourn_quantile(p));
        assert!(quantiles.is_sorted(), "{rho}: {quantiles:?}");
    }
}

#[test]
fn k3b_exponential_service() {
    let sojourn = mm1(250.0, 2.0 * MS);
    prints(sojourn.mean, 4.00 * MS, 0.01 * MS);
    prints(sojourn.quantile(0.99), 18.42 * MS, 0.01 * MS);
}

#[test]
fn k3c_constant_gaps() {
    prints(dm1_sigma(0.5), 0.2032, 0.0001);
    prints(dm1(250.0, 2.0 * MS).mean, 2.51 * MS, 0.01 * MS);
    for rho in [0.1, 0.9, 0.99] {
        let sigma = dm1_sigma(rho);
        assert!(sigma < 1.0 && (sigma - (-(1.0 - sigma) / rho).exp()).abs() < 1e-12, "{rho}: {sigma}");
    }
}

#[test]
fn k3_simulated_requests_follow_the_formulas() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut exponential = |mean: f64| -mean * (1.0 - rng.random::<f64>()).ln();
    let count = 400_000;
    let poisson: Vec<f64> = (0..count)
        .scan(0.0, |now, _| {
            *now += exponential(4.0 * MS);
            Some(*now)
        })
        .collect();
    let constant: Vec<f64> = (0..count).map(|k| f64::from(k) * 4.0 * MS).collect();
    let services: Vec<f64> = (0..count).map(|_| exponential(2.0 * MS)).collect();
    let measured = |arrivals: &[f64], services: &dyn Fn(usize) -> f64| {
        let requests = arrivals.iter().enumerate().map(|(n, arrival)| (*arrival, services(n)));
        let mut sojourns: Vec<f64> = lindley(requests).collect();
        sojourns.sort_by(f64::total_cmp);
        let mean = sojourns.iter().sum::<f64>() / sojourns.len() as f64;
        (mean, sojourns[sojourns.len() * 99 / 100])
    };
    let close = |(mean, p99): (f64, f64), expected_mean: f64, expected_p99: f64| {
        assert!((mean / expected_mean - 1.0).abs() < 0.02, "mean {mean}, not {expected_mean}");
        assert!((p99 / expected_p99 - 1.0).abs() < 0.04, "p99 {p99}, not {expected_p99}");
    };
    let md1 = Md1::new(250.0, 2.0 * MS);
    close(measured(&poisson, &|_| 2.0 * MS), md1.mean(), md1.sojourn_quantile(0.99));
    let mm1 = mm1(250.0, 2.0 * MS);
    close(measured(&poisson, &|n| services[n]), mm1.mean, mm1.quantile(0.99));
    let dm1 = dm1(250.0, 2.0 * MS);
    close(measured(&constant, &|n| services[n]), dm1.mean, dm1.quantile(0.99));
}

#[test]
fn k4_a_stall_in_an_open_loop() {
    let stall = Stall { length: 1.0, period: 10.0 };
    prints(stall.quantile(0.90), 0.0, 0.01);
    prints(stall.quantile(0.95), 0.50, 0.01);
    prints(stall.quantile(0.99), 0.90, 0.01);
    prints(stall.quantile(0.999), 0.99, 0.01);
    prints(stall.mean(), 50.0 * MS, 1.0 * MS);
}

#[test]
fn k4_the_same_stall_is_hidden_by_a_closed_loop() {
    let stall = Stall { length: 1.0, period: 10.0 };
    prints(stall.closed_loop_quantile(1.0 * MS, 0.99), 1.0 * MS, 0.1 * MS);
    // One request in 9000 meets it.
    prints(stall.closed_loop_quantile(1.0 * MS, 0.9999), 1.001, 0.1 * MS);
}

#[test]
fn k5_overload_is_a_ramp() {
    let overload = Overload { offered: 600.0, capacity: 500.0, duration: 10.0 };
    prints(overload.throughput(), 500.0, 1e-9);
    prints(overload.quantile(0.50), 1.00, 0.01);
    prints(overload.quantile(0.99), 1.98, 0.01);
    prints(overload.max(), 2.00, 0.01);
    let requests = (0..6000).map(|k| (f64::from(k) / 600.0, 1.0 / 500.0));
    let longest = lindley(requests).fold(0.0, f64::max);
    assert!((longest / overload.max() - 1.0).abs() < 0.001, "{longest}");
}

#[test]
fn k6_a_stopped_client_is_late() {
    prints(Stall { length: 0.3, period: 5.0 }.quantile(0.99), 0.25, 0.01);
}

#[test]
fn k7_and_k9_are_slopes() {
    let burnt: Vec<(f64, f64)> = [0.0, 20.0, 50.0, 100.0, 200.0].map(|c| (c, 7.5 + c)).to_vec();
    prints(slope(&burnt).expect("five points"), 1.0, 1e-9);
    let held = [0.0, 500.0, 1000.0, 2000.0].map(|n| (n, 3e6 + 16384.0 * n));
    prints(slope(&held).expect("four points"), 16384.0, 1e-3);
    assert_eq!(slope(&[(1.0, 2.0)]), None);
    assert_eq!(slope(&[]), None);
}

#[test]
fn k11_chance_allows_three_of_twenty() {
    assert_eq!(failures_to_expect(20, 0.05), 3);
    // At least 17 of 20 found, and 17 of 20 covered.
    assert_eq!(20 - failures_to_expect(20, 1.0 - 0.95), 17);
    prints(binomial_at_most(3, 20, 0.05), 0.9841, 0.0001);
    prints(binomial_at_most(20, 20, 0.3), 1.0, 1e-9);
    prints(binomial_at_most(0, 4, 0.5), 0.0625, 1e-9);
}

#[test]
fn a_closed_loop_of_some_requests_has_edges() {
    // Sixteen clients over four servers: 50, 100, 150, 200 ms for the first four rounds, then 200 ms.
    let of = closed_loop_of(240, 16, 4, 0.05);
    assert!((of.throughput - 80.0).abs() < 1e-9, "{of:?}");
    assert!((of.latency - (16.0 * 0.125 + 224.0 * 0.2) / 240.0).abs() < 1e-12, "{of:?}");
    // Fewer clients than servers never wait, and a last round is not full.
    let of = closed_loop_of(3, 2, 4, 0.05);
    assert!((of.throughput - 30.0).abs() < 1e-9 && (of.latency - 0.05).abs() < 1e-12, "{of:?}");
    assert!((closed_loop_of(40, 1, 4, 0.05).throughput - 20.0).abs() < 1e-9);
}

#[test]
fn a_disturbed_point_does_not_move_a_robust_slope() {
    let mut points: Vec<(f64, f64)> = (0..12).map(|n| (f64::from(n % 4), 5.0 + f64::from(n % 4))).collect();
    assert_eq!(theil_sen(&points), Some(1.0));
    points[7].1 += 100.0;
    assert_eq!(theil_sen(&points), Some(1.0));
    assert_eq!(theil_sen(&points[..1]), None);
}

#[test]
fn faults_are_counted_from_the_first_request() {
    assert_eq!(faults_met(1000, [100, 1000, 500, 500]), [10, 1, 2, 2]);
    // 1% 503, 0.1% closed, 0.2% truncated, 0.2% silent.
    assert_eq!(faults_met(10_000, [100, 1000, 500, 500]), [100, 10, 20, 20]);
    // The second fault of number 5 falls on 4, 9, …
    assert_eq!(faults_met(4, [5, 5]), [0, 1]);
}
