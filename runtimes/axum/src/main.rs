//! axum as it is deployed: its router, its extractors and `axum::serve`, on tokio's work-stealing pool.

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt as _;
use contract::handler::{Config, respond};
use contract::reply::Reply;
use contract::route::ROUTES;
use contract::{HttpStack, MAX_BODY, Server, Spec, server};
use rt_tokio::Tokio;
use std::net::TcpListener;
use std::process::ExitCode;
use tokio::runtime::Builder;

const SPEC: Spec = Spec {
    runtime: "axum",
    package: Some("axum"),
    http: HttpStack::Package("hyper"),
    flavors: &[],
    has_workers: true,
};

static X_PROCESS_TIME: HeaderName = HeaderName::from_static("x-process-time");

fn main() -> ExitCode {
    server::run(SPEC, |server| {
        let workers = server.workers();
        rt_tokio::run(server, Builder::new_multi_thread(), workers, serve)
    })
}

async fn serve(server: Server, listener: TcpListener) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    let app = router(server.config());
    let stop = async move { server.stop.requested().await };
    Ok(axum::serve(listener, app).with_graceful_shutdown(stop).await?)
}

/// Every path of the contract has its route. The contract answers there, and wherever no route is.
fn router(config: Config) -> Router {
    let paths = ROUTES.iter().filter_map(|route| route.template.split('?').next());
    paths
        .fold(Router::new(), |router, path| router.route(path, any(answer)))
        .fallback(answer)
        .with_state(config)
}

async fn answer(State(config): State<Config>, method: Method, uri: Uri, _: Read) -> Response {
    response(respond(&Tokio, config, method.as_str(), uri.path(), uri.query()).await)
}

/// The request's body was read and dropped.
struct Read;

impl<S: Send + Sync> FromRequest<S> for Read {
    type Rejection = Response;

    async fn from_request(mut request: Request, state: &S) -> Result<Read, Response> {
        // Before the first read, which would send 100 Continue and wait for what is not wanted.
        if request.body().size_hint().lower() > MAX_BODY as u64 {
            return Err(response(Reply::body_too_long()));
        }
        DefaultBodyLimit::max(MAX_BODY).apply(&mut request);
        match Bytes::from_request(request, state).await {
            Ok(_) => Ok(Read),
            Err(long) if long.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(response(Reply::body_too_long()))
            }
            Err(_) => Err(response(Reply::bad_body())),
        }
    }
}

fn response(reply: Reply) -> Response {
    let process_time = reply.process_time();
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if let Ok(seconds) = HeaderValue::from_bytes(process_time.as_bytes()) {
        headers.insert(X_PROCESS_TIME.clone(), seconds);
    }
    if let Some(allow) = reply.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if reply.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
