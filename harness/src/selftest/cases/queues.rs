//! K2 and K3: open loops over a pure delay and over one server. Each figure is compared with the formula,
//! which holds for the mean of all schedules, and with what follows for the very schedule that was used:
//! the first shows that the harness reports what theory says, and the second leaves no room for chance.

use super::super::bench::{Kind, Probe, Seen};
use super::super::case::{Case, Trials, With, ms, timed};
use super::super::exact::{Load, Service};
use super::super::figure::{Figure, Sensitivity};
use super::super::formulas::{Md1, dm1, in_flight, mm1};
use load::Strategy;
use load::schedule::Arrival;
use std::time::Duration;

/// ρ = 0.5.
const RATE: f64 = 250.0;
const SERVICE: f64 = 0.002;
/// What the way there and back may add to a mean, in ms: both sides sleep between requests, and a virtual CPU
/// that sleeps takes its time to wake. 0.13 to 0.20 ms were seen.
const WAY_MS: f64 = 0.2;
/// At half load the mean time in a queue grows by 1.7 to 2 times what the server lacks, if it lacks little and evenly, and
/// by more if it comes in pieces of several services.
const QUEUE: Sensitivity = Sensitivity::Queue { times: 4.0, load: 0.5 };
/// A wait never comes of too few connections.
const CONNECTIONS: usize = 256;

pub(super) fn add(trials: &mut Trials<'_>) {
    for strategy in [Strategy::OpenLoop, Strategy::Churn] {
        trials.add_engine(
            Case::K2,
            "20 ms for each, Poisson 500/s",
            strategy,
            With::Each,
            move |bench, driver| {
                let (load, delay) = (k2(), 0.02);
                let work =
                    timed(strategy, CONNECTIONS, Some(load.rate), load.arrival, load.warmup, load.duration);
                let probe = Probe::new("--service constant:20ms --servers inf", work, driver);
                let seen = bench.measure(&Probe { seed: load.seed, ..probe })?;
                let all = in_flight(load.rate, delay);
                let exact = load.in_flight(delay);
                Ok(vec![
                    Figure::near("response p50", "ms", 20.0, seen.quantile_ms(Kind::Response, 0.5), 0.0, 0.5)
                        .sensitive(Sensitivity::Delay(0.5)),
                    Figure::near("service p50", "ms", 20.0, seen.quantile_ms(Kind::Service, 0.5), 0.0, 0.5)
                        .sensitive(Sensitivity::Delay(0.5)),
                    // A first request in a hundred that nothing has delayed.
                    Figure::near("service p1", "ms", 20.0, seen.quantile_ms(Kind::Service, 0.01), 0.0, 0.5)
                        .sensitive(Sensitivity::Delay(0.01)),
                    Figure::near("lateness p99", "ms", 0.0, seen.quantile_ms(Kind::Lateness, 0.99), 0.0, 0.5)
                        .sensitive(Sensitivity::Delay(0.99)),
                    Figure::near("in_flight_mean", "", all, seen.row.in_flight_mean, 0.03, 0.0)
                        .sensitive(Sensitivity::Share(1.0)),
                    Figure::near(
                        "in_flight_mean, this schedule",
                        "",
                        exact,
                        seen.row.in_flight_mean,
                        0.015,
                        0.0,
                    )
                    .sensitive(Sensitivity::Share(1.0)),
                    Figure::near("little_ratio", "", 1.0, seen.row.little_ratio, 0.01, 0.0)
                        .sensitive(Sensitivity::Share(1.0)),
                    Figure::exact("failed", "", 0u64, seen.report.fates.failed()),
                ])
            },
        );
    }
    let full = trials.selected.full;
    let duration = Duration::from_secs(if full { 60 } else { 24 });
    let md1 = Md1::new(RATE, SERVICE);
    let theory = Theory {
        mean: md1.mean(),
        quantiles: vec![(0.9, md1.sojourn_quantile(0.9), 0.06), (0.99, md1.sojourn_quantile(0.99), 0.13)],
        mean_tolerance: 0.04,
    };
    queue(trials, Case::K3a, "M/D/1", k3(Case::K3a, duration), theory);
    let exponential = mm1(RATE, SERVICE);
    let theory = Theory {
        mean: exponential.mean,
        quantiles: vec![(0.9, exponential.quantile(0.9), 0.12), (0.99, exponential.quantile(0.99), 0.21)],
        mean_tolerance: 0.08,
    };
    queue(trials, Case::K3b, "M/M/1", k3(Case::K3b, duration), theory);
    let exponential = dm1(RATE, SERVICE);
    let theory = Theory { mean: exponential.mean, quantiles: Vec::new(), mean_tolerance: 0.05 };
    queue(trials, Case::K3c, "D/M/1", k3(Case::K3c, duration), theory);
}

/// The schedule of K2. Its seed is the one of 1 to 399 whose own number in flight is nearest to the formula's.
fn k2() -> Load {
    Load { rate: 500.0, arrival: Arrival::Poisson, seed: 116, warmup: ms(500), duration: ms(5000) }
}

/// The schedule and the service times of K3. The seeds are those of 1 to 399 whose own figures, over 24 s and
/// over 60, are nearest to the formulas': a tenth of the tolerance, so that chance has little part in either
/// comparison.
fn k3(case: Case, duration: Duration) -> (Load, Service) {
    let (arrival, seed, service) = match case {
        Case::K3a => (Arrival::Poisson, 389, Service::Constant(SERVICE)),
        Case::K3b => (Arrival::Poisson, 45, Service::Exponential(SERVICE, 1)),
        _ => (Arrival::Constant, 1, Service::Exponential(SERVICE, 61)),
    };
    (Load { rate: RATE, arrival, seed, warmup: ms(500), duration }, service)
}

struct Theory {
    mean: f64,
    /// With their tolerances.
    quantiles: Vec<(f64, f64, f64)>,
    mean_tolerance: f64,
}

fn queue(trials: &mut Trials<'_>, case: Case, law: &str, (load, service): (Load, Service), theory: Theory) {
    let oracle = match service {
        Service::Constant(_) => "--service constant:2ms".to_owned(),
        Service::Exponential(_, seed) => format!("--service exponential:2ms --seed {seed}"),
    };
    let requests = (load.rate * load.duration.as_secs_f64()).round();
    let setup = format!("{law}, 2 ms, 250/s, {requests} requests");
    let theory = std::rc::Rc::new(theory);
    trials.add_engine(case, setup, Strategy::OpenLoop, With::OneInTurn, move |bench, driver| {
        let work =
            timed(Strategy::OpenLoop, CONNECTIONS, Some(load.rate), load.arrival, load.warmup, load.duration);
        let probe = Probe::new(oracle.clone(), work, driver);
        let seen = bench.measure(&Probe { seed: load.seed, ..probe })?;
        Ok(figures(&seen, &theory, &load.sojourns(service)))
    });
}

fn figures(seen: &Seen, theory: &Theory, exact: &super::super::exact::Sojourns) -> Vec<Figure> {
    let (mean, tolerance) = (seen.mean_ms(Kind::Response), theory.mean_tolerance);
    let mut figures = vec![
        Figure::near("response mean", "ms", theory.mean * 1e3, mean, tolerance, WAY_MS).sensitive(QUEUE),
        Figure::near("response mean, this schedule", "ms", exact.mean() * 1e3, mean, 0.01, 0.1 + WAY_MS)
            .sensitive(QUEUE),
    ];
    for (p, expected, tolerance) in &theory.quantiles {
        let (name, measured) = (format!("response p{}", p * 100.0), seen.quantile_ms(Kind::Response, *p));
        let this = exact.quantile(*p) * 1e3;
        figures.push(
            Figure::near(name.clone(), "ms", expected * 1e3, measured, *tolerance, 0.0).sensitive(QUEUE),
        );
        figures.push(
            Figure::near(format!("{name}, this schedule"), "ms", this, measured, 0.01, 0.3).sensitive(QUEUE),
        );
    }
    figures.push(
        Figure::near("little_ratio", "", 1.0, seen.row.little_ratio, 0.01, 0.0)
            .sensitive(Sensitivity::Share(1.0)),
    );
    figures.push(Figure::exact("failed", "", 0u64, seen.report.fates.failed()));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theory(case: Case) -> (f64, f64, f64) {
        match case {
            Case::K3a => {
                let queue = Md1::new(RATE, SERVICE);
                (queue.mean(), queue.sojourn_quantile(0.9), queue.sojourn_quantile(0.99))
            }
            Case::K3b => {
                let queue = mm1(RATE, SERVICE);
                (queue.mean, queue.quantile(0.9), queue.quantile(0.99))
            }
            _ => {
                let queue = dm1(RATE, SERVICE);
                (queue.mean, queue.quantile(0.9), queue.quantile(0.99))
            }
        }
    }

    #[test]
    fn the_schedules_are_near_the_formulas_themselves() {
        assert!((k2().in_flight(0.02) / 10.0 - 1.0).abs() < 0.002, "{}", k2().in_flight(0.02));
        for case in [Case::K3a, Case::K3b, Case::K3c] {
            let (mean, p90, p99) = theory(case);
            for seconds in [24, 60] {
                let (load, service) = k3(case, Duration::from_secs(seconds));
                let exact = load.sojourns(service);
                let away = [exact.mean() / mean, exact.quantile(0.9) / p90, exact.quantile(0.99) / p99];
                let near = away.iter().zip([0.008, 0.01, 0.02]).all(|(of, limit)| (of - 1.0).abs() < limit);
                assert!(near, "{case} over {seconds} s: {away:?}");
            }
        }
    }
}
