//! One blocking request after the other, a new connection each.

use crate::exchange;
use crate::protocol::Order;
use crate::tally::Queue;

/// Issues the order's requests until none is left.
pub(super) fn run(order: &Order, queue: &Queue) {
    let request = exchange::request_bytes(&order.host, &order.request, false);
    let mut buffer = Vec::new();
    while queue.take() {
        let connected = || queue.connected();
        let (addr, timeout) = (order.addr, order.timeout);
        let outcome = exchange::once(addr, timeout, &request, &mut buffer, &queue.gauge, connected);
        queue.ended(outcome, &order.expect);
    }
}
