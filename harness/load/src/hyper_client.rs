//! `async`: tasks on tokio that issue requests with hyper's client, each on a kept connection.
//!
//! As many tasks as may be under way at once: that is the concurrency limit. A task opens its connection
//! when it has its first request to send, and again when the server has closed it.

use crate::gauge::Gauge;
use crate::protocol::Order;
use crate::tally::{Answer, Failure, Queue, Tally};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The executor. Built before the load begins.
pub(super) fn build() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start tokio: {error}"))
}

/// Issues the order's requests from `in_flight` tasks until none is left.
pub(super) fn run(runtime: &Runtime, order: &Arc<Order>, queue: &Arc<Queue>, in_flight: usize) -> Tally {
    // Spawned: the future given to block_on runs outside the workers.
    let all = runtime.spawn({
        let (order, queue) = (Arc::clone(order), Arc::clone(queue));
        async move {
            let mut workers = JoinSet::new();
            for _ in 0..in_flight {
                workers.spawn(worker(Arc::clone(&order), Arc::clone(&queue)));
            }
            let mut sum = Tally::default();
            while let Some(tally) = workers.join_next().await {
                sum.add(tally.expect("a worker does not panic"));
            }
            sum
        }
    });
    runtime.block_on(all).expect("the task does not panic")
}

async fn worker(order: Arc<Order>, queue: Arc<Queue>) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    while queue.take() {
        let exchange = exchange(&order, &mut connection, &mut tally, &queue.gauge);
        let outcome = match timeout(order.timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::TimedOut),
        };
        if outcome.is_err() {
            connection = None;
        }
        queue.ended(&outcome);
        tally.record(outcome, &order.expect);
    }
    tally
}

type Connection = SendRequest<Empty<Bytes>>;

async fn exchange(
    order: &Order,
    connection: &mut Option<Connection>,
    tally: &mut Tally,
    gauge: &Gauge,
) -> Result<Answer, Failure> {
    // A connection that the server has closed since its last answer is not an error but a new one.
    if connection.as_ref().is_some_and(Connection::is_closed) {
        *connection = None;
    }
    let sender = match connection {
        Some(sender) => sender,
        None => {
            let fresh = connect(order).await?;
            tally.connected();
            connection.insert(fresh)
        }
    };
    sender.ready().await.map_err(|error| Failure::Write(error.to_string()))?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = order.target.parse::<Uri>().map_err(|error| Failure::Write(error.to_string()))?;
    let host = HeaderValue::from_str(&order.host).map_err(|error| Failure::Write(error.to_string()))?;
    request.headers_mut().insert(HOST, host);
    let _under_way = gauge.enter();
    let start = Instant::now();
    let response = sender.send_request(request).await.map_err(read_failure)?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(read_failure)?.to_bytes();
    Ok(Answer { service: start.elapsed(), status, body: body.into(), keep_alive: true })
}

fn read_failure(error: hyper::Error) -> Failure {
    // Cancelled: hyper found the connection closed before it had sent anything.
    if error.is_canceled() { Failure::Write(error.to_string()) } else { Failure::Read(error.to_string()) }
}

async fn connect(order: &Order) -> Result<Connection, Failure> {
    let refused = |error: std::io::Error| Failure::Connect(error.to_string());
    let stream = TcpStream::connect(order.addr).await.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| Failure::Connect(error.to_string()))?;
    // What breaks the connection is reported to the request that is on it.
    tokio::spawn(async move { _ = connection.await });
    Ok(sender)
}
