//! Servers that take turns in slices: all of a group are up, and one client asks one of them at a time.

use super::of_turns::{Figures, OfTurns, cpu_per_request};
use super::{Measured, Outcome, Replicate, Setting, Task};
use crate::agent::attest;
use crate::agent::client::ClientHandle;
use crate::agent::handles::{ServerHandle, WatchHandle};
use crate::agent::messages::{MeterSpec, WatchSpec, Watched};
use crate::agent::window::Used;
use crate::experiment::plan;
use crate::experiment::turns::{self, Pieces};
use crate::host::cpus::Cpus;
use crate::judge::lead_in::{self, WINDOWS};
use crate::record::slices::{AFTER_IDLING, CONTINUOUS, SLICE, SliceRow};
use crate::run::accounts::HostShares;
use crate::run::target::Target;
use load::protocol::{Amount, Mark, Moment, Order, Orders, Piece, Report, Slice, Turns, TurnsReport};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The rows of a group whose servers took turns, cell by cell, and each slice.
#[derive(Debug)]
pub struct GroupOutcome {
    /// What became of each task, in their order.
    pub outcomes: Vec<Outcome>,
    /// The lines of `slices.csv`.
    pub slices: Vec<SliceRow>,
    /// How long there was load, lead-ins and all, on all servers together.
    pub load: Duration,
}

/// One of the servers.
struct Side<'a> {
    replicate: Replicate<'a>,
    server: Option<ServerHandle>,
    order: Option<Order>,
}

/// Runs the tasks of a group side by side. Whatever happens becomes part of their rows.
pub fn run(setting: &Setting, tasks: Vec<Task<'_>>) -> GroupOutcome {
    let mut sides: Vec<Side<'_>> = tasks.into_iter().map(|task| Side::start(setting, task)).collect();
    let (mut slices, mut load) = (Vec::new(), Duration::ZERO);
    let pieces = pieces(&sides, setting.seed);
    match pieces.and_then(|pieces| Ok((measure(&mut sides, &pieces)?, pieces))) {
        Ok((seen, pieces)) => {
            slices = take(&mut sides, seen, &pieces);
            load = pieces.load();
        }
        Err(problem) => sides.iter_mut().for_each(|side| side.replicate.problems.push(problem.clone())),
    }
    GroupOutcome { outcomes: sides.into_iter().map(Side::end).collect(), slices, load }
}

/// Measures how long the servers of a group have to be loaded, after they had nothing to do, until a request costs
/// what it costs in the long run. Returns that, and each slice.
///
/// # Errors
/// In words: a server does not start, or its CPU time is not known.
pub fn lead_in(setting: &Setting, tasks: Vec<Task<'_>>) -> Result<(Duration, Vec<SliceRow>), String> {
    let mut sides: Vec<Side<'_>> = tasks.into_iter().map(|task| Side::start(setting, task)).collect();
    let pieces = lead_in_pieces(sides.len(), setting.seed);
    let seen = measure(&mut sides, &pieces);
    let told = seen.as_ref().ok().and_then(|seen| seen.report.turns.clone()).unwrap_or_default();
    let slices: Vec<SliceRow> =
        told.slices.iter().map(|slice| sides[slice.server].line(slice, AFTER_IDLING)).collect();
    // One that could not be asked, or answers no more, says nothing of the others.
    let asked: Vec<bool> = sides
        .iter()
        .enumerate()
        .map(|(at, side)| side.order.is_some() && told.gave_up.get(at).is_none_or(Option::is_none))
        .collect();
    let problems: Vec<Option<String>> = sides.into_iter().map(Side::give_up).collect();
    seen?;
    if let Some(problem) = asked.iter().zip(problems).find_map(|(asked, problem)| problem.filter(|_| *asked))
    {
        return Err(problem);
    }
    let costs = |server: usize, part: usize| -> Option<Vec<f64>> {
        let of = told.slices.iter().filter(|slice| (slice.server, slice.part) == (server, part));
        of.map(cpu_per_request).collect()
    };
    let servers = (0..asked.len()).filter(|server| asked[*server]);
    let all = servers.map(|server| (0..WINDOWS.len()).map(|part| costs(server, part)).collect());
    let all: Option<Vec<Vec<Vec<f64>>>> = all.collect();
    Ok((lead_in::lead_in(&all.ok_or("the servers' CPU time is not known")?), slices))
}

/// What [`lead_in()`] does to so many servers.
pub fn lead_in_pieces(servers: usize, seed: u64) -> Pieces {
    turns::after_idling(servers, &WINDOWS, lead_in::ROUNDS, seed)
}

/// The pieces of all sides, if there is one that can be asked.
fn pieces(sides: &[Side<'_>], seed: u64) -> Result<Pieces, String> {
    let first = sides.first().ok_or("there is no server")?;
    let step = first.replicate.task.step;
    let id = first.replicate.task.base.id(first.replicate.parts[0], first.replicate.placed.name);
    let seed = plan::schedule_seed(seed, step.block, &format!("{id} {}", step.attempt));
    let mut plans = Vec::new();
    for side in sides {
        let workload = side.replicate.task.workload;
        let rounds = workload.rounds(&side.replicate.known)?.unwrap_or(1);
        let phases = match side.order.as_ref().map(|order| &order.load.amount) {
            Some(Amount::Time(phases)) => phases.clone(),
            // It did not start, and has no turn.
            _ => Vec::new(),
        };
        plans.push((phases, rounds));
    }
    Ok(turns::in_rounds(&plans, seed))
}

/// What was seen of the servers while they took turns.
struct Seen {
    report: Report,
    /// By the sides' places; `None` for one that has no turn.
    used: Vec<Option<Used>>,
    /// Whether the CPU time of a side is not known, since it has other processes now.
    missed: Vec<bool>,
    /// What others did on the client's host, where that is not the servers'.
    elsewhere: Vec<HostShares>,
}

fn measure(sides: &mut [Side<'_>], pieces: &Pieces) -> Result<Seen, String> {
    let asked: Vec<usize> = (0..sides.len()).filter(|side| sides[*side].order.is_some()).collect();
    let Some(first) = asked.first() else { return Err("none of its servers could be asked".into()) };
    let placed = sides[*first].replicate.placed.clone();
    let hosts = &sides[*first].replicate.setting.hosts;
    // Of several clients servers take no turns: a slice is too short to be shared.
    let client_host = &hosts.clients()[0];
    let servers: Vec<Option<u64>> =
        asked.iter().map(|side| sides[*side].server.as_ref().map(ServerHandle::id)).collect();
    let is_ours = servers.iter().all(Option::is_some);
    let spec = |servers, cpus, meter| WatchSpec {
        servers,
        helpers: Vec::new(),
        cpus,
        phases: vec![None],
        // That would fall into the slices.
        looks: false,
        meter,
    };
    // On the client's CPUs where it is there, so that no other one has to be woken for an answer.
    let (cpus, meter_cpus) = match placed.on_hosts() {
        true => (placed.server.clone(), Cpus::default()),
        false => (placed.of_both(), placed.client(0).clone()),
    };
    let ip = hosts.address().unwrap_or(Ipv4Addr::LOCALHOST.into());
    let meter = is_ours.then_some(MeterSpec { ip, cpus: meter_cpus });
    let watch = hosts.server().agent.watch(spec(servers, cpus, meter))?;
    let of_client = match placed.on_hosts() {
        true => Some(client_host.agent.watch(spec(vec![None], placed.client(0).clone(), None))?),
        false => None,
    };
    let place = |side: usize| asked.iter().position(|asked| *asked == side);
    let for_client = |piece: &Piece| Some(Piece { server: place(piece.server)?, ..*piece });
    let orders = Orders::Turns(Box::new(Turns {
        orders: asked.iter().filter_map(|side| sides[*side].order.clone()).collect(),
        parts: pieces.parts,
        meter: watch.meter(),
        pieces: pieces.list.iter().filter_map(for_client).collect(),
    }));
    let mut client = ClientHandle::start(&client_host.agent, orders, placed.client(0))?;
    client.wait_until_ready()?;
    watch.begin();
    of_client.iter().for_each(WatchHandle::begin);
    client.go();
    // Of a server that dies the client notices that nothing is answered, and the others have their turns. With their agent
    // all of them are gone.
    let mut report = client.report(|_| hosts.server().agent.gone().is_none())?;
    let end = Mark { part: 0, moment: Moment::End };
    watch.mark(end);
    of_client.iter().for_each(|watch| watch.mark(end));
    let client_seen = client.seen();
    let mut used: Vec<Option<Used>> = vec![None; sides.len()];
    let mut missed = vec![false; sides.len()];
    for (side, watched) in asked.iter().zip(watch.close(None)?) {
        let Watched { used: of_phases, seen, missed: its } = watched;
        used[*side] = of_phases.into_iter().next().transpose()?;
        missed[*side] = its;
        let replicate = &mut sides[*side].replicate;
        replicate.common.server_cpus = seen.cpus.words();
        replicate.common.client_cpus = client_seen.cpus.words();
        replicate.problems.extend(seen.problems.into_iter().chain(client_seen.problems.clone()));
    }
    let client_cpu = report.turns.as_ref().map_or(Duration::ZERO, |told| told.client_cpu);
    let mut elsewhere = Vec::new();
    for watched in of_client.map(|watch| watch.close(None)).transpose()?.into_iter().flatten() {
        let used = watched.used.into_iter().next().transpose()?;
        elsewhere.extend(used.and_then(|used| Some(HostShares::of(&used.host?, client_cpu))));
    }
    // From the client's places to the sides'.
    if let Some(told) = &mut report.turns {
        told.slices.iter_mut().for_each(|slice| slice.server = asked[slice.server]);
        *told = TurnsReport {
            idle: spread(&told.idle, &asked, sides.len()),
            uncounted: spread(&told.uncounted, &asked, sides.len()),
            first_errors: spread(&told.first_errors, &asked, sides.len()),
            gave_up: spread(&told.gave_up, &asked, sides.len()),
            ..told.clone()
        };
    }
    let mut parts = report.parts.into_iter();
    report.parts = (0..sides.len())
        .flat_map(|side| {
            let is_asked = asked.contains(&side);
            (0..pieces.parts).map(move |_| is_asked)
        })
        .map(|is_asked| is_asked.then(|| parts.next()).flatten().unwrap_or_default())
        .collect();
    Ok(Seen { report, used, missed, elsewhere })
}

/// The values of those that were asked, at the places of all.
fn spread<T: Clone + Default>(values: &[T], asked: &[usize], all: usize) -> Vec<T> {
    let mut spread = vec![T::default(); if values.is_empty() { 0 } else { all }];
    asked.iter().zip(values).for_each(|(side, value)| spread[*side] = value.clone());
    spread
}

/// Sorts what was seen into the parts of the sides.
fn take(sides: &mut [Side<'_>], seen: Seen, pieces: &Pieces) -> Vec<SliceRow> {
    let Seen { report, used, missed, elsewhere } = seen;
    let told = report.turns.clone().unwrap_or_default();
    // Of the whole host: all that was ours, whoever's turn it was.
    let servers: Duration = used.iter().flatten().filter_map(|used| used.cpu).sum();
    let mut lines: Vec<SliceRow> = Vec::new();
    for slice in &told.slices {
        lines.push(
            sides[slice.server]
                .line(slice, if Some(slice.part) == pieces.continuous { CONTINUOUS } else { SLICE }),
        );
    }
    for (at, side) in sides.iter_mut().enumerate() {
        if side.order.is_none() {
            continue;
        }
        let known_cpu = |slice: &Slice| slice.server_cpu.filter(|_| !missed[at]);
        let slices =
            |part: usize| told.slices.iter().filter(move |slice| (slice.server, slice.part) == (at, part));
        let gave_up = told.gave_up.get(at).cloned().flatten().or_else(|| report.gave_up.clone());
        let answered =
            told.slices.iter().filter(|slice| slice.server == at).map(|slice| slice.ok).sum::<u64>()
                + told.uncounted.get(at).copied().unwrap_or(0);
        for (place, part) in side.replicate.parts.clone().into_iter().enumerate() {
            let cpu: Option<Duration> = slices(part.phase).map(known_cpu).sum();
            let ok: u64 = slices(part.phase).map(|slice| slice.ok).sum();
            let wall: Duration = slices(part.phase).map(|slice| slice.time).sum();
            let rounds = slices(part.phase).count() as u64;
            if rounds == 0 {
                side.replicate.note(Some(gave_up.clone().unwrap_or_else(|| "it had no turn".to_owned())));
                continue;
            }
            let half = |second: bool| -> Option<Duration> {
                slices(part.phase)
                    .filter(|slice| turns::is_second_half(slice.round, rounds) == second)
                    .map(known_cpu)
                    .sum()
            };
            let used = used[at].clone().map(|whole| {
                let (mut ours, mut mine) = (servers, cpu.unwrap_or_default());
                if !side.replicate.placed.on_hosts() {
                    ours += told.client_cpu;
                    mine += report.parts[at * pieces.parts + part.phase].client_cpu;
                }
                Used {
                    wall,
                    cpu,
                    halves_cpu: half(false).zip(half(true)).map(<[Duration; 2]>::from),
                    helpers_cpu: ours.saturating_sub(mine),
                    // Of all its requests those that count.
                    switches: whole.switches.map(|n| (n as f64 * ok as f64 / answered.max(1) as f64) as u64),
                    ..whole
                }
            });
            let idle = told.idle.get(at).filter(|(_, time)| !time.is_zero() && !missed[at]);
            let of_turns = OfTurns {
                rounds,
                by_round: Figures::of(
                    slices(part.phase).map(|slice| Slice { server_cpu: known_cpu(slice), ..*slice }),
                ),
                continuous: pieces.continuous.map_or_else(Figures::default, |part| {
                    Figures::of(slices(part).map(|slice| Slice { server_cpu: known_cpu(slice), ..*slice }))
                }),
                asking: told.asking,
                idle_share: idle.map(|(cpu, time)| cpu.as_secs_f64() / time.as_secs_f64()),
            };
            side.replicate.measured[place] = Some(Measured {
                report: report.parts[at * pieces.parts + part.phase].clone(),
                used,
                elsewhere: elsewhere.clone(),
                peak_memory: report.peak_memory,
                first_error: told.first_errors.get(at).cloned().flatten(),
                gave_up: gave_up.clone(),
                of_turns: Some(of_turns),
            });
        }
        let threads = used[at].as_ref().and_then(|used| used.threads);
        side.replicate.problems.extend(attest::workers(side.replicate.common.worker_threads, threads));
    }
    lines
}

impl<'a> Side<'a> {
    /// Starts the server of a task. One that does not start has no order.
    fn start(setting: &'a Setting, task: Task<'a>) -> Side<'a> {
        let mut side = Side { replicate: Replicate::new(setting, task), server: None, order: None };
        let started = match task.target {
            Target::Managed(managed) => side.replicate.start(managed).map(|server| {
                let (addr, host) = (server.addr(), server.addr().to_string());
                side.server = Some(server);
                (addr, host)
            }),
            Target::Running(running) => Ok((running.addr, running.name.clone())),
        };
        let order = started.and_then(|(addr, host)| side.replicate.only_order(addr, &host));
        match order {
            Ok(order) => side.order = Some(order),
            Err(problem) => side.replicate.problems.push(problem),
        }
        side
    }

    /// A line of `slices.csv`.
    fn line(&self, slice: &Slice, kind: &str) -> SliceRow {
        let us = |time: Option<Duration>| time.map(|time| time.as_nanos() as f64 / 1e3);
        let replicate = &self.replicate;
        let phase =
            replicate.parts.iter().find(|part| part.phase == slice.part).unwrap_or(&replicate.parts[0]);
        let (workload_id, server) = replicate.named(*phase);
        SliceRow {
            block: replicate.task.step.block,
            attempt: replicate.task.step.attempt,
            workload_id,
            server,
            kind: kind.to_owned(),
            window: if kind == AFTER_IDLING { slice.part } else { 0 },
            round: slice.round,
            ok: slice.ok,
            seconds: slice.time.as_secs_f64(),
            server_cpu_us: us(slice.server_cpu),
            client_cpu_us: us(Some(slice.client_cpu)),
        }
    }

    /// Ends the server and makes the rows.
    fn end(mut self) -> Outcome {
        let stopped = self.server.take().map_or(Ok(()), |server| server.stop(false));
        self.replicate.note(stopped.err());
        self.replicate.finish()
    }

    /// Ends the server. Returns what went wrong.
    fn give_up(mut self) -> Option<String> {
        let stopped = self.server.take().map_or(Ok(()), |server| server.stop(false));
        self.replicate.note(stopped.err());
        self.replicate.problems.into_iter().next()
    }
}
