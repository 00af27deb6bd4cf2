//! The windows over the servers of a measurement: opened, marked and closed as the coordinator says.

use super::attest::{self, Seen};
use super::client_process::ClientProcess;
use super::messages::{Closed, Id, WatchSpec, Watched};
use super::meter::Meter;
use super::process_tree::ProcessTree;
use super::server::Server;
use super::window::Window;
use crate::host::cpus::Cpus;
use load::protocol::{Half, Mark, Moment};
use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server of an agent.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) server: Server,
    /// The CPUs that it was given.
    pub(super) cpus: Cpus,
    /// Connections on which nothing is said, for its end to be seen with them.
    pub(super) idle: Vec<TcpStream>,
}

/// Windows over servers, of which each measured phase has one.
#[derive(Debug)]
pub(super) struct Watch {
    servers: Vec<Option<Id>>,
    /// By server, then phase.
    windows: Vec<Vec<Window>>,
    phases: Vec<Option<Duration>>,
    /// The phase of the last mark.
    at: usize,
    looks: bool,
    meter: Option<Meter>,
    seen: Vec<Seen>,
}

impl Watch {
    /// Opens the windows, and starts the meter where there is to be one.
    ///
    /// # Errors
    /// In words: a server is not there, or the meter does not start.
    pub(super) fn open(
        spec: WatchSpec,
        servers: &HashMap<Id, Held>,
        clients: &HashMap<Id, ClientProcess>,
    ) -> Result<Watch, String> {
        let WatchSpec { servers: ids, helpers, cpus, phases, looks, meter } = spec;
        let cpus = if cpus.list().is_empty() { Cpus::online() } else { cpus };
        let tree = |id: &Option<Id>| match id {
            None => Ok(ProcessTree::default()),
            Some(id) => servers
                .get(id)
                .map(|held| held.server.tree())
                .ok_or_else(|| "a server is watched that is not there".to_owned()),
        };
        let trees: Vec<ProcessTree> = ids.iter().map(tree).collect::<Result<_, _>>()?;
        let helpers: Vec<i32> =
            helpers.iter().filter_map(|id| clients.get(id)).map(ClientProcess::pid).collect();
        let window = |tree: &ProcessTree| Window::new(tree.clone(), helpers.clone(), cpus.clone());
        let windows = trees.iter().map(|tree| phases.iter().map(|_| window(tree)).collect()).collect();
        let meter = meter.map(|spec| Meter::start(trees, spec)).transpose()?;
        let seen = vec![Seen::default(); ids.len()];
        Ok(Watch { servers: ids, windows, phases, at: 0, looks, meter, seen })
    }

    /// Where the meter listens.
    pub(super) fn meter(&self) -> Option<SocketAddr> {
        self.meter.as_ref().map(Meter::addr)
    }

    /// Begins to count, and reads the clocks: all the time of the client is measured.
    pub(super) fn begin(&mut self) {
        for window in self.windows.iter_mut().filter_map(|phases| phases.first_mut()) {
            window.count_from_here(None);
            window.mark(Moment::Begin);
        }
    }

    /// Reads the clocks, at a moment of a measured phase. What takes longer is left until after them.
    pub(super) fn mark(&mut self, mark: Mark, servers: &HashMap<Id, Held>) {
        let Mark { part, moment } = mark;
        let Some(length) = self.phases.get(part).copied() else { return };
        self.at = part;
        self.of_part(part).for_each(|window| window.mark(moment));
        match moment {
            Moment::Begin => self.of_part(part).for_each(|window| window.count_from_here(length)),
            Moment::Half => {}
            Moment::End => {
                // Before the servers' threads have gone with their connections.
                self.of_part(part).for_each(Window::count_to_here);
                // What takes longer still would fall into the next phase.
                if part + 1 == self.phases.len() {
                    self.attest(servers);
                }
            }
        }
    }

    fn of_part(&mut self, part: usize) -> impl Iterator<Item = &mut Window> {
        self.windows.iter_mut().filter_map(move |phases| phases.get_mut(part))
    }

    fn attest(&mut self, servers: &HashMap<Id, Held>) {
        for (seen, id) in self.seen.iter_mut().zip(&self.servers) {
            if let Some(Held { server, cpus, .. }) = id.and_then(|id| servers.get(&id)) {
                *seen = attest::server(server, cpus);
            }
        }
    }

    /// Looks what there is now, where that is wanted.
    pub(super) fn look(&mut self) {
        if self.looks {
            let at = self.at;
            self.of_part(at).for_each(Window::look);
        }
    }

    /// Closes the windows. `halves` are what the client says of each phase that it marked itself.
    pub(super) fn close(self, halves: Option<&[[Half; 2]]>) -> Closed {
        let Watch { windows, meter, seen, .. } = self;
        let missed = |place: usize| meter.as_ref().is_none_or(|meter| meter.has_missed_any(place));
        let missed: Vec<bool> = (0..windows.len()).map(missed).collect();
        let no_halves = [Half::default(); 2];
        let close = |(phase, window): (usize, Window)| {
            window.close(halves.map(|halves| halves.get(phase).unwrap_or(&no_halves)))
        };
        let all = windows.into_iter().zip(seen).zip(missed);
        all.map(|((windows, seen), missed)| Watched {
            used: windows.into_iter().enumerate().map(close).collect(),
            seen,
            missed,
        })
        .collect()
    }
}
