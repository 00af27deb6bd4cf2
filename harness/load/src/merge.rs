//! The reports of clients that shared a load, as the one that a single client would have made: requests and fates add
//! up, histograms are added bucket by bucket.

use crate::histogram::{decode, to_text};
use crate::protocol::{EngineReport, Half, IntervalLog, Latency, LatencyKind, PartReport, Report};
use hdrhistogram::Histogram;
use std::time::Duration;
use strum::VariantArray as _;

/// Joins the reports of a load. Of one report there is nothing to join.
///
/// # Errors
/// In words: there is none, they are of different loads, or a histogram is unreadable.
pub fn merge(reports: Vec<Report>) -> Result<Report, String> {
    if let [_] = &reports[..] {
        return reports.into_iter().next().ok_or_else(|| NONE.to_owned());
    }
    let first = reports.first().ok_or(NONE)?;
    if reports.iter().any(|report| report.parts.len() != first.parts.len() || report.turns.is_some()) {
        return Err("the clients' reports are of different loads".to_owned());
    }
    let part = |place: usize| -> Result<PartReport, String> {
        part(&reports.iter().map(|report| &report.parts[place]).collect::<Vec<_>>())
    };
    Ok(Report {
        parts: (0..first.parts.len()).map(part).collect::<Result<_, _>>()?,
        peak_memory: reports.iter().map(|report| report.peak_memory).sum(),
        first_error: reports.iter().find_map(|report| report.first_error.clone()),
        gave_up: reports.iter().find_map(|report| report.gave_up.clone()),
        turns: None,
    })
}

const NONE: &str = "no client has reported";

fn part(parts: &[&PartReport]) -> Result<PartReport, String> {
    let mut fates = parts[0].fates;
    parts[1..].iter().for_each(|part| fates.add(part.fates));
    let engines: Vec<&EngineReport> = parts.iter().filter_map(|part| part.engine.as_ref()).collect();
    let engine = match engines.len() {
        0 => None,
        all if all == parts.len() => Some(engine(&engines)?),
        _ => return Err("the clients' reports are of different loads".to_owned()),
    };
    Ok(PartReport {
        fates,
        connects: parts.iter().map(|part| part.connects).sum(),
        elapsed: parts.iter().map(|part| part.elapsed).max().unwrap_or_default(),
        client_cpu: parts.iter().map(|part| part.client_cpu).sum(),
        service: latency(parts.iter().map(|part| &part.service))?,
        in_flight_mean: parts.iter().map(|part| part.in_flight_mean).sum(),
        engine,
    })
}

fn engine(engines: &[&EngineReport]) -> Result<EngineReport, String> {
    let of = |kind: fn(&EngineReport) -> Option<&Latency>| -> Result<Option<Latency>, String> {
        let all: Vec<&Latency> = engines.iter().filter_map(|engine| kind(engine)).collect();
        (!all.is_empty()).then(|| latency(all.into_iter())).transpose()
    };
    let mut drivers: Vec<&str> = engines.iter().map(|engine| engine.driver.as_str()).collect();
    drivers.dedup();
    Ok(EngineReport {
        driver: drivers.join(" "),
        halves: [0, 1].map(|half| self::half(engines.iter().map(|engine| &engine.halves[half]))),
        spin: engines.iter().map(|engine| engine.spin).sum(),
        response: of(|engine| engine.response.as_ref())?,
        lateness: of(|engine| engine.lateness.as_ref())?,
        conn_wait: of(|engine| engine.conn_wait.as_ref())?,
        intervals: intervals(engines)?,
    })
}

/// The same half of each client's time.
fn half<'a>(halves: impl Iterator<Item = &'a Half> + Clone) -> Half {
    let answered: u64 = halves.clone().map(|half| half.answered).sum();
    let sum: f64 = halves.clone().map(|half| half.latency_mean_ns * half.answered as f64).sum();
    Half {
        seconds: halves.clone().map(|half| half.seconds).fold(0.0, f64::max),
        due: halves.clone().map(|half| half.due).sum(),
        completed: halves.clone().map(|half| half.completed).sum(),
        late: halves.clone().map(|half| half.late).sum(),
        client_cpu: halves.map(|half| half.client_cpu).sum(),
        answered,
        latency_mean_ns: if answered > 0 { sum / answered as f64 } else { 0.0 },
    }
}

fn latency<'a>(latencies: impl Iterator<Item = &'a Latency>) -> Result<Latency, String> {
    let mut all = empty()?;
    let (mut sum, mut count, mut max, mut out_of_range) = (0.0, 0_u64, None, 0);
    for latency in latencies {
        let histogram = if latency.histogram.is_empty() { empty()? } else { decode(&latency.histogram)? };
        let samples = histogram.len() + latency.out_of_range;
        all.add(&histogram).map_err(|error| error.to_string())?;
        sum += latency.mean_ns.unwrap_or_default() * samples as f64;
        count += samples;
        max = max.max(latency.max_ns);
        out_of_range += latency.out_of_range;
    }
    let mean_ns = (count > 0).then(|| sum / count as f64);
    Ok(Latency { histogram: to_text(&all)?, mean_ns, max_ns: max, out_of_range })
}

fn empty() -> Result<Histogram<u64>, String> {
    Histogram::new(3).map_err(|error| error.to_string())
}

/// The logs of the same kind and interval added up, in the order in which a client reports them.
fn intervals(engines: &[&EngineReport]) -> Result<Vec<IntervalLog>, String> {
    let mut logs: Vec<(LatencyKind, Duration, Duration, Histogram<u64>)> = Vec::new();
    for log in engines.iter().flat_map(|engine| &engine.intervals) {
        let histogram = decode(&log.histogram)?;
        match logs.iter_mut().find(|(kind, start, ..)| (*kind, *start) == (log.kind, log.start)) {
            Some((_, _, length, sum)) => {
                *length = (*length).max(log.length);
                sum.add(&histogram).map_err(|error| error.to_string())?;
            }
            None => {
                let mut sum = empty()?;
                sum.add(&histogram).map_err(|error| error.to_string())?;
                logs.push((log.kind, log.start, log.length, sum));
            }
        }
    }
    let place = |kind: LatencyKind| LatencyKind::VARIANTS.iter().position(|variant| *variant == kind);
    logs.sort_by_key(|(kind, start, ..)| (place(*kind), *start));
    let log = |(kind, start, length, histogram): (LatencyKind, Duration, Duration, Histogram<u64>)| {
        Ok(IntervalLog { kind, start, length, histogram: to_text(&histogram)? })
    };
    logs.into_iter().map(log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram;
    use crate::protocol::Fates;

    const SECOND: Duration = Duration::from_secs(1);

    /// What a client reports that answered so many requests, with these latencies.
    fn report(latencies: &[u64]) -> Report {
        let (ok, latency) = (latencies.len() as u64, histogram::latency(latencies).expect("encodes"));
        let mean = latencies.iter().sum::<u64>() as f64 / ok as f64;
        let half = Half {
            seconds: 1.0,
            due: ok,
            completed: ok,
            late: 0,
            client_cpu: SECOND,
            answered: ok,
            latency_mean_ns: mean,
        };
        let log = |second: u32| IntervalLog {
            kind: LatencyKind::Response,
            start: second * SECOND,
            length: SECOND,
            histogram: latency.histogram.clone(),
        };
        let engine = EngineReport {
            driver: "epoll".into(),
            halves: [half; 2],
            spin: SECOND,
            response: Some(latency.clone()),
            lateness: Some(latency.clone()),
            conn_wait: Some(latency.clone()),
            intervals: vec![log(0), log(ok as u32)],
        };
        let part = PartReport {
            fates: Fates { scheduled: ok + 1, ok, timed_out: 1, ..Fates::default() },
            connects: 2,
            elapsed: ok as u32 * SECOND,
            client_cpu: SECOND,
            service: latency,
            in_flight_mean: Some(1.5),
            engine: Some(engine),
        };
        Report { parts: vec![part], peak_memory: Some(100), ..Report::default() }
    }

    #[test]
    fn two_clients_reports_are_as_of_one() {
        let (a, b) = ([1_000, 2_000_000, 3_000_000_000], [5_000_000, 7_000]);
        let both: Vec<u64> = a.iter().chain(&b).copied().collect();
        let (merged, one) = (merge(vec![report(&a), report(&b)]).expect("fit"), report(&both));
        let (merged, one) = (&merged.parts[0], &one.parts[0]);
        assert_eq!(
            (merged.fates.ok, merged.fates.timed_out, merged.fates.sum()),
            (5, 2, merged.fates.scheduled)
        );
        assert_eq!((merged.connects, merged.client_cpu, merged.in_flight_mean), (4, 2 * SECOND, Some(3.0)));
        assert_eq!(merged.elapsed, 3 * SECOND, "until the last of them has ended");
        let decoded = |latency: &Latency| decode(&latency.histogram).expect("decodes");
        for ((kind, merged), (_, one)) in merged.latencies().zip(one.latencies()) {
            assert_eq!(decoded(merged), decoded(one), "{}", kind.name());
            assert_eq!((merged.max_ns, merged.out_of_range), (one.max_ns, one.out_of_range));
            let (merged, one) = (merged.mean_ns.expect("samples"), one.mean_ns.expect("samples"));
            assert!((merged / one - 1.0).abs() < 1e-12, "{merged} {one}");
        }
        let (its, engine) =
            (merged.engine.as_ref().expect("both"), one.engine.as_ref().expect("an engine's"));
        assert!((its.halves[0].latency_mean_ns / engine.halves[0].latency_mean_ns - 1.0).abs() < 1e-12);
        assert_eq!((its.halves[1].due, its.halves[1].seconds, its.driver.as_str()), (5, 1.0, "epoll"));
        let starts: Vec<Duration> = its.intervals.iter().map(|log| log.start).collect();
        assert_eq!(starts, [Duration::ZERO, 2 * SECOND, 3 * SECOND]);
        assert_eq!(decode(&its.intervals[0].histogram).expect("decodes").len(), 5);
    }

    #[test]
    fn one_report_stays_as_it_is_and_none_is_refused() {
        assert_eq!(merge(vec![report(&[5])]).expect("one"), report(&[5]));
        assert!(merge(Vec::new()).is_err());
        let two_phases = Report { parts: vec![PartReport::default(); 2], ..Report::default() };
        assert!(merge(vec![report(&[5]), two_phases]).expect_err("others").contains("different loads"));
        let counted = Report { parts: vec![PartReport::default()], ..Report::default() };
        assert!(merge(vec![report(&[5]), counted]).is_err());
    }

    #[test]
    fn clients_that_count_requests_have_no_engine() {
        let counted = || Report { parts: vec![PartReport::default()], ..Report::default() };
        let merged = merge(vec![counted(), counted()]).expect("fit");
        assert_eq!((merged.parts[0].engine.as_ref(), merged.parts[0].in_flight_mean), (None, None));
        assert_eq!(merged.parts[0].service.mean_ns, None);
    }
}
