//! From a row and the client's report to the facts that the row is judged by.

use crate::judge::ceiling::Ceiling;
use crate::judge::facts::{Facts, HalfFacts, Tail};
use crate::record::row::{Row, counted};
use contract::route::Route;
use load::histogram;
use load::protocol::{EngineReport, Latency, PartReport};
use std::time::Duration;

/// A percentile for a gate needs so many samples above it. One that is published needs ten times as many:
/// a gate has to decide about short runs too.
const SAMPLES_ABOVE: f64 = 10.0;

/// The facts of a row and of its report, if there is one, with the server's CPU time in each half.
///
/// # Errors
/// A histogram is unreadable.
pub fn of(
    row: &Row,
    report: Option<&PartReport>,
    halves_cpu: Option<[Duration; 2]>,
    ceilings: Vec<Ceiling>,
) -> Result<Facts, String> {
    let mut facts = Facts {
        open: row.offered_rps.is_some(),
        rounds: row.rounds,
        delay_us: Route::parse_target(&row.route).map_or(0.0, |route| route.delay().as_secs_f64() * 1e6),
        concurrency: row.concurrency,
        throughput_rps: row.throughput_rps,
        in_flight_mean: row.in_flight_mean,
        ceilings,
        client_ceiling_rps: row.client_ceiling_rps,
        client_utilisation: row.client_utilisation,
        server_utilisation: row.server_utilisation,
        machine_utilisation: row.machine_utilisation,
        host_steal_share: row.host_steal_share,
        host_other_share: row.host_other_share,
        ..Facts::default()
    };
    let Some(report) = report else { return Ok(facts) };
    facts.fates = report.fates;
    (facts.completed, facts.seconds) = counted(report);
    facts.latency_s = latency_s(report);
    facts.warm = row.warmup_s.zip(facts.latency_s).is_some_and(|(warmup, latency)| warmup > latency);
    if let Some(engine) = &report.engine {
        let cpu = |index: usize| halves_cpu.map(|cpu| cpu[index]);
        let half = |index: usize| {
            let half = engine.halves[index];
            HalfFacts {
                seconds: half.seconds,
                due: half.due,
                completed: half.completed,
                late: half.late,
                server_cpu: cpu(index),
                latency_s: (half.latency_mean_ns > 0.0).then_some(half.latency_mean_ns / 1e9),
            }
        };
        facts.halves = Some([half(0), half(1)]);
        facts.tail = tail(engine)?;
    }
    Ok(facts)
}

/// Mean seconds from when the client took a request up until it had ended, which is what
/// [`PartReport::in_flight_mean`] counts: response − lateness with a schedule, and otherwise the wait for a
/// connection, where there is one, + service.
fn latency_s(report: &PartReport) -> Option<f64> {
    let mean = |latency: Option<&Latency>| latency.and_then(|latency| latency.mean_ns);
    let engine = report.engine.as_ref();
    let response = mean(engine.and_then(|engine| engine.response.as_ref()));
    let ns = match response {
        Some(response) => response - mean(engine.and_then(|engine| engine.lateness.as_ref()))?,
        None => {
            let wait = mean(engine.and_then(|engine| engine.conn_wait.as_ref())).unwrap_or(0.0);
            report.service.mean_ns? + wait
        }
    };
    Some(ns / 1e9)
}

fn tail(engine: &EngineReport) -> Result<Option<Tail>, String> {
    let Some(lateness) = &engine.lateness else { return Ok(None) };
    let late = histogram::decode(&lateness.histogram)?;
    if late.is_empty() {
        return Ok(None);
    }
    // So that exactly that many samples lie above it, at most the 99th; of very few the largest.
    let p = (1.0 - SAMPLES_ABOVE / late.len() as f64).min(0.99);
    let (name, p) = match p {
        p if p < 0.5 => ("max".to_owned(), 1.0),
        p => (format!("p{}", (p * 1000.0).round() / 10.0), p),
    };
    Ok(Some(Tail { name, lateness_us: late.value_at_quantile(p) as f64 / 1e3 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use load::protocol::Half;

    fn engine(lateness: &[u64], response: &[u64]) -> EngineReport {
        EngineReport {
            lateness: Some(histogram::latency(lateness).expect("encodes")),
            response: Some(histogram::latency(response).expect("encodes")),
            ..EngineReport::default()
        }
    }

    #[test]
    fn a_tail_is_as_high_as_the_samples_allow() {
        let of = |n: u64| {
            let samples: Vec<u64> = (1..=n).map(|k| k * 1000).collect();
            tail(&engine(&samples, &samples)).expect("readable").expect("samples")
        };
        for (n, name, value) in
            [(10_000, "p99", 9900.0), (500, "p98", 490.0), (40, "p75", 30.0), (12, "max", 12.0)]
        {
            let tail = of(n);
            assert_eq!(tail.name, name);
            assert!((tail.lateness_us / value - 1.0).abs() < 0.002, "{n}: {tail:?}");
        }
        assert_eq!(tail(&engine(&[], &[])), Ok(None));
        assert_eq!(tail(&EngineReport::default()), Ok(None));
    }

    #[test]
    fn the_latency_is_what_the_client_counts_as_in_flight() {
        let service = histogram::latency(&[5_000_000]).expect("encodes");
        let closed = PartReport { service: service.clone(), ..PartReport::default() };
        assert_eq!(latency_s(&closed), Some(0.005));
        let open = engine(&[1_000_000], &[9_000_000]);
        assert_eq!(latency_s(&PartReport { engine: Some(open), ..closed.clone() }), Some(0.008));
        let wait = Some(histogram::latency(&[2_000_000]).expect("encodes"));
        let churn = EngineReport { conn_wait: wait, ..EngineReport::default() };
        assert_eq!(latency_s(&PartReport { engine: Some(churn), ..closed }), Some(0.007));
        assert_eq!(latency_s(&PartReport::default()), None);
    }

    #[test]
    fn facts_are_taken_from_the_row_and_its_report() {
        let service = histogram::latency(&[500_000_000]).expect("encodes");
        let halves = [Half { seconds: 2.0, due: 10, completed: 9, ..Half::default() }; 2];
        let report = PartReport {
            service,
            engine: Some(EngineReport { halves, ..EngineReport::default() }),
            ..PartReport::default()
        };
        let row = Row { offered_rps: Some(5.0), warmup_s: Some(0.4), ..Row::default() };
        let cpu = [Duration::from_secs(1), Duration::from_secs(2)];
        let facts = of(&row, Some(&report), Some(cpu), Vec::new()).expect("readable");
        assert_eq!((facts.open, facts.warm, facts.completed, facts.seconds), (true, false, 18, 4.0));
        let warm = Row { warmup_s: Some(0.6), ..row.clone() };
        assert!(of(&warm, Some(&report), None, Vec::new()).expect("readable").warm);
        let [_, second] = facts.halves.expect("an engine's");
        assert_eq!((second.due, second.server_cpu), (10, Some(cpu[1])));
        assert_eq!(of(&row, None, None, Vec::new()).expect("nothing to read").halves, None);
    }
}
