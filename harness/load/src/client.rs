//! The client process: reads its order, does it, reports.

use crate::protocol::Strategy;
use crate::protocol::{GO, Message, Order, Report, Task};
use crate::tally::{Queue, Tally};
use crate::{engine, hold, hyper_client, sequential, thread_pool};
use nix::time::{ClockId, clock_gettime};
use procfs::process::Process;
use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Carries out the order on stdin.
///
/// # Errors
/// The coordinator is gone or has said something that is no order.
pub fn run() -> anyhow::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let order: Order = serde_json::from_str(&line)?;
    let mut until_closed = None;
    let message = match carry_out(Arc::new(order), &mut until_closed) {
        Ok(report) => {
            let peak_memory = own_peak_memory();
            Message::Report(Box::new(Report { peak_memory, ..report }))
        }
        Err(problem) => Message::Refused(problem),
    };
    say(&message).map_err(anyhow::Error::msg)?;
    // The load engine's connections stay open: of a server with a thread for each, the threads are counted
    // after the load.
    if let Some(closed) = until_closed {
        _ = closed.join();
    }
    Ok(())
}

fn say(message: &Message) -> Result<(), String> {
    let line = serde_json::to_string(message).map_err(|error| error.to_string())?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|error| error.to_string())
}

/// What can load need before it begins, so that making it is not measured.
enum Engine {
    Sequential,
    ThreadPool(thread_pool::Workers),
    Async(tokio::runtime::Runtime),
}

fn carry_out(order: Arc<Order>, until_closed: &mut Option<JoinHandle<()>>) -> Result<Report, String> {
    match order.task {
        Task::Hold { count } => {
            let (_, closed) = watch_stdin();
            hold::run(&order, count, &closed, say)?.report()
        }
        Task::Load(ref load) => {
            let engine = engine::Engine::prepare(&order, load)?;
            let (go, closed) = watch_stdin();
            say(&Message::Ready)?;
            go.recv().map_err(|_| "told to stop before the start".to_owned())?;
            let stop = engine.stop();
            *until_closed = Some(thread::spawn(move || {
                _ = closed.recv();
                stop.store(true, Ordering::Relaxed);
            }));
            engine.run(own_cpu, say)
        }
        Task::Measure { strategy, requests, in_flight } => {
            let queue = Arc::new(Queue::new(requests, in_flight));
            let engine = match strategy {
                Strategy::Sequential => Engine::Sequential,
                Strategy::ThreadPool => {
                    Engine::ThreadPool(thread_pool::Workers::start(in_flight, &order, &queue)?)
                }
                Strategy::Async => Engine::Async(hyper_client::build()?),
                other => return Err(format!("{other} is the load engine's")),
            };
            let (go, closed) = watch_stdin();
            say(&Message::Ready)?;
            go.recv().map_err(|_| "told to stop before the start".to_owned())?;
            thread::spawn({
                let queue = Arc::clone(&queue);
                move || {
                    _ = closed.recv();
                    queue.stop();
                }
            });
            let (cpu, start) = (own_cpu()?, Instant::now());
            let tally = match &engine {
                Engine::Sequential => sequential::run(&order, &queue),
                Engine::ThreadPool(workers) => workers.run(),
                Engine::Async(runtime) => hyper_client::run(runtime, &order, &queue, in_flight),
            };
            finish(tally, start.elapsed(), own_cpu()?.saturating_sub(cpu), &queue)
        }
    }
}

fn finish(tally: Tally, elapsed: Duration, client_cpu: Duration, queue: &Queue) -> Result<Report, String> {
    let in_flight_mean = queue.gauge.mean(elapsed);
    Ok(Report { elapsed, client_cpu, in_flight_mean, gave_up: queue.gave_up(), ..tally.report()? })
}

/// Two signals from the coordinator: its [`GO`], and the end of stdin, which means stop.
fn watch_stdin() -> (Receiver<()>, Receiver<()>) {
    let (send_go, go) = channel();
    let (send_closed, closed) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            match line {
                Ok(line) if line == GO => _ = send_go.send(()),
                _ => break,
            }
        }
        _ = send_closed.send(());
    });
    (go, closed)
}

/// This process's CPU time so far, user and system, all threads.
fn own_cpu() -> Result<Duration, String> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).map_err(|error| error.to_string())
}

/// The peak of this process's resident memory, in bytes; `None` if the kernel does not say.
fn own_peak_memory() -> Option<u64> {
    // VmHWM counts in KiB.
    Some(Process::myself().ok()?.status().ok()?.vmhwm? * 1024)
}
