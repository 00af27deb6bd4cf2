//! The measured clients of a replicate at work, on one host or on several, and the clocks that are read meanwhile.

use super::{Held, Measured, Replicate};
use crate::agent::client::{ClientHandle, Event};
use crate::agent::handles::{ServerHandle, WatchHandle};
use crate::agent::messages::{Id, WatchSpec, Watched};
use crate::agent::window::Used;
use crate::experiment::workload::Part;
use crate::run::accounts::HostShares;
use load::merge::merge;
use load::protocol::{Amount, Half, Mark, Moment, PartReport, Report};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A client of a measured load under way.
struct Issuing {
    load: usize,
    /// The place of its host among those of clients.
    place: usize,
    client: ClientHandle,
}

/// Windows on a host.
struct Watching {
    watch: WatchHandle,
    /// The place of the client whose marks count there.
    marked_by: usize,
    /// Whether only a client is there.
    is_client_s: bool,
}

impl Replicate<'_> {
    /// Lets the measured clients carry out their loads, and reads the clocks at the beginning and the end of
    /// each measured phase: the clients of the first load say when they are, each on its own host, if they are load
    /// engines, and otherwise all their time is measured.
    pub(super) fn observe(
        &mut self,
        addr: SocketAddr,
        host: &str,
        server: Option<&ServerHandle>,
        background: &[Held],
    ) -> Result<(), String> {
        let mut clients = Vec::new();
        for (index, load) in self.loads.iter().enumerate() {
            let Some(load) = load.as_ref().filter(|_| !self.task.workload.loads[index].background) else {
                continue;
            };
            for (place, order) in self.orders(addr, host, index, load)?.into_iter().enumerate() {
                clients.push(Issuing { load: index, place, client: self.client(place, order)? });
            }
        }
        for Issuing { client, .. } in &mut clients {
            client.wait_until_ready()?;
        }
        let marks_itself = self.task.workload.is_engine();
        let watches = self.watches(server, &clients, background)?;
        if !marks_itself {
            watches.iter().for_each(|watching| watching.watch.begin());
        }
        clients.iter().for_each(|issuing| issuing.client.go());
        let reports = reports(&mut clients, &watches, marks_itself, server)?;
        let of_first = |place: usize| {
            let is_it = |issuing: &Issuing| (issuing.load, issuing.place) == (clients[0].load, place);
            clients.iter().position(is_it).map(|at| &reports[at])
        };
        let mut used = Vec::new();
        let mut elsewhere: Vec<Vec<HostShares>> = vec![Vec::new(); self.phase_times().len()];
        for Watching { watch, marked_by, is_client_s } in watches {
            let Some(report) = of_first(marked_by) else { continue };
            let Some(Watched { used: its, seen, .. }) =
                watch.close(marks_itself.then(|| halves(report)))?.pop()
            else {
                return Err("nothing was watched".into());
            };
            if is_client_s {
                for ((used, part), shares) in its.into_iter().zip(&report.parts).zip(&mut elsewhere) {
                    let used = used?;
                    shares.extend(
                        used.host.map(|host| HostShares::of(&host, part.client_cpu + used.helpers_cpu)),
                    );
                }
            } else {
                self.common.server_cpus = seen.cpus.words();
                self.problems.extend(seen.problems);
                used = its;
            }
        }
        self.note_clients(&clients);
        let loads: Vec<usize> = clients.iter().map(|issuing| issuing.load).collect();
        self.take(loads.into_iter().zip(reports), used, &elsewhere)
    }

    /// Opens the windows: on the host of everybody, or on the server's and on each client's.
    fn watches(
        &self,
        server: Option<&ServerHandle>,
        clients: &[Issuing],
        background: &[Held],
    ) -> Result<Vec<Watching>, String> {
        let hosts = &self.setting.hosts;
        let first = clients.first().ok_or("there is no load")?.load;
        let others = || clients.iter().filter(|issuing| issuing.load != first);
        let helpers = |place: usize| -> Vec<Id> {
            let background =
                background.iter().filter(|held| held.place == place).map(|held| held.client.id());
            background
                .chain(others().filter(|other| other.place == place).map(|other| other.client.id()))
                .collect()
        };
        let spec = |server: Option<Id>, helpers, cpus, looks| WatchSpec {
            servers: vec![server],
            helpers,
            cpus,
            phases: self.phase_times(),
            looks,
            meter: None,
        };
        let server = server.map(ServerHandle::id);
        if hosts.is_one() {
            let watch = hosts.server().agent.watch(spec(server, helpers(0), self.placed.of_both(), true))?;
            return Ok(vec![Watching { watch, marked_by: 0, is_client_s: false }]);
        }
        let watch = hosts.server().agent.watch(spec(server, Vec::new(), self.placed.server.clone(), true))?;
        let mut watches = vec![Watching { watch, marked_by: 0, is_client_s: false }];
        for place in clients.iter().filter(|issuing| issuing.load == first).map(|issuing| issuing.place) {
            let spec = spec(None, helpers(place), self.placed.client(place).clone(), false);
            let watch = hosts.clients()[place].agent.watch(spec)?;
            watches.push(Watching { watch, marked_by: place, is_client_s: true });
        }
        Ok(watches)
    }

    /// Notes where the clients were.
    fn note_clients(&mut self, clients: &[Issuing]) {
        let first = clients.first().map_or(0, |issuing| issuing.load);
        let of_first = || clients.iter().filter(|issuing| issuing.load == first);
        let cpus: Vec<String> = of_first().map(|issuing| issuing.client.seen().cpus.words()).collect();
        self.common.client_cpus = cpus.join("; ");
        self.problems.extend(of_first().flat_map(|issuing| issuing.client.seen().problems.clone()));
        let hosts = self.setting.hosts.clients();
        let names: Vec<&str> = of_first().map(|issuing| hosts[issuing.place].name.as_str()).collect();
        self.common.client_hosts = names.join(" ");
    }

    /// The lengths of the measured phases, of which there is always one.
    fn phase_times(&self) -> Vec<Option<Duration>> {
        let times = self.loads.iter().flatten().find_map(|load| match &load.amount {
            Amount::Time(phases) => {
                Some(phases.iter().filter(|phase| phase.measured).map(|phase| phase.duration))
            }
            Amount::Requests(_) | Amount::UntilStopped => None,
        });
        let phases = self.parts.iter().map(|part| part.phase).max().unwrap_or(0) + 1;
        let mut times = times.into_iter().flatten();
        (0..phases).map(|_| times.next()).collect()
    }

    /// Joins the reports of each load, and sorts them and what was read meanwhile into the parts.
    fn take(
        &mut self,
        reports: impl Iterator<Item = (usize, Report)>,
        used: Vec<Result<Used, String>>,
        elsewhere: &[Vec<HostShares>],
    ) -> Result<(), String> {
        let used: Vec<Option<Used>> = used
            .into_iter()
            .map(|of_phase| of_phase.map_err(|problem| self.problems.push(problem)).ok())
            .collect();
        let mut of_loads: BTreeMap<usize, Vec<Report>> = BTreeMap::new();
        reports.for_each(|(load, report)| of_loads.entry(load).or_default().push(report));
        for (load, reports) in of_loads {
            let Report { parts, peak_memory, first_error, gave_up, .. } = merge(reports)?;
            for (phase, report) in parts.into_iter().enumerate() {
                let Some(place) = self.parts.iter().position(|part| *part == Part { load, phase }) else {
                    continue;
                };
                self.measured[place] = Some(Measured {
                    report,
                    used: used.get(phase).cloned().flatten(),
                    elsewhere: elsewhere.get(phase).cloned().unwrap_or_default(),
                    peak_memory,
                    first_error: first_error.clone(),
                    gave_up: gave_up.clone(),
                    of_turns: None,
                });
            }
        }
        Ok(())
    }
}

/// Waits for the reports of all clients, in their order. The marks of the first load's go on to the windows. If one fails
/// or the server does, the others are told to stop.
fn reports(
    clients: &mut [Issuing],
    watches: &[Watching],
    marks_itself: bool,
    server: Option<&ServerHandle>,
) -> Result<Vec<Report>, String> {
    let first = clients.first().ok_or("there is no load")?.load;
    let left = AtomicUsize::new(clients.iter().filter(|issuing| issuing.load == first).count());
    let has_failed = AtomicBool::new(false);
    let end = Mark { part: 0, moment: Moment::End };
    let wait_for = |issuing: &mut Issuing| {
        let (is_first, place) = (issuing.load == first, issuing.place);
        let report = issuing.client.report(|event| {
            match event {
                Event::Mark(mark) if is_first => {
                    let its = watches.iter().filter(|watching| watching.marked_by == place);
                    its.for_each(|watching| watching.watch.mark(mark));
                }
                // When the last of them has.
                Event::Reported if is_first && !marks_itself && left.fetch_sub(1, Ordering::Relaxed) == 1 => {
                    watches.iter().for_each(|watching| watching.watch.mark(end));
                }
                Event::Mark(_) | Event::Reported | Event::Tick => {}
            }
            !has_failed.load(Ordering::Relaxed) && server.is_none_or(|server| server.died().is_none())
        });
        if report.is_err() {
            has_failed.store(true, Ordering::Relaxed);
        }
        report
    };
    let wait_for = &wait_for;
    thread::scope(|scope| {
        let Some((first, others)) = clients.split_first_mut() else { return Ok(Vec::new()) };
        let others: Vec<_> = others.iter_mut().map(|other| scope.spawn(move || wait_for(other))).collect();
        let first = wait_for(first);
        let others = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|_| Err("waiting for a client panicked".to_owned())));
        // All are waited for, whatever became of the first.
        let all: Vec<Result<Report, String>> = std::iter::once(first).chain(others).collect();
        all.into_iter().collect()
    })
}

/// What a client says of the halves of its measured phases.
fn halves(report: &Report) -> Vec<[Half; 2]> {
    let of = |part: &PartReport| part.engine.as_ref().map(|engine| engine.halves).unwrap_or_default();
    report.parts.iter().map(of).collect()
}
