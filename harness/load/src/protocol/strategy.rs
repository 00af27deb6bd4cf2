//! The names under which loads are asked for and kept in results.

use super::order::Client;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};

/// How a client issues its requests: the article's strategies in its order, then the load engine's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Strategy {
    /// One blocking request after the other, a new connection each.
    Sequential,
    /// Blocking requests from a pool of threads, a new connection each.
    ThreadPool,
    /// Async requests under a concurrency limit, on connections that are kept alive.
    Async,
    /// Requests on a schedule that nothing moves, on a pool of kept connections.
    OpenLoop,
    /// Connections that send their next request when the last is answered.
    ClosedLoop,
    /// A new connection for each request, on a schedule or one after the other.
    Churn,
}

impl Strategy {
    /// Its name on the command line and in result files.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// One line for `harness list`.
    pub fn summary(self) -> &'static str {
        match self {
            Strategy::Sequential => "one blocking request after the other, a new connection each",
            Strategy::ThreadPool => {
                "blocking requests from a pool of --concurrency threads, a new connection each"
            }
            Strategy::Async => "async requests under a limit of --concurrency, on kept connections",
            Strategy::OpenLoop => {
                "requests at --rate for --duration, on a schedule that nothing moves; --concurrency kept connections"
            }
            Strategy::ClosedLoop => {
                "--concurrency kept connections for --duration, each sending its next request when answered"
            }
            Strategy::Churn => {
                "a new connection for each request for --duration, at --rate or --concurrency at a time"
            }
        }
    }

    /// The client that carries it out.
    pub fn client(self) -> Client {
        match self {
            Strategy::Sequential | Strategy::ThreadPool => Client::Blocking,
            Strategy::Async => Client::Hyper,
            Strategy::OpenLoop | Strategy::ClosedLoop | Strategy::Churn => Client::Engine,
        }
    }

    /// Whether it can follow a schedule with a rate.
    pub fn takes_rate(self) -> bool {
        matches!(self, Strategy::OpenLoop | Strategy::Churn)
    }

    /// Whether it is one of the load engine's, which run for a time and not for a number of requests.
    pub fn is_engine(self) -> bool {
        self.client() == Client::Engine
    }

    /// Whether a connection serves more than one request.
    pub fn keeps_alive(self) -> bool {
        matches!(self, Strategy::Async | Strategy::OpenLoop | Strategy::ClosedLoop)
    }
}
