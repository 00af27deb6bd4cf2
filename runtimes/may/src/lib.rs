//! may as both of its rows run it: its size, its timer, and how a coroutine waits for a blocking thread.

use contract::{Calls, Runtime, Server};
use may::coroutine;
use may::sync::spsc;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// In words: 128 KiB. fib(45) takes some 350 words and a panic with its backtrace 2600, and a
/// coroutine that overflows its stack is abandoned with its client still waiting.
const STACK: usize = 0x4000;

/// Held by the blocking thread that wakes a coroutine. The queue behind it makes its producers spin,
/// and a few hundred threads that end a wait together would spin against one that is not running:
/// without this, `/wait` at 1000 connections sometimes fell to a sixth, at all of both cores.
static WAKING: Mutex<()> = Mutex::new(());

/// Sets may and the blocking pool up. To be called before the first coroutine.
pub fn configure(server: &Server) {
    if let Some(threads) = NonZeroUsize::new(server.blocking_threads()) {
        blocking::set_max_blocking_threads(threads);
    }
    let may = may::config();
    may.set_workers(server.workers()).set_stack_size(STACK);
    // No other row pins its threads; and two processes would pin theirs to the same cores.
    may.set_worker_pin(false);
}

/// Coroutines, and the `blocking` crate's pool for what would stop a worker.
#[derive(Debug, Clone)]
pub struct May;

impl Runtime for May {
    const CALLS: Calls = Calls::Plain;

    async fn sleep(&self, duration: Duration) {
        coroutine::sleep(duration);
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = spsc::channel();
        blocking::unblock(move || {
            let done = work();
            let _waking = WAKING.lock().unwrap_or_else(PoisonError::into_inner);
            sender.send(done)
        })
        .detach();
        receiver.recv().expect("the pool runs what it is given")
    }
}
