//! Several loads that take turns, piece by piece: one engine for each server, of which one works at a time.

use super::clock::Clock;
use super::job::Job;
use super::record::Record;
use super::{Engine, Start};
use crate::protocol::{
    EngineReport, Fates, Half, Message, Mutation, PROGRESS_EVERY, PartReport, Piece, Report, Slice, Turns,
    TurnsReport,
};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The engines of all servers, with open connections.
pub(in super::super) struct TurnsEngine {
    turns: Turns,
    engines: Vec<Engine>,
    meter: Option<Meter>,
}

/// What has come of a part of a server's report so far.
#[derive(Default)]
struct Sum {
    record: Option<Record>,
    halves: [Half; 2],
    time: Duration,
    client_cpu: Duration,
}

impl TurnsEngine {
    /// Starts the workers of all servers and opens their connections.
    ///
    /// # Errors
    /// An order cannot be carried out, or the meter is not there.
    pub(in super::super) fn prepare(turns: Turns) -> Result<TurnsEngine, String> {
        let prepare = |order| Engine::prepare_job(order, Job::in_pieces(order)?);
        let engines: Vec<Engine> = turns.orders.iter().map(prepare).collect::<Result<_, _>>()?;
        let meter = turns.meter.map(|meter| Meter::connect(meter, engines.len())).transpose()?;
        Ok(TurnsEngine { turns, engines, meter })
    }

    /// What makes it stop early.
    pub(in super::super) fn stops(&self) -> Vec<Arc<AtomicBool>> {
        self.engines.iter().map(Engine::stop).collect()
    }

    /// Carries all pieces out. Says between them that there is progress, every second and not more often: what is said
    /// wakes the agent and the coordinator while the next question is asked.
    ///
    /// # Errors
    /// A worker failed, or the meter is gone.
    pub(in super::super) fn run(
        mut self,
        own_cpu: impl Fn() -> Result<Duration, String>,
        say: impl Fn(&Message) -> Result<(), String>,
    ) -> Result<Report, String> {
        let (servers, parts) = (self.engines.len(), self.turns.parts);
        let rounds = self.turns.pieces.iter().map(|piece| piece.round).max().unwrap_or(0);
        let mut sums: Vec<Sum> = std::iter::repeat_with(Sum::default).take(servers * parts).collect();
        let mut told = TurnsReport {
            uncounted: vec![0; servers],
            first_errors: vec![None; servers],
            gave_up: vec![None; servers],
            ..TurnsReport::default()
        };
        let mut connects = vec![0; servers];
        let mut gave_up = None;
        let pieces = std::mem::take(&mut self.turns.pieces);
        let (start, before_all) = (Instant::now(), own_cpu()?);
        let before_turns = self.meter.as_mut().map(Meter::all).transpose()?;
        let mut turns = vec![(Duration::ZERO, Duration::ZERO); servers];
        let mut said = start;
        for (place, piece) in pieces.iter().enumerate() {
            if told.gave_up[piece.server].is_some() {
                continue;
            }
            if piece.scale == 0.0 {
                thread::sleep(piece.duration);
                continue;
            }
            let before = self.ask(piece.server)?;
            let client = own_cpu()?;
            let mut record = self.piece(place, piece)?;
            let client_cpu = own_cpu()?.saturating_sub(client);
            let after = self.ask(piece.server)?;
            let first_error = &mut told.first_errors[piece.server];
            *first_error = first_error.take().or_else(|| record.first_error.clone());
            connects[piece.server] += std::mem::take(record.connects());
            let (ok, time) = record.answered();
            let is_unanswered = is_unanswered(record.fates().0);
            let server_cpu = before.zip(after).map(|(before, after)| after.saturating_sub(before));
            let turn = &mut turns[piece.server];
            *turn = (turn.0 + server_cpu.unwrap_or_default(), turn.1 + time);
            match piece.part {
                None => told.uncounted[piece.server] += ok,
                Some(part) => {
                    let (server, round) = (piece.server, piece.round);
                    told.slices.push(Slice { server, part, round, ok, time, server_cpu, client_cpu });
                    let second = usize::from(2 * round > rounds + 1);
                    sums[server * parts + part].add(record, second, time, client_cpu)?;
                }
            }
            // It has died or hangs: each of its turns would last until a timeout.
            if is_unanswered {
                let why = told.first_errors[piece.server].as_deref().unwrap_or("no reason was given");
                told.gave_up[piece.server] = Some(format!("nothing was answered in a turn: {why}"));
            }
            if said.elapsed() >= PROGRESS_EVERY {
                say(&Message::Progress(place as u64 + 1))?;
                said = Instant::now();
            }
            if self.engines[piece.server].stop.load(Ordering::Relaxed) {
                gave_up = Some("told to stop before the last turn".to_owned());
                break;
            }
        }
        told.client_cpu = own_cpu()?.saturating_sub(before_all);
        // One that is alone has no time without a turn but the edges.
        if let (Some(before), Some(meter), true) = (before_turns, &mut self.meter, servers > 1) {
            let (after, wall) = (meter.all()?, start.elapsed());
            let all = before.into_iter().zip(after).map(|(before, after)| after.saturating_sub(before));
            let less = |(all, (cpu, time)): (Duration, (Duration, Duration))| {
                (all.saturating_sub(cpu), wall.saturating_sub(time))
            };
            told.idle = all.zip(turns).map(less).collect();
        }
        told.asking = self.meter.as_ref().and_then(Meter::asking);
        let mut reports = Vec::new();
        for (place, sum) in sums.into_iter().enumerate() {
            // What was opened before the first request, and between slices, is in the first part.
            let opened = if place % parts == 0 { connects[place / parts] } else { 0 };
            reports.push(sum.report(self.engines[place / parts].driver, opened)?);
        }
        Ok(Report { parts: reports, gave_up, turns: Some(told), ..Report::default() })
    }

    fn piece(&self, place: usize, piece: &Piece) -> Result<Record, String> {
        let engine = &self.engines[piece.server];
        let seed = piece.seed(self.turns.orders[piece.server].seed);
        let slow = engine.job.mutation == Some(Mutation::SlowClock);
        engine.begin(Start { clock: Clock::new(Instant::now(), slow), piece: Some((*piece, seed)) })?;
        engine.collect(engine.starts.len()).map_err(|problem| format!("piece {place}: {problem}"))
    }

    /// The CPU time of a server so far.
    fn ask(&mut self, server: usize) -> Result<Option<Duration>, String> {
        self.meter.as_mut().map(|meter| meter.one(server)).transpose()
    }
}

/// Whether something was asked, and nothing answered, be it wrongly.
fn is_unanswered(fates: &Fates) -> bool {
    fates.scheduled > 0 && fates.ok + fates.bad_status + fates.bad_body == 0
}

impl Sum {
    fn add(
        &mut self,
        record: Record,
        half: usize,
        time: Duration,
        client_cpu: Duration,
    ) -> Result<(), String> {
        let half = &mut self.halves[half];
        half.seconds += time.as_secs_f64();
        let (fates, late) = record.fates();
        half.completed += fates.ok;
        half.due += fates.scheduled;
        half.late += late;
        half.client_cpu += client_cpu;
        self.time += time;
        self.client_cpu += client_cpu;
        match &mut self.record {
            Some(sum) => sum.append(record)?,
            None => self.record = Some(record),
        }
        Ok(())
    }

    fn report(self, driver: &str, connects: u64) -> Result<PartReport, String> {
        let Some(record) = self.record else { return Ok(PartReport::default()) };
        let mut reports = record.report(driver, &[])?;
        let report = reports.pop().ok_or("a record has one part")?;
        let engine = report.engine.map(|engine| EngineReport { halves: self.halves, ..engine });
        let connects = report.connects + connects;
        Ok(PartReport { elapsed: self.time, client_cpu: self.client_cpu, connects, engine, ..report })
    }
}

/// The connection to whoever reads the servers' clocks.
struct Meter {
    stream: BufReader<TcpStream>,
    line: String,
    servers: usize,
    /// How long each question at an edge took.
    took: Vec<Duration>,
}

impl Meter {
    fn connect(addr: SocketAddr, servers: usize) -> Result<Meter, String> {
        let failed = |error| format!("the meter cannot be reached: {error}");
        let stream = TcpStream::connect(addr).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Meter { stream: BufReader::new(stream), line: String::new(), servers, took: Vec::new() })
    }

    /// The CPU time of one server so far. Of the others nothing is asked: reading their clocks would make the pause
    /// between two slices longer with each server.
    fn one(&mut self, server: usize) -> Result<Duration, String> {
        let start = Instant::now();
        let cpu = self.ask(&server.to_string())?;
        self.took.push(start.elapsed());
        match *cpu.as_slice() {
            [cpu] => Ok(cpu),
            _ => Err(format!("the meter told {} clocks, not one", cpu.len())),
        }
    }

    /// The CPU time of each server so far.
    fn all(&mut self) -> Result<Vec<Duration>, String> {
        let cpu = self.ask("")?;
        match cpu.len() == self.servers {
            true => Ok(cpu),
            false => Err(format!("the meter knows {} of {} servers", cpu.len(), self.servers)),
        }
    }

    fn ask(&mut self, question: &str) -> Result<Vec<Duration>, String> {
        let failed = |error: std::io::Error| format!("the meter is gone: {error}");
        self.stream.get_mut().write_all(format!("{question}\n").as_bytes()).map_err(failed)?;
        self.line.clear();
        self.stream.read_line(&mut self.line).map_err(failed)?;
        let cpu: Vec<u64> =
            serde_json::from_str(&self.line).map_err(|error| format!("the meter: {error}"))?;
        Ok(cpu.into_iter().map(Duration::from_nanos).collect())
    }

    /// How long a question at an edge took: on average, because the one before a slice finds the meter awake and the
    /// one after it does not. A median would lie anywhere between the two.
    fn asking(&self) -> Option<Duration> {
        let questions = u32::try_from(self.took.len()).ok()?;
        self.took.iter().sum::<Duration>().checked_div(questions)
    }
}
