//! What the host did to a trial, by facts, and which misses that explains.
//!
//! The facts are the kernel's. The client's own lateness is told, and lets a trial be run again, but excuses nothing: a
//! client that measures wrongly would excuse itself.

use super::figure::{Figure, Sensitivity, Value};
use std::fmt;

/// However busy a host is, one request in ten finds its CPUs free.
const MOST_DELAYED: f64 = 0.9;
/// The verdicts that a disturbed host can lead to.
const VERDICTS: [&str; 3] = ["noisy_host", "overloaded", "late_generator"];

/// The noise of a trial: of its replicates the most of each kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Noise {
    /// What makes the host one that is not quiet, in words; `None` where nothing does.
    pub disturbed: Option<String>,
    /// The part of the time of the CPUs of server and client that the hypervisor kept.
    pub steal: f64,
    /// The part of the same time that other processes used.
    pub others: f64,
    /// How many CPUs that were.
    pub cpus: f64,
    /// The measured time in seconds.
    pub seconds: f64,
    /// The part of the time in which some task waited for a CPU, on the whole machine: its run delay.
    pub waited: Option<f64>,
    /// The generator's lateness p99 in ms, by its own clock.
    pub late_ms: Option<f64>,
    /// Whether the harness read its clocks too late or early.
    pub is_marked_late: bool,
}

impl Noise {
    /// Adds the noise of the trial's next replicate.
    pub(super) fn add(&mut self, next: Noise) {
        let most = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
        *self = Noise {
            disturbed: next.disturbed.or(self.disturbed.take()),
            steal: self.steal.max(next.steal),
            others: self.others.max(next.others),
            cpus: self.cpus.max(next.cpus),
            seconds: self.seconds.max(next.seconds),
            waited: most(self.waited, next.waited),
            late_ms: most(self.late_ms, next.late_ms),
            is_marked_late: self.is_marked_late || next.is_marked_late,
        };
    }

    /// Returns the most that was taken of one CPU's time, if all of it was taken from that one: 1 is all.
    fn taken(&self) -> f64 {
        ((self.steal + self.others) * self.cpus).min(1.0)
    }

    /// Returns true if the noise is large enough for a miss of this size. Noise makes no time shorter.
    pub fn explains(&self, figure: &Figure, factor: f64) -> bool {
        if self.disturbed.is_none() {
            return false;
        }
        let (expected, measured) = match (&figure.expected, &figure.measured, figure.sensitivity) {
            (_, _, Sensitivity::Nothing) => return false,
            (Value::Word(_), Value::Word(word), _) => return VERDICTS.contains(&word.as_str()),
            // What the clocks would have said is not known.
            (_, Value::Empty, _) => return self.is_marked_late,
            (Value::Number(expected), Value::Number(measured), _) => (*expected, *measured),
            _ => return false,
        };
        let beyond = (measured - expected).abs() - figure.slack(factor);
        let by_share = |times: f64| beyond <= times * self.taken() * expected.abs();
        match figure.sensitivity {
            Sensitivity::Nothing | Sensitivity::Verdict => false,
            Sensitivity::Delay(p) => {
                let lost_ms = self.taken() * self.seconds * 1e3;
                measured > expected && self.taken().min(MOST_DELAYED) >= 1.0 - p && beyond <= lost_ms
            }
            Sensitivity::Queue { times, load } => {
                let spare = 1.0 - self.taken() / (1.0 - load);
                measured > expected && (spare <= 0.0 || by_share(times / spare))
            }
            Sensitivity::Share(times) => by_share(times),
        }
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "steal {:.1}%, others {:.1}% of CPU time", self.steal * 100.0, self.others * 100.0)?;
        if let Some(waited) = self.waited {
            write!(f, ", run delay {:.0}% of the time", waited * 100.0)?;
        }
        if let Some(late_ms) = self.late_ms {
            write!(f, ", generator late by {late_ms:.2} ms (p99)")?;
        }
        if self.is_marked_late {
            f.write_str(", clocks read late")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that uses `share` of both of two CPUs during five seconds.
    fn noise(share: f64) -> Noise {
        let disturbed = (share > 0.05).then(|| "others".to_owned());
        Noise { disturbed, others: share, cpus: 2.0, seconds: 5.0, ..Noise::default() }
    }

    fn time(expected: f64, measured: f64, sensitivity: Sensitivity) -> Figure {
        Figure::near("a time", "ms", expected, Some(measured), 0.0, 0.5).sensitive(sensitivity)
    }

    #[test]
    fn noise_delays_the_share_of_requests_that_it_can_meet() {
        let p = |p, share| noise(share).explains(&time(20.0, 21.0, Sensitivity::Delay(p)), 1.0);
        assert!(p(0.99, 0.15) && p(0.9, 0.15) && p(0.5, 0.3));
        assert!(!p(0.5, 0.15) && !p(0.01, 0.15), "most requests were not met");
        assert!(!p(0.01, 1.0), "not all of them ever are");
        assert!(!p(0.99, 0.02), "the host was quiet");
    }

    #[test]
    fn no_time_is_longer_by_more_than_was_taken_and_none_is_shorter() {
        let explains = |ms, sensitivity| noise(0.15).explains(&time(100.0, ms, sensitivity), 1.0);
        // 30% of 5 s.
        assert!(explains(1600.0, Sensitivity::Delay(0.99)) && !explains(1601.0, Sensitivity::Delay(0.99)));
        // 4 × 0.3 of 100 ms, and as much again and half of that since the server has 40% of its spare time left.
        let queue = Sensitivity::Queue { times: 4.0, load: 0.5 };
        assert!(explains(400.0, queue) && !explains(401.0, queue));
        assert!(!explains(98.0, Sensitivity::Delay(0.99)) && !explains(98.0, queue));
        assert!(noise(0.25).explains(&time(100.0, 9000.0, queue), 1.0), "a queue without end");
        assert!(explains(98.0, Sensitivity::Share(1.0)) && !explains(69.0, Sensitivity::Share(1.0)));
    }

    #[test]
    fn what_is_exact_is_not_excused_and_a_verdict_only_by_those_that_noise_leads_to() {
        assert!(!noise(0.5).explains(&Figure::exact("ok", "", 5u64, 4u64), 1.0));
        let verdict = |measured| noise(0.5).explains(&Figure::verdict("ok", measured), 1.0);
        assert!(verdict("late_generator") && !verdict("little_violated") && !verdict("failed"));
        let missing = Figure::near("cpu", "µs", 1.0, None, 0.03, 0.0).sensitive(Sensitivity::Share(1.0));
        assert!(!noise(0.5).explains(&missing, 1.0));
        assert!(Noise { is_marked_late: true, ..noise(0.5) }.explains(&missing, 1.0));
    }

    #[test]
    fn the_noise_of_a_trial_is_the_most_of_its_replicates() {
        let mut all = Noise { late_ms: Some(0.2), ..noise(0.15) };
        all.add(Noise { steal: 0.01, late_ms: Some(1.25), waited: Some(0.3), ..noise(0.01) });
        let said = "steal 1.0%, others 15.0% of CPU time, run delay 30% of the time, generator late by 1.25 ms (p99)";
        assert_eq!(all.to_string(), said);
        assert!(all.disturbed.is_some());
    }
}
