//! The client process: reads its order, does it, reports.

use crate::protocol::{Amount, Arrivals, Client, GO, Message, Order, Orders, PROGRESS_EVERY, Report};
use crate::tally::Queue;
use crate::{engine, hyper_client, sequential, thread_pool};
use nix::time::{ClockId, clock_gettime};
use procfs::process::Process;
use std::io::{self, BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Carries out the order on stdin.
///
/// # Errors
/// The coordinator is gone or has said something that is no order.
pub fn run() -> anyhow::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let mut until_closed = None;
    let done = match serde_json::from_str(&line)? {
        Orders::Load(order) => carry_out(Arc::new(*order), &mut until_closed),
        Orders::Turns(turns) => engine::turns::TurnsEngine::prepare(*turns).and_then(|engine| {
            let stops = engine.stops();
            let stop = move || stops.iter().for_each(|stop| stop.store(true, Ordering::Relaxed));
            until_closed = Some(start(stop)?);
            engine.run(own_cpu, say)
        }),
    };
    let message = match done {
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

/// A client that makes a number of requests, set up so that setting it up is not measured.
enum Counted {
    Sequential,
    ThreadPool(thread_pool::Workers),
    Hyper(tokio::runtime::Runtime, Arc<hyper_client::Request>),
}

fn carry_out(order: Arc<Order>, until_closed: &mut Option<JoinHandle<()>>) -> Result<Report, String> {
    // Checked for all clients: the others send what they are given.
    let request = hyper_client::request(&order)?;
    match (order.load.client, &order.load.amount, order.load.arrivals) {
        (Client::Engine, Amount::Time(_) | Amount::UntilStopped, _) => {
            let engine = engine::Engine::prepare(&order)?;
            let stop = engine.stop();
            *until_closed = Some(start(move || stop.store(true, Ordering::Relaxed))?);
            engine.run(own_cpu, say)
        }
        (
            client @ (Client::Blocking | Client::Hyper),
            Amount::Requests(requests),
            Arrivals::Closed { in_flight },
        ) if order.load.connections.are_kept() == (client == Client::Hyper) => {
            count(&order, request, client, *requests, in_flight)
        }
        _ => Err(format!("no client can do this: {:?}", order.load)),
    }
}

/// Has a client issue `requests` requests.
fn count(
    order: &Arc<Order>,
    request: Arc<hyper_client::Request>,
    client: Client,
    requests: u64,
    in_flight: usize,
) -> Result<Report, String> {
    let queue = Arc::new(Queue::new(requests, in_flight));
    let client = match (client, in_flight) {
        (Client::Hyper, _) => Counted::Hyper(hyper_client::build()?, request),
        (_, 1) => Counted::Sequential,
        _ => Counted::ThreadPool(thread_pool::Workers::start(in_flight, order, &queue)?),
    };
    start({
        let queue = Arc::clone(&queue);
        move || queue.stop()
    })?;
    let progress = tell_progress(Arc::clone(&queue));
    let (cpu, start) = (own_cpu()?, Instant::now());
    match &client {
        Counted::Sequential => sequential::run(order, &queue),
        Counted::ThreadPool(workers) => workers.run(),
        Counted::Hyper(runtime, request) => hyper_client::run(runtime, order, request, &queue, in_flight),
    }
    let (elapsed, cpu) = (start.elapsed(), own_cpu()?.saturating_sub(cpu));
    drop(progress);
    let parts = vec![queue.report(elapsed, cpu)?];
    let (first_error, gave_up) = (queue.first_error(), queue.gave_up());
    Ok(Report { parts, first_error, gave_up, ..Report::default() })
}

/// Says every second how many requests have been taken from the queue, until what is returned is dropped.
fn tell_progress(queue: Arc<Queue>) -> Sender<()> {
    let (until, dropped) = channel();
    thread::spawn(move || {
        while dropped.recv_timeout(PROGRESS_EVERY) == Err(RecvTimeoutError::Timeout) {
            // A coordinator that is gone is noticed by the report.
            _ = say(&Message::Progress(queue.taken()));
        }
    });
    until
}

/// Says that the client is set up, and returns at the coordinator's [`GO`]. From then on the end of stdin
/// makes `stop` happen, and ends the thread that waits for it.
fn start(stop: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    let (go, closed) = watch_stdin();
    say(&Message::Ready)?;
    go.recv().map_err(|_| "told to stop before the start".to_owned())?;
    Ok(thread::spawn(move || {
        _ = closed.recv();
        stop();
    }))
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
