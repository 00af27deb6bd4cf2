//! The columns that are read beside the client's report: what the server, the client and the machine used,
//! and the judgement.

use crate::agent::placement::Placed;
use crate::agent::window::Used;
use crate::host::cpu_use::HostUse;
use crate::judge::facts::Facts;
use crate::judge::{bound, steady, verdict};
use crate::record::row::{Row, counted, per_request, round};
use load::protocol::PartReport;
use std::time::Duration;

/// What others did on a host, of the time of the CPUs that a client had there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostShares {
    steal: f64,
    other: f64,
}

impl HostShares {
    /// The shares of a host's use of which so much CPU time was ours.
    pub fn of(host: &HostUse, ours: Duration) -> HostShares {
        HostShares { steal: host.steal_share(), other: host.other_share(ours) }
    }
}

impl Row {
    /// Takes over what was used between the beginning and the end of the measured time. `elsewhere` is what others did
    /// on the hosts of the clients, where these are not the server's: of all hosts the worst counts.
    pub fn set_used(&mut self, used: &Used, report: &PartReport, placed: &Placed, elsewhere: &[HostShares]) {
        let (completed, _) = counted(report);
        self.server_peak_rss_bytes = used.peak_memory;
        self.threads_seen = used.threads;
        if completed > 0 {
            self.server_ctx_switches_per_request =
                used.switches.map(|switches| round(switches as f64 / completed as f64, 3));
        }
        let spin = report.engine.as_ref().map_or(Duration::ZERO, |engine| engine.spin);
        let worked = report.client_cpu.saturating_sub(spin);
        // A load of few connections does not need every client.
        let clients = if placed.on_hosts() { elsewhere.len() } else { 1 };
        let client_cpus = placed.clients.iter().take(clients).map(|cpus| cpus.list().len()).sum();
        self.client_utilisation = utilisation(worked, used.wall, client_cpus);
        if let Some(host) = &used.host {
            // Of CPUs that the two share: the window is then over these and no others.
            let client = placed.client(0);
            let shared = !placed.on_hosts() && !client.list().is_empty() && placed.server == *client;
            self.machine_utilisation = shared.then(|| round(host.busy_share(), 4));
            let worst = |here: f64, of: fn(&HostShares) -> f64| {
                round(elsewhere.iter().map(of).fold(here, f64::max), 5)
            };
            self.host_steal_share = Some(worst(host.steal_share(), |shares| shares.steal));
            let of_clients = match placed.on_hosts() {
                true => Duration::ZERO,
                false => report.client_cpu + used.helpers_cpu,
            };
            // Somebody else's server, which may be on this machine, is not to be taken for a disturbance.
            let ours = used.cpu.map(|cpu| cpu + of_clients);
            self.host_other_share = ours.map(|ours| worst(host.other_share(ours), |shares| shares.other));
        }
        if let Some(cpu) = used.cpu {
            self.server_cpu_us_per_request = per_request(cpu.as_secs_f64(), completed);
            self.server_utilisation = utilisation(cpu, used.wall, placed.server.list().len());
        }
    }

    /// Judges the row, and says what bounded it.
    pub fn set_judgement(&mut self, facts: &Facts) {
        let rounded = |ratio: Option<f64>| ratio.map(|ratio| round(ratio, 4));
        self.little_ratio = rounded(steady::little_ratio(facts));
        if let Some(halves) = &facts.halves {
            self.half_throughput_ratio = rounded(steady::throughput_ratio(halves, facts.open));
            self.half_latency_ratio = rounded(steady::latency_ratio(halves));
            self.half_cpu_ratio = rounded(steady::cpu_ratio(halves));
        }
        self.bound_by = bound::bound_by(facts).to_owned();
        let judgement = verdict::judge(facts);
        self.verdict = judgement.verdict.name().to_owned();
        self.verdict_reason = judgement.reason;
    }
}

/// The part of the time of so many CPUs that was used; `None` where nothing is known of them.
fn utilisation(cpu: Duration, wall: Duration, cpus: usize) -> Option<f64> {
    let all = wall.as_secs_f64() * cpus as f64;
    (all > 0.0).then(|| round(cpu.as_secs_f64() / all, 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::placement::HOSTS;
    use crate::host::cpus::Cpus;
    use crate::run::facts;
    use load::protocol::{EngineReport, Fates, Half};

    const SECOND: Duration = Duration::from_secs(1);

    fn placed(server: &[usize], client: &[usize]) -> Placed {
        let cpus = |list: &[usize]| Cpus::new(list.iter().copied());
        Placed { name: "split", server: cpus(server), clients: vec![cpus(client)], apart: true }
    }

    /// Ten seconds of two CPUs: the server used 5 s, the client 4 s of which 3 s spinning.
    fn example() -> (Used, PartReport) {
        let host = HostUse { busy: 10 * SECOND, steal: SECOND / 10, all: 20 * SECOND };
        let used = Used {
            wall: 10 * SECOND,
            cpu: Some(5 * SECOND),
            halves_cpu: Some([2 * SECOND, 3 * SECOND]),
            helpers_cpu: SECOND / 2,
            host: Some(host),
            switches: Some(30_000),
            peak_memory: Some(1 << 20),
            threads: Some(7),
            late: None,
        };
        let half = Half {
            seconds: 5.0,
            due: 5000,
            completed: 5000,
            late: 0,
            client_cpu: 2 * SECOND,
            answered: 5000,
            latency_mean_ns: 1e6,
        };
        let engine = EngineReport { halves: [half; 2], spin: 3 * SECOND, ..EngineReport::default() };
        let fates = Fates { scheduled: 10_000, ok: 10_000, ..Fates::default() };
        (used, PartReport { fates, client_cpu: 4 * SECOND, engine: Some(engine), ..PartReport::default() })
    }

    #[test]
    fn what_was_used_is_divided_by_requests_and_by_cpus() {
        let (used, report) = example();
        let mut row = Row::default();
        row.set_used(&used, &report, &placed(&[0], &[1]), &[]);
        assert_eq!(row.server_cpu_us_per_request, Some(500.0));
        assert_eq!(row.server_ctx_switches_per_request, Some(3.0));
        assert_eq!((row.server_utilisation, row.client_utilisation), (Some(0.5), Some(0.1)));
        assert_eq!(row.host_steal_share, Some(0.005));
        // 10 s busy − 5 s server − 4 s client − 0.5 s interference, of 20 s.
        assert_eq!(row.host_other_share, Some(0.025));
        assert_eq!((row.server_peak_rss_bytes, row.threads_seen), (Some(1 << 20), Some(7)));
        row.set_used(&used, &report, &placed(&[0, 2], &[1, 3]), &[]);
        assert_eq!((row.server_utilisation, row.client_utilisation), (Some(0.25), Some(0.05)));
    }

    #[test]
    fn the_machine_s_use_is_that_of_cpus_that_server_and_client_share() {
        let (used, report) = example();
        let of = |server: &[usize], client: &[usize]| {
            let mut row = Row::default();
            row.set_used(&used, &report, &placed(server, client), &[]);
            row.machine_utilisation
        };
        // 10 s busy of 20 s.
        assert_eq!(of(&[0, 1], &[0, 1]), Some(0.5));
        assert_eq!((of(&[0], &[1]), of(&[], &[0, 1])), (None, None));
    }

    #[test]
    fn of_several_hosts_the_worst_counts() {
        let (used, report) = example();
        let clients = vec![Cpus::new([0, 1]), Cpus::new([0])];
        let placed = Placed { name: HOSTS, server: Cpus::new([0, 1]), clients, apart: true };
        let of = |steal, other| HostShares { steal, other };
        let mut row = Row::default();
        row.set_used(&used, &report, &placed, &[of(0.001, 0.3), of(0.02, 0.0)]);
        assert_eq!((row.host_steal_share, row.host_other_share), (Some(0.02), Some(0.3)));
        // The clients' CPU time is not of the server's host: 10 s busy − 5 s server, of 20 s.
        row.set_used(&used, &report, &placed, &[of(0.0, 0.0)]);
        assert_eq!((row.host_steal_share, row.host_other_share), (Some(0.005), Some(0.25)));
        // 1 s of work, of 10 s of the two CPUs of the one client that there was.
        assert_eq!((row.client_utilisation, row.machine_utilisation), (Some(0.05), None));
        let host = HostUse { busy: 10 * SECOND, steal: SECOND / 10, all: 20 * SECOND };
        assert_eq!(HostShares::of(&host, 4 * SECOND), of(0.005, 0.3));
    }

    #[test]
    fn a_server_that_is_not_ours_leaves_its_columns_empty() {
        let (used, report) = example();
        let used = Used { cpu: None, halves_cpu: None, ..used };
        let mut row = Row::default();
        row.set_used(&used, &report, &placed(&[], &[1]), &[]);
        assert_eq!((row.server_cpu_us_per_request, row.server_utilisation), (None, None));
        assert_eq!((row.host_other_share, row.host_steal_share), (None, Some(0.005)));
    }

    #[test]
    fn a_judgement_fills_its_columns() {
        let (used, report) = example();
        let mut row = Row { throughput_rps: Some(1000.0), concurrency: 64, ..Row::default() };
        let facts = facts::of(&row, Some(&report), used.halves_cpu, Vec::new()).expect("readable");
        row.set_judgement(&facts);
        let ratios = [row.half_throughput_ratio, row.half_latency_ratio, row.half_cpu_ratio];
        assert_eq!(ratios, [Some(1.0), Some(1.0), Some(1.5)]);
        assert_eq!((row.verdict.as_str(), row.bound_by.as_str()), ("ok", "unexplained"));
    }
}
