//! An agent that is a thread of this process, for tests.

use super::handles::Agent;
use super::link::Link;
use super::serve::serve;
use std::io::{BufReader, pipe};
use std::process::Command;
use std::thread;

/// Starts the agent. Its clients are started with `client_command`.
pub(crate) fn in_thread(client_command: impl Fn() -> Result<Command, String> + Send + 'static) -> Agent {
    let (asked, ask) = pipe().expect("a pipe");
    let (said, say) = pipe().expect("a pipe");
    thread::spawn(move || serve(BufReader::new(asked), say, Box::new(client_command), || (), false));
    let link = Link::over(BufReader::new(said), Box::new(ask), None, false, || "the thread ended".to_owned());
    link.and_then(Agent::of).expect("it says hello")
}
