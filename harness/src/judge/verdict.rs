//! The verdict on a row: `ok`, or the first gate that it does not pass.

use super::facts::Facts;
use super::gate::Gate;
use super::gates::{all_answered, client_has_room, generator_on_time, keeps_up, marks_on_time, quiet_host};
use super::steady::little;

/// A reason is one line that fits a table.
const LONGEST: usize = 160;

/// Whether to believe a row, and if not, why: in the order in which that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    /// The server or the environment failed.
    Failed,
    /// A request was not answered rightly.
    Errors,
    /// Others used the machine.
    NoisyHost,
    /// The server did not keep up with what was due.
    Overloaded,
    /// The client issued requests later than they were due.
    LateGenerator,
    /// The client had a part in the figure.
    ClientBound,
    /// The figures contradict each other.
    LittleViolated,
    /// The halves of the measured time differ: said of a cell, over its blocks, and of no row.
    NoSteadyState,
    /// Nothing is known that speaks against it.
    Ok,
}

impl Verdict {
    /// Its name in result files.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A verdict and the figures that decided it; for `ok` the gates that had no input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// One line; empty for a row that passed every gate there is for it.
    pub reason: String,
}

/// Asks one gate after the other.
pub fn judge(facts: &Facts) -> Judgement {
    if let Some(problem) = &facts.problem {
        return Judgement { verdict: Verdict::Failed, reason: problem.chars().take(LONGEST).collect() };
    }
    type Ask = fn(&Facts) -> Gate;
    // What makes a later gate meaningless comes first: a noisy host makes a generator late, and a server that does
    // not keep up leaves no figure to be late for; what a late client did not send is no overload.
    let mut gates: [(Verdict, &str, Ask); 7] = [
        (Verdict::Errors, "errors", all_answered),
        (Verdict::NoisyHost, "host", quiet_host),
        (Verdict::Overloaded, "overload", keeps_up),
        (Verdict::LateGenerator, "generator", generator_on_time),
        // After the generator: a client that was stopped marks late as well.
        (Verdict::NoisyHost, "marks", marks_on_time),
        (Verdict::ClientBound, "client ceiling", client_has_room),
        (Verdict::LittleViolated, "Little's law", little),
    ];
    if facts.rounds.is_some() {
        // A noisy host spoils little of servers that took turns, and must not hide what spoils more. Whether the client
        // was late is asked after it all the same.
        let after = |verdict| usize::from(matches!(verdict, Verdict::NoisyHost | Verdict::LateGenerator));
        gates.sort_by_key(|(verdict, ..)| after(*verdict));
    }
    let mut not_judged = Vec::new();
    for (verdict, name, gate) in gates {
        match gate(facts) {
            Gate::Trips(reason) => return Judgement { verdict, reason },
            Gate::NoInput => not_judged.push(name),
            Gate::Passes | Gate::NotForThis => {}
        }
    }
    let reason = match not_judged.is_empty() {
        true => String::new(),
        false => format!("not judged: {}", not_judged.join(", ")),
    };
    Judgement { verdict: Verdict::Ok, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::facts::{HalfFacts, Tail};
    use load::protocol::Fates;
    use std::time::Duration;
    use strum::VariantArray as _;

    /// An open loop of which everything is known, and right.
    fn good() -> Facts {
        let half = HalfFacts {
            seconds: 5.0,
            due: 5000,
            completed: 5000,
            late: 0,
            server_cpu: Some(Duration::from_millis(250)),
            latency_s: Some(0.05),
        };
        Facts {
            fates: Fates { scheduled: 10_000, ok: 10_000, ..Fates::default() },
            open: true,
            warm: true,
            concurrency: 256,
            delay_us: 50_000.0,
            halves: Some([half; 2]),
            tail: Some(Tail { name: "p99".into(), lateness_us: 100.0 }),
            completed: 10_000,
            seconds: 10.0,
            throughput_rps: Some(1000.0),
            latency_s: Some(0.05),
            in_flight_mean: Some(50.0),
            client_ceiling_rps: Some(40_000.0),
            client_utilisation: Some(0.1),
            server_utilisation: Some(0.05),
            host_steal_share: Some(0.0),
            host_other_share: Some(0.01),
            ..Facts::default()
        }
    }

    type Spoil = fn(&mut Facts);

    /// What trips each gate, in the order of the gates.
    const FAULTS: [(Verdict, Spoil); 7] = [
        (Verdict::Failed, |f| f.problem = Some("the server died".into())),
        (Verdict::Errors, |f| f.fates.timed_out = 1),
        (Verdict::NoisyHost, |f| f.host_steal_share = Some(0.02)),
        (Verdict::Overloaded, |f| {
            f.halves.as_mut().expect("there").iter_mut().for_each(|half| half.completed = 4000);
        }),
        (Verdict::LateGenerator, |f| f.tail.as_mut().expect("there").lateness_us = 9000.0),
        (Verdict::ClientBound, |f| f.client_ceiling_rps = Some(1100.0)),
        (Verdict::LittleViolated, |f| f.in_flight_mean = Some(60.0)),
    ];

    #[test]
    fn every_gate_trips_and_nothing_trips_without_cause() {
        assert_eq!(judge(&good()), Judgement { verdict: Verdict::Ok, reason: String::new() });
        for (verdict, spoil) in FAULTS {
            let mut facts = good();
            spoil(&mut facts);
            let judged = judge(&facts);
            assert_eq!(judged.verdict, verdict, "{}", judged.reason);
            assert!(!judged.reason.is_empty() && judged.reason.len() <= LONGEST, "{}", judged.reason);
        }
    }

    #[test]
    fn a_noisy_host_hides_nothing_of_servers_that_took_turns() {
        for (verdict, spoil) in FAULTS {
            let mut facts = Facts { rounds: Some(8), ..good() };
            facts.host_other_share = Some(0.3);
            spoil(&mut facts);
            let hidden = matches!(verdict, Verdict::LateGenerator);
            assert_eq!(judge(&facts).verdict, if hidden { Verdict::NoisyHost } else { verdict });
        }
    }

    #[test]
    fn a_late_mark_is_the_host_s_unless_the_generator_was_late() {
        let late = Facts { late_mark: Some("half of 1 s took 2 s".into()), ..good() };
        assert_eq!(judge(&late).verdict, Verdict::NoisyHost);
        let mut both = late;
        both.tail.as_mut().expect("there").lateness_us = 9000.0;
        assert_eq!(judge(&both).verdict, Verdict::LateGenerator);
    }

    #[test]
    fn the_first_gate_decides() {
        for first in 0..FAULTS.len() {
            let mut facts = good();
            FAULTS[first..].iter().for_each(|(_, spoil)| spoil(&mut facts));
            assert_eq!(judge(&facts).verdict, FAULTS[first].0);
        }
        let order: Vec<Verdict> = FAULTS.iter().map(|(verdict, _)| *verdict).collect();
        assert_eq!(order, Verdict::VARIANTS[..7]);
    }

    #[test]
    fn a_row_s_own_halves_are_no_verdict_on_it() {
        let mut facts = good();
        facts.halves.as_mut().expect("there")[1].server_cpu = Some(Duration::from_millis(400));
        assert_eq!(judge(&facts).verdict, Verdict::Ok);
    }

    #[test]
    fn what_was_not_judged_is_said() {
        let article = Facts { throughput_rps: Some(20.0), ..Facts::default() };
        let judged = judge(&article);
        assert_eq!(judged.verdict, Verdict::Ok);
        assert_eq!(judged.reason, "not judged: host, client ceiling, Little's law");
    }

    #[test]
    fn every_verdict_is_described_in_the_documents() {
        let root = crate::experiment::root::find().expect("a clone");
        for file in ["results/README.md", "docs/methodology.md"] {
            let text = std::fs::read_to_string(root.join(file)).expect(file);
            for &verdict in Verdict::VARIANTS {
                assert!(text.contains(&format!("`{}`", verdict.name())), "{file} lacks {}", verdict.name());
            }
        }
    }
}
