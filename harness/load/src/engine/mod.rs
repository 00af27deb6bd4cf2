//! The load engine: one thread for each of the client's CPUs, each with its own connections, its share of
//! the schedule and its own record. Nothing is shared while the load runs, nothing is allocated for a
//! request, and the records are merged at the end.

mod buffers;
mod clock;
mod driver;
mod epoll;
mod job;
mod part;
mod record;
mod request;
mod slot;
mod sources;
pub(super) mod turns;
mod uring;
mod worker;

use crate::exchange::request_bytes;
use crate::pin::pin_this_thread;
use crate::protocol::{Driver as Choice, Mark, Message, Moment, Mutation, Order, Piece, Report};
use clock::Clock;
use driver::Driver;
use epoll::Epoll;
use job::Job;
use record::Record;
use sources::Sources;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use uring::Uring;
use worker::Worker;

/// How long the pool may take to open before the load begins without the rest of it.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// Workers with open connections, waiting for the start.
pub(super) struct Engine {
    job: Job,
    driver: &'static str,
    stop: Arc<AtomicBool>,
    starts: Vec<Sender<Start>>,
    /// The records of the workers, each time they have done what they were started for.
    records: Receiver<Result<Record, String>>,
    /// Says when a worker of a load in the background has it under way, and closes when all have ended.
    progress: Receiver<()>,
}

/// What lets a worker begin.
#[derive(Debug, Clone, Copy)]
struct Start {
    clock: Clock,
    /// The piece of its load that it is to carry out, with the seed of its schedule; otherwise all of it.
    piece: Option<(Piece, u64)>,
}

impl Engine {
    /// Starts the workers and opens their connections.
    ///
    /// # Errors
    /// The order cannot be carried out: a driver that the kernel does not allow, or too few ports.
    pub(super) fn prepare(order: &Order) -> Result<Engine, String> {
        Engine::prepare_job(order, Job::new(order)?)
    }

    fn prepare_job(order: &Order, job: Job) -> Result<Engine, String> {
        match order.driver {
            Choice::Epoll => Engine::start::<Epoll>(order, job),
            Choice::IoUring => Engine::start::<Uring>(order, job),
            // Tried out, so that all workers use the same.
            Choice::Auto => match Uring::new(1, Vec::new(), true) {
                Ok(_) => Engine::start::<Uring>(order, job),
                Err(error) if uring::is_missing(&error) => Engine::start::<Epoll>(order, job),
                Err(error) => Err(format!("io_uring: {error}")),
            },
        }
    }

    fn start<D: Driver>(order: &Order, job: Job) -> Result<Engine, String> {
        let sources = Sources::new(order, &job, D::NONBLOCKING)?;
        let request = request_bytes(&order.host, &order.request, job.connections.are_kept());
        let all = job.connections.most();
        let threads = order.cpus.len().clamp(1, all.max(1));
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = channel();
        let (tell, progress) = channel();
        let (hand_in, records) = channel();
        let mut starts = Vec::new();
        for index in 0..threads {
            // The first ones take what is left over.
            let connections = all / threads + usize::from(index < all % threads);
            let (job, sources, request) = (job.clone(), sources.clone(), request.clone());
            let (cpu, stop) = (order.cpus.get(index).copied(), Arc::clone(&stop));
            let (start, started) = channel::<Start>();
            let (ready, tell, hand_in) = (ready.clone(), tell.clone(), hand_in.clone());
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
                let Ok(mut worker) = prepared else { return };
                while let Ok(Start { clock, piece }) = started.recv() {
                    if let Some((piece, seed)) = piece {
                        worker.turn_to(&piece, seed);
                    }
                    // Nobody listens any more where another worker has failed.
                    _ = hand_in.send(worker.run(&clock, &stop, || _ = tell.send(())));
                }
                // Its connections stay open until the process ends, which is when the coordinator has looked
                // at everything.
                std::mem::forget(worker);
            };
            let thread = thread::Builder::new().name(format!("load-{index}"));
            thread.spawn(body).map_err(|error| format!("cannot start a thread: {error}"))?;
        }
        for _ in 0..threads {
            is_ready.recv().map_err(|_| "a worker died".to_owned())??;
        }
        Ok(Engine { job, driver: D::NAME, stop, starts, records, progress })
    }

    /// What makes it stop early.
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Carries the load out. Says when each measured phase begins, is half over and ends, or that a load in
    /// the background is under way.
    ///
    /// # Errors
    /// A worker failed.
    pub(super) fn run(
        mut self,
        own_cpu: impl Fn() -> Result<Duration, String>,
        say: impl Fn(&Message) -> Result<(), String>,
    ) -> Result<Report, String> {
        let start = Instant::now();
        let slow = self.job.mutation == Some(Mutation::SlowClock);
        self.begin(Start { clock: Clock::new(start, slow), piece: None })?;
        // They end after that.
        let workers = std::mem::take(&mut self.starts).len();
        let cpu = if self.job.background {
            self.hold(workers, own_cpu, say)?
        } else {
            self.mark(start, own_cpu, say)?
        };
        let record = self.collect(workers)?;
        // To end when told to is what a load in the background is for.
        let stopped = self.stop.load(Ordering::Relaxed) && !self.job.background;
        let gave_up = stopped.then(|| format!("told to stop after {:.1} s", start.elapsed().as_secs_f64()));
        let parts = record.report(self.driver, &cpu)?;
        Ok(Report { parts, first_error: record.first_error, gave_up, ..Report::default() })
    }

    /// Lets the workers begin.
    fn begin(&self, start: Start) -> Result<(), String> {
        let died = |_| "a worker died".to_owned();
        self.starts.iter().try_for_each(|worker| worker.send(start).map_err(died))
    }

    /// Waits for the records of so many workers, and adds them up.
    fn collect(&self, workers: usize) -> Result<Record, String> {
        let next = || self.records.recv().map_err(|_| "a worker panicked".to_owned())?;
        let mut record = next()?;
        (1..workers).try_for_each(|_| record.add(next()?))?;
        Ok(record)
    }

    /// Says when each measured phase begins, is half over and ends, and reads the CPU time there.
    fn mark(
        &self,
        start: Instant,
        own_cpu: impl Fn() -> Result<Duration, String>,
        say: impl Fn(&Message) -> Result<(), String>,
    ) -> Result<Vec<Duration>, String> {
        let moments = self.job.measured.iter().enumerate().flat_map(|(part, span)| {
            let moments = [(Moment::Begin, span.begin), (Moment::Half, span.half()), (Moment::End, span.end)];
            moments.map(|(moment, ns)| (Mark { part, moment }, Duration::from_nanos(ns)))
        });
        let mut cpu = Vec::new();
        for (mark, after) in moments {
            // Nobody sends: it ends when the last worker has, which is early only when told to stop.
            let left = (start + after).saturating_duration_since(Instant::now());
            let ended = self.progress.recv_timeout(left) == Err(RecvTimeoutError::Disconnected);
            if ended && self.stop.load(Ordering::Relaxed) {
                break;
            }
            cpu.push(own_cpu()?);
            say(&Message::Mark(mark))?;
        }
        Ok(cpu)
    }

    /// Says when a load in the background is under way on all workers, and returns when they have ended.
    fn hold(
        &self,
        workers: usize,
        own_cpu: impl Fn() -> Result<Duration, String>,
        say: impl Fn(&Message) -> Result<(), String>,
    ) -> Result<Vec<Duration>, String> {
        let before = own_cpu()?;
        let mut under_way = 0;
        while self.progress.recv().is_ok() {
            under_way += 1;
            if under_way == workers {
                say(&Message::Holding)?;
            }
        }
        let after = own_cpu()?;
        Ok(vec![before, after, after])
    }
}

#[cfg(test)]
mod tests;
