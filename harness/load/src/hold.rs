//! Interference: keeps requests in flight until told to stop.

use crate::exchange::{connect, receive, request_bytes, send};
use crate::protocol::{Message, Order};
use crate::tally::{Failure, Tally};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What one holder has to say.
enum Event {
    /// Its first request is with the server.
    InFlight,
    /// It cannot go on.
    Failed,
}

/// Keeps `count` requests in flight, each on a connection of its own and sent again as soon as it is
/// answered, says [`Message::Holding`] once all are, and returns when `stop` fires or one fails.
pub(super) fn run(
    order: &Arc<Order>,
    count: usize,
    stop: &Receiver<()>,
    say: impl Fn(&Message) -> Result<(), String>,
) -> Result<Tally, String> {
    let sum = Arc::new(Mutex::new(Tally::default()));
    let (events, received) = channel();
    for _ in 0..count {
        let (order, events, sum) = (Arc::clone(order), events.clone(), Arc::clone(&sum));
        thread::spawn(move || {
            let failure = hold(&order, &events, &sum);
            lock(&sum).record(Err(failure), &order.expect);
            // The receiver is gone when the order has been carried out.
            _ = events.send(Event::Failed);
        });
    }
    drop(events);
    for _ in 0..count {
        match received.recv() {
            Ok(Event::InFlight) => {}
            Ok(Event::Failed) | Err(_) => return Ok(take(&sum)),
        }
    }
    say(&Message::Holding)?;
    // Fires when stdin closes. A holder that fails in the meantime is in the tally.
    _ = stop.recv();
    Ok(take(&sum))
}

fn take(sum: &Mutex<Tally>) -> Tally {
    std::mem::take(&mut *lock(sum))
}

/// Sends the request again and again, until something goes wrong.
fn hold(order: &Order, events: &Sender<Event>, sum: &Mutex<Tally>) -> Failure {
    // A fib/42 takes a server in Python minutes: interference is not timed, only ended.
    const FOREVER: Duration = Duration::from_secs(24 * 3600);
    let request = request_bytes(order, true);
    let mut buffer = Vec::new();
    let mut kept = None;
    let mut first = true;
    loop {
        let deadline = Instant::now() + FOREVER;
        let mut attempt = || {
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None => connect(order, Instant::now() + order.timeout)?,
            };
            let start = send(&mut stream, &request, deadline)?;
            if std::mem::take(&mut first) {
                // Nobody listens when another holder has failed already.
                _ = events.send(Event::InFlight);
            }
            let answer = receive(&mut stream, &mut buffer, start, deadline)?;
            kept = answer.keep_alive.then_some(stream);
            Ok(answer)
        };
        match attempt() {
            Ok(answer) => lock(sum).record(Ok(answer), &order.expect),
            Err(failure) => return failure,
        }
    }
}

fn lock(sum: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    sum.lock().unwrap_or_else(PoisonError::into_inner)
}
