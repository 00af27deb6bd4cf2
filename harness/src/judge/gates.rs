//! The gates that ask who else had a part in a figure: the host, the client, the schedule.

use super::facts::{Facts, HalfFacts};
use super::gate::Gate;
use super::steady::in_flight;

/// Steal above this part of the time of the CPUs that server and client may use disturbs.
const STEAL: f64 = 0.005;
/// Other processes' use above this part of the same CPUs' time disturbs. The kernel's own threads and the
/// coordinator use 1.6 to 3.6% of a machine of two CPUs that has nothing else to do.
const OTHERS: f64 = 0.05;
/// A client that is late by less is on time, whatever the request.
const LATE_US: f64 = 500.0;
/// A client may be late by this part of the time that the route takes by itself. Not of the response time: then the
/// fast blocks of a cell would be left out and the slow ones stay.
const LATE_SHARE: f64 = 0.1;
/// A server keeps up that answers this part of what is due.
const KEPT_UP: f64 = 0.97;
/// A backlog grows if in each half more than this part of what was due stays behind.
const BEHIND: f64 = 0.01;
/// Above this part of what the client does against constant bytes, the client has a part in the figure.
const OF_CLIENT_CEILING: f64 = 0.8;
/// A client that uses more of its CPUs' time has a part in the figure.
const CLIENT_BUSY: f64 = 0.85;
/// Chance is given so many standard errors.
const ERRORS: f64 = 3.0;

/// No request failed.
pub fn all_answered(facts: &Facts) -> Gate {
    let fates = &facts.fates;
    let failed = [
        ("bad status", fates.bad_status),
        ("bad body", fates.bad_body),
        ("connect error", fates.err_connect),
        ("read error", fates.err_read),
        ("write error", fates.err_write),
        ("timed out", fates.timed_out),
        ("shed", fates.shed),
        ("in flight at the end", fates.in_flight_at_end),
    ];
    let said: Vec<String> =
        failed.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect();
    match said.is_empty() {
        true => Gate::Passes,
        false => Gate::Trips(format!("{} of {} requests", said.join(", "), fates.scheduled)),
    }
}

/// The machine was the replicate's own.
pub fn quiet_host(facts: &Facts) -> Gate {
    let shares = [("steal", facts.host_steal_share, STEAL), ("others", facts.host_other_share, OTHERS)];
    let known: Vec<(&str, f64, f64)> =
        shares.into_iter().filter_map(|(what, share, limit)| Some((what, share?, limit))).collect();
    match known.iter().find(|(_, share, limit)| share > limit) {
        Some((what, share, limit)) => {
            Gate::Trips(format!("{what} {:.1}% > {:.1}% of CPU time", share * 100.0, limit * 100.0))
        }
        None if known.is_empty() => Gate::NoInput,
        None => Gate::Passes,
    }
}

/// The server's clocks were read when the client's measured time began, was half over and ended.
pub fn marks_on_time(facts: &Facts) -> Gate {
    facts.late_mark.as_ref().map_or(Gate::Passes, |late| Gate::Trips(late.clone()))
}

/// The client kept its schedule.
pub fn generator_on_time(facts: &Facts) -> Gate {
    if !facts.open {
        return Gate::NotForThis;
    }
    let Some(tail) = &facts.tail else { return Gate::NoInput };
    let limit = LATE_US.max(LATE_SHARE * facts.delay_us);
    match tail.lateness_us > limit {
        true => Gate::Trips(format!(
            "lateness {} {:.2} ms > {:.2} ms",
            tail.name,
            tail.lateness_us / 1e3,
            limit / 1e3
        )),
        false => Gate::Passes,
    }
}

/// The server kept up with its schedule.
pub fn keeps_up(facts: &Facts) -> Gate {
    if !facts.open {
        return Gate::NotForThis;
    }
    let Some(halves) = &facts.halves else { return Gate::NoInput };
    // A cold start begins with nothing under way, so that its first half answers less than is due. So does each slice,
    // and there are as many in each half.
    let both = facts.warm || facts.rounds.is_some();
    let judged = if both { &halves[..] } else { &halves[1..] };
    let due: f64 = judged.iter().map(|half| half.due as f64).sum();
    if due <= 0.0 {
        return Gate::NoInput;
    }
    let slices = facts.rounds.map_or(0.0, |rounds| rounds as f64);
    // Of each slice as many may be under way at its end as were on average. A backlog that grows all the time is twice
    // that.
    let left = slices * in_flight(facts);
    let in_time = |half: &HalfFacts| half.completed as f64 - half.late as f64;
    let completed: f64 = judged.iter().map(in_time).sum();
    let seconds: f64 = judged.iter().map(|half| half.seconds).sum();
    let late_s = facts.tail.as_ref().map_or(0.0, |tail| tail.lateness_us / 1e6) * slices.max(1.0);
    // What is under way at either end varies as much as independent requests do, and what a late client has not sent
    // yet is not the server's to answer.
    let ends = slices.max(2.0);
    let chance = ERRORS * (ends * in_flight(facts)).sqrt() + late_s * due / seconds.max(f64::MIN_POSITIVE);
    if completed + left < KEPT_UP * due - chance {
        let when = if both { "" } else { " of the second half" };
        return Gate::Trips(format!(
            "{completed} of {due} due{when} were answered in time: {:.1}% < {:.0}%",
            completed / due * 100.0,
            KEPT_UP * 100.0
        ));
    }
    let behind = |half: &HalfFacts| half.due as f64 - in_time(half) - left / 2.0;
    match judged.iter().all(|half| behind(half) > BEHIND * half.due as f64 + chance) {
        true => Gate::Trips(format!("the backlog grew by {}", judged.iter().map(behind).sum::<f64>())),
        false => Gate::Passes,
    }
}

/// The client could have done more.
pub fn client_has_room(facts: &Facts) -> Gate {
    let ceiling = facts.throughput_rps.zip(facts.client_ceiling_rps);
    if let Some((throughput, ceiling)) = ceiling
        && throughput > OF_CLIENT_CEILING * ceiling
    {
        return Gate::Trips(format!(
            "{throughput:.0}/s > {:.0}% of the {ceiling:.0}/s the client reaches against constant bytes",
            OF_CLIENT_CEILING * 100.0
        ));
    }
    match (facts.client_utilisation, ceiling) {
        (Some(share), _) if share > CLIENT_BUSY => Gate::Trips(format!(
            "the client used {:.0}% > {:.0}% of its CPUs",
            share * 100.0,
            CLIENT_BUSY * 100.0
        )),
        // Its CPUs alone do not say it: a client of one thread has its limit long before.
        (_, None) => Gate::NoInput,
        _ => Gate::Passes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::facts::Tail;
    use load::protocol::Fates;

    fn said(gate: Gate) -> String {
        match gate {
            Gate::Trips(said) => said,
            other => panic!("it does not trip: {other:?}"),
        }
    }

    #[test]
    fn any_failed_request_trips() {
        type Set = fn(&mut Fates);
        let kinds: [(Set, &str); 8] = [
            (|f| f.bad_status = 2, "2 bad status of 10 requests"),
            (|f| f.bad_body = 1, "1 bad body"),
            (|f| f.err_connect = 1, "1 connect error"),
            (|f| f.err_read = 1, "1 read error"),
            (|f| f.err_write = 1, "1 write error"),
            (|f| f.timed_out = 1, "1 timed out"),
            (|f| f.shed = 1, "1 shed"),
            (|f| f.in_flight_at_end = 1, "1 in flight"),
        ];
        for (set, figures) in kinds {
            let mut facts = Facts::default();
            facts.fates.scheduled = 10;
            assert_eq!(all_answered(&facts), Gate::Passes);
            set(&mut facts.fates);
            let said = said(all_answered(&facts));
            assert!(said.starts_with(figures), "{said}");
        }
    }

    #[test]
    fn a_noisy_host_trips() {
        let host = |steal, others| Facts {
            host_steal_share: Some(steal),
            host_other_share: Some(others),
            ..Facts::default()
        };
        assert_eq!(quiet_host(&host(0.005, 0.05)), Gate::Passes);
        assert_eq!(said(quiet_host(&host(0.007, 0.0))), "steal 0.7% > 0.5% of CPU time");
        assert_eq!(said(quiet_host(&host(0.0, 0.061))), "others 6.1% > 5.0% of CPU time");
        assert_eq!(quiet_host(&Facts::default()), Gate::NoInput);
    }

    fn late(lateness_us: f64, delay_us: f64) -> Facts {
        let tail = Tail { name: "p99".into(), lateness_us };
        Facts { open: true, tail: Some(tail), delay_us, ..Facts::default() }
    }

    #[test]
    fn a_late_generator_trips() {
        assert_eq!(generator_on_time(&late(490.0, 1000.0)), Gate::Passes);
        assert_eq!(generator_on_time(&late(4900.0, 50_000.0)), Gate::Passes);
        assert_eq!(said(generator_on_time(&late(2310.0, 4000.0))), "lateness p99 2.31 ms > 0.50 ms");
        assert_eq!(said(generator_on_time(&late(5100.0, 50_000.0))), "lateness p99 5.10 ms > 5.00 ms");
        assert_eq!(generator_on_time(&Facts { tail: None, ..late(0.0, 0.0) }), Gate::NoInput);
        assert_eq!(generator_on_time(&Facts { open: false, ..late(9e9, 1.0) }), Gate::NotForThis);
    }

    fn answered(due: u64, completed: [u64; 2], in_flight: f64) -> Facts {
        let half = |completed| HalfFacts { seconds: 5.0, due, completed, ..HalfFacts::default() };
        Facts {
            open: true,
            warm: true,
            halves: Some(completed.map(half)),
            in_flight_mean: Some(in_flight),
            ..Facts::default()
        }
    }

    #[test]
    fn an_overloaded_server_trips() {
        assert_eq!(keeps_up(&answered(3000, [3000, 2990], 10.0)), Gate::Passes);
        // 600 a second into 500 for 10 s, from a cold start too.
        let overload = answered(3000, [2500, 2500], 500.0);
        assert_eq!(said(keeps_up(&overload)), "5000 of 6000 due were answered in time: 83.3% < 97%");
        let cold = said(keeps_up(&Facts { warm: false, ..overload }));
        assert!(cold.starts_with("2500 of 3000 due of the second half"), "{cold}");
        // 2% too many: the backlog grows in both halves.
        assert_eq!(said(keeps_up(&answered(50_000, [49_000, 49_000], 1000.0))), "the backlog grew by 2000");
        assert_eq!(keeps_up(&answered(50_000, [49_000, 50_000], 1000.0)), Gate::Passes);
    }

    #[test]
    fn a_server_that_is_overloaded_in_slices_trips() {
        let in_slices = |due: u64, late: u64, in_flight: f64| {
            let half = HalfFacts { seconds: 1.0, due, completed: due, late, ..HalfFacts::default() };
            Facts { halves: Some([half; 2]), rounds: Some(8), ..answered(due, [due; 2], in_flight) }
        };
        // 5000/s into 3000/s for 250 ms: 500 are left at the end of each slice, half of that on average.
        let text = said(keeps_up(&in_slices(5000, 2000, 250.0)));
        assert_eq!(text, "6000 of 10000 due were answered in time: 60.0% < 97%");
        // 5 ms at 2000/s for 50 ms: ten are under way, at the end of a slice too.
        assert_eq!(keeps_up(&in_slices(400, 40, 9.1)), Gate::Passes);
        assert_eq!(keeps_up(&in_slices(400, 0, 0.2)), Gate::Passes);
    }

    #[test]
    fn what_a_late_client_has_not_sent_is_no_overload() {
        let stopped = |lateness_us| Facts {
            tail: Some(Tail { name: "p99".into(), lateness_us }),
            ..answered(5000, [5000, 4600], 10.0)
        };
        assert!(matches!(keeps_up(&stopped(0.0)), Gate::Trips(_)));
        // At 1000/s 400 are due in 0.4 s.
        assert_eq!(keeps_up(&stopped(400_000.0)), Gate::Passes);
    }

    #[test]
    fn requests_under_way_at_the_ends_are_no_overload() {
        // 50 ms at 1000/s from a cold start: the last 50 are under way.
        assert_eq!(keeps_up(&Facts { warm: false, ..answered(500, [450, 500], 47.5) }), Gate::Passes);
        assert_eq!(keeps_up(&answered(20, [18, 20], 1.0)), Gate::Passes);
        assert_eq!(keeps_up(&Facts { open: false, ..answered(10, [0, 0], 1.0) }), Gate::NotForThis);
        assert_eq!(keeps_up(&Facts { halves: None, ..answered(10, [0, 0], 1.0) }), Gate::NoInput);
        assert_eq!(keeps_up(&answered(0, [0, 0], 0.0)), Gate::NoInput);
    }

    #[test]
    fn a_client_at_its_limit_trips() {
        let client = |throughput, busy| Facts {
            throughput_rps: Some(throughput),
            client_ceiling_rps: Some(5000.0),
            client_utilisation: Some(busy),
            ..Facts::default()
        };
        assert_eq!(client_has_room(&client(4000.0, 0.85)), Gate::Passes);
        let text = said(client_has_room(&client(4100.0, 0.2)));
        assert!(text.starts_with("4100/s > 80% of the 5000/s"), "{text}");
        assert_eq!(said(client_has_room(&client(100.0, 0.9))), "the client used 90% > 85% of its CPUs");
        assert_eq!(client_has_room(&Facts { client_ceiling_rps: None, ..client(1.0, 0.1) }), Gate::NoInput);
        assert!(matches!(
            client_has_room(&Facts { client_ceiling_rps: None, ..client(1.0, 0.9) }),
            Gate::Trips(_)
        ));
    }
}
