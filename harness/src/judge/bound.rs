//! What bounded the throughput: the lowest of the known ceilings that it reached.

use super::ceiling::{Ceiling, lowest};
use super::facts::Facts;

/// A ceiling is reached from this part of it on.
const REACHED: f64 = 0.9;
/// CPUs are saturated from this part of their time on: only then are they what bounds.
const SATURATED: f64 = 0.95;

/// Its name: `offered_rate`, `concurrency`, `blocking_threads`, `server_cpu`, `machine_cpu` or `client`;
/// `unexplained` if the throughput reached none, and nothing without a throughput.
///
/// `machine_cpu` is for CPUs that server and client share: neither of them may be near the limit while both,
/// and others, together are.
pub fn bound_by(facts: &Facts) -> &'static str {
    let Some(throughput) = facts.throughput_rps else { return "" };
    let saturated = |utilisation: Option<f64>, by| {
        // CPUs × wall / (CPU time per request) is throughput / utilisation.
        let share = utilisation.filter(|share| *share >= SATURATED)?;
        Some(Ceiling { rps: throughput / share, by })
    };
    let mut reached = facts.ceilings.clone();
    reached.extend(saturated(facts.server_utilisation, "server_cpu"));
    reached.extend(saturated(facts.machine_utilisation, "machine_cpu"));
    reached.extend(saturated(facts.client_utilisation, "client"));
    reached.extend(facts.client_ceiling_rps.map(|rps| Ceiling { rps, by: "client" }));
    reached.retain(|ceiling| throughput >= REACHED * ceiling.rps);
    lowest(&reached).map_or("unexplained", |ceiling| ceiling.by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(throughput: f64) -> Facts {
        let ceiling = |rps, by| Ceiling { rps, by };
        Facts {
            throughput_rps: Some(throughput),
            ceilings: vec![
                ceiling(1000.0, "offered_rate"),
                ceiling(800.0, "blocking_threads"),
                ceiling(5120.0, "concurrency"),
            ],
            client_ceiling_rps: Some(30_000.0),
            server_utilisation: Some(0.2),
            client_utilisation: Some(0.1),
            ..Facts::default()
        }
    }

    #[test]
    fn the_lowest_ceiling_that_is_reached_is_named() {
        assert_eq!(bound_by(&facts(790.0)), "blocking_threads");
        assert_eq!(bound_by(&facts(720.0)), "blocking_threads");
        assert_eq!(bound_by(&facts(719.0)), "unexplained");
        let without_threads = Facts {
            ceilings: facts(0.0).ceilings.into_iter().filter(|c| c.by != "blocking_threads").collect(),
            ..facts(950.0)
        };
        assert_eq!(bound_by(&without_threads), "offered_rate");
        assert_eq!(bound_by(&Facts { throughput_rps: None, ..facts(0.0) }), "");
        assert_eq!(bound_by(&Facts { throughput_rps: Some(5.0), ..Facts::default() }), "unexplained");
    }

    #[test]
    fn shared_cpus_bound_where_all_who_use_them_saturate_them() {
        let shared = |machine| Facts {
            server_utilisation: Some(0.8),
            client_utilisation: Some(0.12),
            machine_utilisation: machine,
            ..facts(600.0)
        };
        assert_eq!(bound_by(&shared(Some(0.97))), "machine_cpu");
        assert_eq!(bound_by(&shared(Some(0.94))), "unexplained");
        assert_eq!(bound_by(&shared(None)), "unexplained");
        // The whole machine is no higher a ceiling than the server's part of it.
        let server_too = Facts { server_utilisation: Some(0.96), ..shared(Some(0.99)) };
        assert_eq!(bound_by(&server_too), "machine_cpu");
        assert_eq!(bound_by(&Facts { throughput_rps: Some(800.0), ..server_too }), "blocking_threads");
    }

    #[test]
    fn cpus_bound_only_where_they_are_saturated() {
        let busy = |server, client| Facts {
            server_utilisation: Some(server),
            client_utilisation: Some(client),
            ..facts(600.0)
        };
        assert_eq!(bound_by(&busy(0.94, 0.5)), "unexplained");
        assert_eq!(bound_by(&busy(0.95, 0.5)), "server_cpu");
        assert_eq!(bound_by(&busy(0.5, 0.99)), "client");
        assert_eq!(bound_by(&Facts { client_ceiling_rps: Some(620.0), ..facts(600.0) }), "client");
        // A saturated server is only what bounds where nothing lower does.
        assert_eq!(bound_by(&Facts { server_utilisation: Some(0.96), ..facts(800.0) }), "blocking_threads");
    }
}
