//! How long the network between the hosts takes by itself: constant bytes are asked for from each client's host.

use super::hosts::{Host, Hosts};
use super::target::Managed;
use crate::agent::server::StartOptions;
use crate::experiment::plan::CEILING_ROUTE;
use crate::record::column::round;
use load::protocol::Request;
use std::time::Duration;

/// So many requests say it.
const REQUESTS: usize = 21;

/// Returns the delay in µs: of each client's host the median, of them the longest. `ceiling` is the server of constant
/// bytes.
///
/// # Errors
/// In words: the server does not start, or does not answer.
pub(super) fn measure(
    hosts: &Hosts,
    ceiling: &Managed,
    start: &StartOptions,
    timeout: Duration,
) -> Result<f64, String> {
    let agent = &hosts.server().agent;
    let server = agent.start_server(&ceiling.def, ceiling.program.as_deref(), 1, start)?;
    let request = Request::get(CEILING_ROUTE);
    let ask = |host: &Host| host.agent.delay(server.addr(), &request, REQUESTS, timeout);
    let delays = hosts.clients().iter().map(ask).collect::<Result<Vec<_>, _>>();
    server.stop(false)?;
    let longest = delays?.into_iter().max().unwrap_or_default();
    Ok(round(longest.as_secs_f64() * 1e6, 1))
}
