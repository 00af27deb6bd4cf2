//! One blocking request after the other, a new connection each.

use crate::exchange;
use crate::protocol::Order;
use crate::tally::{Queue, Tally};

/// Issues the order's requests until none is left.
pub(super) fn run(order: &Order, queue: &Queue) -> Tally {
    let request = exchange::request_bytes(&order.host, &order.request, false);
    let mut buffer = Vec::new();
    let mut tally = Tally::default();
    while queue.take() {
        let outcome = exchange::once(order.addr, order.timeout, &request, &mut buffer, &queue.gauge, || {
            tally.connected();
        });
        queue.ended(&outcome);
        tally.record(outcome, &order.expect);
    }
    tally
}
