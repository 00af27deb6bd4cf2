//! Which CPUs the server and the client get: placement outweighs the runtime, so no cell is left to luck.

use crate::experiment::model::Placement;
use crate::host::cpus::Cpus;
use std::fs;
use std::time::Duration;

/// How long before an intended start a client with CPUs of its own spins instead of sleeping. A timer of
/// a virtual machine wakes 0.03 to 0.14 ms late in the median, so that this covers most wake-ups.
const SPIN: Duration = Duration::from_micros(200);

/// What a command line asks for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `--placement`.
    pub placement: Placement,
    /// `--server-cpus`, where given.
    pub server: Option<Cpus>,
    /// `--client-cpus`, where given.
    pub client: Option<Cpus>,
    /// Whether the server is already running (`--url`), where its owner has put it.
    pub running: bool,
}

/// What a run does about placement: one answer for the load engine, another for the article's strategies.
#[derive(Debug, Clone)]
pub struct Placing {
    asked: Asked,
    allowed: Cpus,
    /// The server's and the client's CPUs; none where they cannot be split.
    split: Option<(Cpus, Cpus)>,
    /// Where everybody is if it is on hosts of their own.
    on_hosts: Option<Placed>,
}

/// Where the server and the client of a replicate are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// `split`, `shared` or `hosts`; empty if nobody knows where the server is.
    pub name: &'static str,
    /// The server's CPUs; empty if nobody knows.
    pub server: Cpus,
    /// The client's, and those of the clients that interfere: of each client's host in their order.
    pub clients: Vec<Cpus>,
    /// Whether the clients have their CPUs to themselves, as far as the harness decides it.
    pub apart: bool,
}

/// The placement of a server and clients on hosts of their own, in the rows.
pub const HOSTS: &str = "hosts";

impl Placed {
    /// The CPUs that the server or the client may use: empty, which is all of the host, if nobody knows where the
    /// server is.
    pub fn of_both(&self) -> Cpus {
        if self.server.list().is_empty() { Cpus::default() } else { self.server.with(self.client(0)) }
    }

    /// The CPUs of a client, by the place of its host.
    pub fn client(&self, place: usize) -> &Cpus {
        &self.clients[place]
    }

    /// Whether the server and the clients are on hosts of their own.
    pub fn on_hosts(&self) -> bool {
        self.name == HOSTS
    }

    /// The CPUs that the load engine of a client gives a thread each: none where the server needs them too.
    pub fn engine_cpus(&self, place: usize) -> Vec<usize> {
        if self.apart { self.client(place).list().to_vec() } else { Vec::new() }
    }

    /// How long the load engine spins before an intended start: not at all where the server lacks the
    /// CPU meanwhile.
    pub fn spin(&self) -> Duration {
        if self.apart { SPIN } else { Duration::ZERO }
    }
}

impl Placing {
    /// What `asked` means on a host with these CPUs, each with its core. `has_engine` says whether a load of the load
    /// engine is measured.
    ///
    /// # Errors
    /// One line for the person who gave the flags.
    pub fn new(cores: Vec<(usize, usize)>, asked: Asked, has_engine: bool) -> Result<Placing, String> {
        let allowed = Cpus::new(cores.iter().map(|(_, cpu)| *cpu));
        for (flag, cpus) in [("--server-cpus", &asked.server), ("--client-cpus", &asked.client)] {
            let Some(cpus) = cpus else { continue };
            if !cpus.is_within(&allowed) {
                return Err(format!("{flag} {cpus}: this machine lets the harness run on {allowed}"));
            }
            let auto = asked.placement == Placement::Auto;
            if asked.placement == Placement::Shared {
                return Err(format!("{flag} has no effect with --placement shared"));
            }
            if auto && !asked.running && !has_engine {
                return Err(format!(
                    "{flag} has no effect: these strategies share all CPUs unless --placement split is given"
                ));
            }
        }
        if asked.running {
            for (flag, given) in [
                ("--server-cpus", asked.server.is_some()),
                ("--placement", asked.placement != Placement::Auto),
            ] {
                if given {
                    return Err(format!("{flag} has no effect with --url, whose server is already running"));
                }
            }
            return Ok(Placing { asked, allowed, split: None, on_hosts: None });
        }
        let split = split(cores, asked.server.as_ref(), asked.client.as_ref());
        let given = asked.server.is_some() || asked.client.is_some();
        match split {
            Err(problem) if given || asked.placement == Placement::Split => Err(problem),
            split => Ok(Placing { asked, allowed, split: split.ok(), on_hosts: None }),
        }
    }

    /// What `asked` means where the server has a host, and so has each client: all the CPUs there, or those that are
    /// given. `server` and `clients` are the CPUs of these hosts, each with its core.
    ///
    /// # Errors
    /// One line for the person who gave the flags.
    pub fn on_hosts(
        server: &[(usize, usize)],
        clients: &[Vec<(usize, usize)>],
        asked: Asked,
    ) -> Result<Placing, String> {
        if asked.placement != Placement::Auto {
            return Err(
                "--placement has no effect with --hosts: server and clients are on machines of their own"
                    .into(),
            );
        }
        let all = |cores: &[(usize, usize)]| Cpus::new(cores.iter().map(|(_, cpu)| *cpu));
        let of = |flag: &str, cores: &[(usize, usize)], given: &Option<Cpus>| match given {
            None => Ok(all(cores)),
            Some(cpus) if cpus.is_within(&all(cores)) => Ok(cpus.clone()),
            Some(cpus) => Err(format!("{flag} {cpus}: a host lets the harness run on {}", all(cores))),
        };
        let placed = Placed {
            name: HOSTS,
            server: of("--server-cpus", server, &asked.server)?,
            clients: clients
                .iter()
                .map(|cores| of("--client-cpus", cores, &asked.client))
                .collect::<Result<_, _>>()?,
            apart: true,
        };
        Ok(Placing { allowed: all(server), asked, split: None, on_hosts: Some(placed) })
    }

    /// Where a replicate runs whose server is started: beside a server that is already
    /// running the ceiling still is. Its client is where the other's is.
    pub fn of_started(&self, engine: bool) -> Placed {
        let placed = self.of(engine);
        if !self.asked.running {
            return placed;
        }
        match self.allowed.without(placed.client(0)) {
            left if left.list().is_empty() => {
                Placed { name: "shared", server: self.allowed.clone(), apart: false, ..placed }
            }
            left => Placed { name: "split", server: left, ..placed },
        }
    }

    /// Where a replicate runs; `engine` says whether the load engine measures it.
    pub fn of(&self, engine: bool) -> Placed {
        if let Some(placed) = &self.on_hosts {
            return placed.clone();
        }
        if self.asked.running {
            let client = self.asked.client.clone();
            let apart = client.is_some();
            let clients = vec![client.unwrap_or_else(|| self.allowed.clone())];
            return Placed { name: "", server: Cpus::default(), clients, apart };
        }
        let wanted = match self.asked.placement {
            Placement::Split => true,
            Placement::Shared => false,
            // The article's strategies are measured as the article did: everything on all CPUs.
            Placement::Auto => engine,
        };
        match &self.split {
            Some((server, client)) if wanted => {
                Placed { name: "split", server: server.clone(), clients: vec![client.clone()], apart: true }
            }
            _ => Placed {
                name: "shared",
                server: self.allowed.clone(),
                clients: vec![self.allowed.clone()],
                apart: false,
            },
        }
    }
}

/// The server's and the client's CPUs: what is given, and for a side without anything its half of the
/// machine, as far as the other side leaves it.
fn split(
    cores: Vec<(usize, usize)>,
    server: Option<&Cpus>,
    client: Option<&Cpus>,
) -> Result<(Cpus, Cpus), String> {
    let allowed = Cpus::new(cores.iter().map(|(_, cpu)| *cpu));
    let (first, second) = halves(cores);
    let beside = |half: Cpus, given: &Cpus| match half.without(given) {
        left if left.list().is_empty() => allowed.without(given),
        left => left,
    };
    let (server, client) = match (server, client) {
        (Some(server), Some(client)) => (server.clone(), client.clone()),
        (Some(server), None) => (server.clone(), beside(second, server)),
        (None, Some(client)) => (beside(first, client), client.clone()),
        (None, None) => (first, second),
    };
    if server.list().is_empty() || client.list().is_empty() {
        return Err(format!(
            "a split placement needs a CPU for the server and another for the client, out of {allowed}"
        ));
    }
    if !server.is_disjoint(&client) {
        return Err(format!(
            "--server-cpus {server} and --client-cpus {client} overlap: a split placement keeps them apart"
        ));
    }
    Ok((server, client))
}

/// Two halves of the machine. CPUs that share a core stay together where that is possible: apart they
/// would take each other's cycles, which is what a split is to prevent.
fn halves(mut cores: Vec<(usize, usize)>) -> (Cpus, Cpus) {
    cores.sort_unstable();
    let middle = cores.len() / 2;
    let between = |at: &usize| cores[at - 1].0 != cores[*at].0;
    let cut = (1..cores.len()).filter(between).min_by_key(|at| at.abs_diff(middle)).unwrap_or(middle);
    let (first, second) = cores.split_at(cut);
    let of = |part: &[(usize, usize)]| Cpus::new(part.iter().map(|(_, cpu)| *cpu));
    (of(first), of(second))
}

/// The CPUs that this process may run on, each with its core.
///
/// # Errors
/// The kernel does not say.
pub(super) fn cores() -> Result<Vec<(usize, usize)>, String> {
    Ok(Cpus::allowed()?.list().iter().map(|cpu| (core_of(*cpu), *cpu)).collect())
}

/// The core a CPU belongs to: the lowest CPU of that core, or itself where the kernel does not say.
fn core_of(cpu: usize) -> usize {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    let siblings = fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<Cpus>().ok());
    siblings.and_then(|siblings| siblings.list().first().copied()).unwrap_or(cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(cpus: usize) -> Vec<(usize, usize)> {
        (0..cpus).map(|cpu| (cpu, cpu)).collect()
    }

    fn asked(placement: Placement, server: &str, client: &str) -> Asked {
        let cpus = |text: &str| (!text.is_empty()).then(|| text.parse().expect("valid"));
        Asked { placement, server: cpus(server), client: cpus(client), running: false }
    }

    fn placed(cpus: usize, asked: Asked, engine: bool) -> (String, String, &'static str) {
        let placed = Placing::new(flat(cpus), asked, true).expect("valid").of(engine);
        (placed.server.to_string(), placed.client(0).to_string(), placed.name)
    }

    #[test]
    fn a_ceiling_beside_a_running_server_has_its_client_where_the_other_s_is() {
        let of = |client: &str| {
            let asked = Asked { running: true, ..asked(Placement::Auto, "", client) };
            let placing = Placing::new(flat(2), asked, true).expect("possible");
            let (running, started) = (placing.of(true), placing.of_started(true));
            assert_eq!(running.clients, started.clients);
            (started.server.to_string(), started.name, started.apart)
        };
        assert_eq!(of(""), ("0 1".into(), "shared", false));
        assert_eq!(of("1"), ("0".into(), "split", true));
        assert_eq!(of("0,1"), ("0 1".into(), "shared", false));
    }

    #[test]
    fn the_load_engine_s_strategies_are_split_where_there_are_two_cpus() {
        let auto = || asked(Placement::Auto, "", "");
        let of = |cpus, engine| placed(cpus, auto(), engine);
        assert_eq!(of(2, true), ("0".into(), "1".into(), "split"));
        assert_eq!(of(4, true), ("0 1".into(), "2 3".into(), "split"));
        assert_eq!(of(3, true), ("0".into(), "1 2".into(), "split"));
        assert_eq!(of(2, false), ("0 1".into(), "0 1".into(), "shared"));
        assert_eq!(of(1, true), ("0".into(), "0".into(), "shared"));
    }

    #[test]
    fn what_is_asked_for_goes_before_the_strategy() {
        let split = asked(Placement::Split, "", "");
        assert_eq!(placed(2, split, false), ("0".into(), "1".into(), "split"));
        let shared = asked(Placement::Shared, "", "");
        assert_eq!(placed(2, shared, true), ("0 1".into(), "0 1".into(), "shared"));
    }

    #[test]
    fn given_cpus_go_before_the_halves() {
        let of = |cpus, server, client| {
            let (server, client, name) = placed(cpus, asked(Placement::Auto, server, client), true);
            assert_eq!(name, "split");
            (server, client)
        };
        assert_eq!(of(4, "0", ""), ("0".into(), "2 3".into()));
        assert_eq!(of(4, "3", ""), ("3".into(), "2".into()));
        assert_eq!(of(4, "2-3", ""), ("2 3".into(), "0 1".into()));
        assert_eq!(of(2, "", "0"), ("1".into(), "0".into()));
        let two_of_four = Placing::new(flat(4), asked(Placement::Auto, "0", "3"), true).expect("valid");
        assert_eq!(two_of_four.of(true).of_both(), Cpus::new([0, 3]));
        assert_eq!(of(4, "1", "0,3"), ("1".into(), "0 3".into()));
    }

    #[test]
    fn threads_of_a_core_are_not_split() {
        // CPU 2 is the other thread of CPU 0's core, and 3 that of CPU 1's: the usual numbering.
        assert_eq!(halves(vec![(0, 0), (1, 1), (0, 2), (1, 3)]), (Cpus::new([0, 2]), Cpus::new([1, 3])));
        assert_eq!(halves(vec![(0, 0), (0, 1), (2, 2)]), (Cpus::new([0, 1]), Cpus::new([2])));
        // A single core has nothing else to give.
        assert_eq!(halves(vec![(0, 0), (0, 1)]), (Cpus::new([0]), Cpus::new([1])));
    }

    #[test]
    fn what_cannot_be_or_has_no_effect_is_refused() {
        let cases: [(usize, Asked, bool, &str); 8] = [
            (2, asked(Placement::Split, "0", "0-1"), true, "overlap"),
            (2, asked(Placement::Auto, "0,7", ""), true, "lets the harness run on 0 1"),
            (2, asked(Placement::Auto, "0-1", ""), true, "needs a CPU for the server"),
            (1, asked(Placement::Split, "", ""), true, "needs a CPU for the server"),
            (2, asked(Placement::Shared, "0", ""), true, "--server-cpus has no effect"),
            (2, asked(Placement::Shared, "", "0"), true, "--client-cpus has no effect"),
            (2, asked(Placement::Auto, "", "0"), false, "unless --placement split"),
            (2, Asked { running: true, ..asked(Placement::Split, "", "") }, true, "no effect with --url"),
        ];
        for (cpus, asked, has_engine, said) in cases {
            let problem = Placing::new(flat(cpus), asked, has_engine).expect_err(said);
            assert!(problem.contains(said) && !problem.contains('\n'), "{said}: {problem}");
        }
        let one = Placing::new(flat(2), asked(Placement::Split, "0", ""), false);
        assert!(one.is_ok());
    }

    #[test]
    fn a_running_server_is_where_it_is_and_the_client_where_it_is_told() {
        let running = Asked { running: true, ..asked(Placement::Auto, "", "1") };
        let placed = Placing::new(flat(2), running, true).expect("valid").of(false);
        assert_eq!((placed.name, placed.server.list(), placed.client(0).list()), ("", &[][..], &[1][..]));
        assert_eq!((placed.engine_cpus(0), placed.spin()), (vec![1], SPIN));
        // Its server may be on any CPU.
        assert_eq!(placed.of_both(), Cpus::default());
        let running = Asked { running: true, ..Asked::default() };
        let placed = Placing::new(flat(2), running, true).expect("valid").of(true);
        assert_eq!((placed.client(0).list(), placed.engine_cpus(0)), (&[0, 1][..], vec![]));
        assert_eq!(placed.spin(), Duration::ZERO);
    }

    #[test]
    fn hosts_of_their_own_have_all_their_cpus_or_those_that_are_given() {
        let of = |asked| Placing::on_hosts(&flat(4), &[flat(2), flat(8)], asked);
        let placed = of(Asked::default()).expect("valid").of(false);
        assert_eq!((placed.name, placed.server.list().len(), placed.apart), ("hosts", 4, true));
        assert_eq!((placed.engine_cpus(0).len(), placed.engine_cpus(1).len()), (2, 8));
        let given = of(asked(Placement::Auto, "3", "0-1")).expect("valid").of(true);
        assert_eq!((given.server.list(), given.client(1).list()), (&[3][..], &[0, 1][..]));
        assert!(given.on_hosts() && of(Asked::default()).expect("valid").of_started(true).on_hosts());
        // The second client has as many, the first has not.
        let problem = of(asked(Placement::Auto, "", "5")).expect_err("the first has two");
        assert!(problem.starts_with("--client-cpus 5: a host lets"), "{problem}");
        assert!(
            of(asked(Placement::Split, "", "")).expect_err("no effect").contains("no effect with --hosts")
        );
    }

    #[test]
    fn this_machine_can_be_placed_on() {
        let cores = cores().expect("affinity");
        let placed = Placing::new(cores, Asked::default(), true).expect("valid").of(false);
        assert_eq!(placed.server, Cpus::allowed().expect("affinity"));
        let first = placed.server.list()[0];
        assert!(core_of(first) <= first);
    }
}
