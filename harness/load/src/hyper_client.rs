//! Tasks on tokio that issue requests with hyper's client, each on a kept connection.
//!
//! As many tasks as may be under way at once: that is the concurrency limit. A task opens its connection
//! when it has its first request to send, and again when the server has closed it.

use crate::fate::Fate;
use crate::protocol::Order;
use crate::tally::{Answer, Queue};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
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

/// A request as hyper takes it. The length of its body is hyper's to say.
pub(super) type Request = hyper::Request<Full<Bytes>>;

/// The order's request.
///
/// # Errors
/// It is no valid HTTP.
pub(super) fn request(order: &Order) -> Result<Arc<Request>, String> {
    let wanted = &order.request;
    let mut builder = hyper::Request::builder().method(wanted.method.as_str()).uri(&wanted.target);
    for (name, value) in &wanted.headers {
        builder = builder.header(name, value);
    }
    if builder.headers_ref().is_some_and(|headers| !headers.contains_key(HOST)) {
        builder = builder.header(HOST, &order.host);
    }
    let body = Full::new(Bytes::from(wanted.body.clone()));
    builder.body(body).map(Arc::new).map_err(|error| format!("the request is not valid: {error}"))
}

/// Issues requests from `in_flight` tasks until none is left.
pub(super) fn run(
    runtime: &Runtime,
    order: &Arc<Order>,
    request: &Arc<Request>,
    queue: &Arc<Queue>,
    in_flight: usize,
) {
    // Spawned: the future given to block_on runs outside the workers.
    let all = runtime.spawn({
        let (order, request, queue) = (Arc::clone(order), Arc::clone(request), Arc::clone(queue));
        async move {
            let mut workers = JoinSet::new();
            for _ in 0..in_flight {
                workers.spawn(worker(Arc::clone(&order), Arc::clone(&request), Arc::clone(&queue)));
            }
            while let Some(ended) = workers.join_next().await {
                ended.expect("a worker does not panic");
            }
        }
    });
    runtime.block_on(all).expect("the task does not panic")
}

async fn worker(order: Arc<Order>, request: Arc<Request>, queue: Arc<Queue>) {
    let mut connection = None;
    while queue.take() {
        let exchange = exchange(&order, &request, &mut connection, &queue);
        let outcome = match timeout(order.timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fate::TimedOut),
        };
        if outcome.is_err() {
            connection = None;
        }
        queue.ended(outcome, &order.expect);
    }
}

type Connection = SendRequest<Full<Bytes>>;

async fn exchange(
    order: &Order,
    request: &Request,
    connection: &mut Option<Connection>,
    queue: &Queue,
) -> Result<Answer, Fate> {
    // A connection that the server has closed since its last answer is not an error but a new one.
    if connection.as_ref().is_some_and(Connection::is_closed) {
        *connection = None;
    }
    let sender = match connection {
        Some(sender) => sender,
        None => {
            let fresh = connect(order).await?;
            queue.connected();
            connection.insert(fresh)
        }
    };
    sender.ready().await.map_err(|error| Fate::ErrWrite(error.to_string()))?;
    let request = request.clone();
    let _under_way = queue.gauge.enter();
    let start = Instant::now();
    let response = sender.send_request(request).await.map_err(read_failure)?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(read_failure)?.to_bytes();
    Ok(Answer { service: start.elapsed(), status, body: body.into() })
}

fn read_failure(error: hyper::Error) -> Fate {
    // Cancelled: hyper found the connection closed before it had sent anything.
    if error.is_canceled() { Fate::ErrWrite(error.to_string()) } else { Fate::ErrRead(error.to_string()) }
}

async fn connect(order: &Order) -> Result<Connection, Fate> {
    let refused = |error: std::io::Error| Fate::ErrConnect(error.to_string());
    let stream = TcpStream::connect(order.addr).await.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| Fate::ErrConnect(error.to_string()))?;
    // What breaks the connection is reported to the request that is on it.
    tokio::spawn(async move { _ = connection.await });
    Ok(sender)
}
