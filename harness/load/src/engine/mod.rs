//! The load engine: one thread for each of the client's CPUs, each with its own connections, its share of
//! the schedule and its own record. Nothing is shared while the load runs, nothing is allocated for a
//! request, and the records are merged at the end.

mod buffers;
mod clock;
mod driver;
mod epoll;
mod job;
mod record;
mod slot;
mod sources;
mod uring;
mod worker;

use crate::exchange::request_bytes;
use crate::pin::pin_this_thread;
use crate::protocol::{Driver as Choice, EngineReport, Load, Mark, Message, Mutation, Order, Report};
use clock::Clock;
use driver::Driver;
use epoll::Epoll;
use job::Job;
use record::{Latencies, Record};
use sources::Sources;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use uring::Uring;
use worker::Worker;

/// How long the pool may take to open before the load begins without the rest of it.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// Workers with open connections, waiting for the start.
pub(super) struct Engine {
    load: Load,
    driver: &'static str,
    stop: Arc<AtomicBool>,
    starts: Vec<Sender<Clock>>,
    workers: Vec<JoinHandle<Result<Record, String>>>,
    ended: Receiver<()>,
}

impl Engine {
    /// Starts the workers and opens their connections.
    ///
    /// # Errors
    /// The order cannot be carried out: a driver that the kernel does not allow, or too few ports.
    pub(super) fn prepare(order: &Order, load: &Load) -> Result<Engine, String> {
        match load.driver {
            Choice::Epoll => Engine::start::<Epoll>(order, load),
            Choice::IoUring => Engine::start::<Uring>(order, load),
            // Tried out, so that all workers use the same.
            Choice::Auto => match Uring::new(1, Vec::new(), true) {
                Ok(_) => Engine::start::<Uring>(order, load),
                Err(error) if uring::is_missing(&error) => Engine::start::<Epoll>(order, load),
                Err(error) => Err(format!("io_uring: {error}")),
            },
        }
    }

    fn start<D: Driver>(order: &Order, load: &Load) -> Result<Engine, String> {
        let sources = Sources::new(order, load, D::NONBLOCKING)?;
        let request = request_bytes(order, load.strategy.keeps_alive());
        let threads = load.cpus.len().clamp(1, load.connections.max(1));
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = channel();
        let (has_ended, ended) = channel();
        let (mut starts, mut workers) = (Vec::new(), Vec::new());
        for index in 0..threads {
            // The first ones take what is left over.
            let connections = load.connections / threads + usize::from(index < load.connections % threads);
            let (job, sources, request) = (Job::new(order, load), sources.clone(), request.clone());
            let (cpu, stop) = (load.cpus.get(index).copied(), Arc::clone(&stop));
            let (start, started) = channel();
            let (ready, has_ended) = (ready.clone(), has_ended.clone());
            starts.push(start);
            let body = move || {
                let prepare = || -> Result<Worker<D>, String> {
                    if let Some(cpu) = cpu {
                        pin_this_thread(&[cpu])
                            .map_err(|error| format!("cannot run on CPU {cpu}: {error}"))?;
                    }
                    Worker::<D>::new(job, sources, request, connections, (index, threads))
                        .and_then(|mut worker| worker.open(OPEN_LIMIT).map(|()| worker))
                        .map_err(|error| format!("{}: {error}", D::NAME))
                };
                let prepared = prepare();
                // Whoever listens learns of a failure twice: here, and when it joins.
                _ = ready.send(prepared.as_ref().map(|_| ()).map_err(String::clone));
                let record = prepared.and_then(|worker| match started.recv() {
                    Ok(clock) => worker.run(&clock, &stop),
                    Err(_) => Err("told to stop before the start".to_owned()),
                });
                drop(has_ended);
                record
            };
            let thread = thread::Builder::new().name(format!("load-{index}"));
            workers.push(thread.spawn(body).map_err(|error| format!("cannot start a thread: {error}"))?);
        }
        for _ in 0..threads {
            is_ready.recv().map_err(|_| "a worker died".to_owned())??;
        }
        Ok(Engine { load: load.clone(), driver: D::NAME, stop, starts, workers, ended })
    }

    /// What makes it stop early.
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Carries the load out. Says when its measured time begins, is half over and ends.
    ///
    /// # Errors
    /// A worker failed.
    pub(super) fn run(
        self,
        own_cpu: impl Fn() -> Result<Duration, String>,
        say: impl Fn(&Message) -> Result<(), String>,
    ) -> Result<Report, String> {
        let start = Instant::now();
        let slow = self.load.mutation == Some(Mutation::SlowClock);
        for worker in &self.starts {
            worker.send(Clock::new(start, slow)).map_err(|_| "a worker died".to_owned())?;
        }
        let (begin, half) = (self.load.warmup, self.load.duration / 2);
        let moments =
            [(Mark::Begin, begin), (Mark::Half, begin + half), (Mark::End, begin + self.load.duration)];
        let mut cpu = Vec::new();
        for (mark, after) in moments {
            // Nobody sends: it ends when the last worker has, which is early only when told to stop.
            let left = (start + after).saturating_duration_since(Instant::now());
            let ended = self.ended.recv_timeout(left) == Err(RecvTimeoutError::Disconnected);
            if ended && self.stop.load(Ordering::Relaxed) {
                break;
            }
            cpu.push(own_cpu()?);
            say(&Message::Mark(mark))?;
        }
        let mut record = Record::new(&self.load);
        for worker in self.workers {
            record.add(worker.join().map_err(|_| "a worker panicked".to_owned())??)?;
        }
        let stopped = self.stop.load(Ordering::Relaxed);
        let gave_up = stopped.then(|| format!("told to stop after {:.1} s", start.elapsed().as_secs_f64()));
        report(record, &self.load, self.driver, &cpu, gave_up)
    }
}

fn report(
    mut record: Record,
    load: &Load,
    driver: &str,
    cpu: &[Duration],
    gave_up: Option<String>,
) -> Result<Report, String> {
    let used = |from: usize, to: usize| match (cpu.get(from), cpu.get(to)) {
        (Some(from), Some(to)) => to.saturating_sub(*from),
        _ => Duration::ZERO,
    };
    record.halves[0].client_cpu = used(0, 1);
    record.halves[1].client_cpu = used(1, 2);
    let Latencies { service, response, lateness, conn_wait, seconds } = record.latencies_reported()?;
    Ok(Report {
        fates: record.fates,
        connects: record.connects,
        elapsed: Duration::from_nanos(record.last_end).saturating_sub(load.warmup),
        client_cpu: used(0, 2),
        service,
        in_flight_mean: Some(record.in_flight_mean()),
        engine: Some(EngineReport {
            driver: driver.to_owned(),
            halves: record.halves,
            spin: Duration::from_nanos(record.spin),
            response,
            lateness,
            conn_wait,
            seconds,
        }),
        first_error: record.first_error,
        gave_up,
        ..Report::default()
    })
}

#[cfg(test)]
mod tests;
