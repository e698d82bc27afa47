//! The admin HTTP server of every role.
//!
//! | page | |
//! |---|---|
//! | `/livez` | 200 while the role works at all, 503 with reasons otherwise |
//! | `/readyz` | 200 when every latch of [`Readiness`] is ready, 503 with what is missing |
//! | `/metrics` | OpenMetrics text |
//! | `/status` | JSON of the role |
//! | `/loglevel` | GET shows the filter, PUT sets it (from the node itself only) |
//! | `/record` | the flight recorder, when the role has one |
//!
//! Everything is read-only but `PUT /loglevel`. Connections are few, short and bounded; those from the
//! node itself have a budget of their own, because the health of a virtual address hangs on them.

mod connection;
mod page;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::SharedRegistry;
use crate::ready::Readiness;
use crate::recorder::Recorder;

pub use page::Page;

/// Makes the JSON of `/status`.
pub type Status = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What every role's admin server is made from.
#[derive(Clone)]
pub struct Admin {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Behind `/readyz`.
    pub readiness: Readiness,
    /// Behind `/metrics`.
    pub registry: SharedRegistry,
    /// Behind `/status`.
    pub status: Status,
}

impl Admin {
    /// Adds a page of the role, see [`Server::route`].
    pub fn route(self, path: &str, page: impl Fn() -> Page + Send + Sync + 'static) -> Server {
        Server::from(self).route(path, page)
    }

    /// Sets what `/livez` depends on, see [`Server::liveness`].
    pub fn liveness(self, liveness: Readiness) -> Server {
        Server::from(self).liveness(liveness)
    }

    /// Adds `/record`.
    pub fn recorder(self, recorder: Recorder) -> Server {
        Server::from(self).recorder(recorder)
    }

    /// Serves until `token` is cancelled, see [`Server::serve`].
    ///
    /// # Errors
    ///
    /// None but those of a future version: binding is tried again until it works.
    pub fn serve(
        self,
        token: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send {
        Server::from(self).serve(token)
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

/// An [`Admin`] with pages of the role.
pub struct Server {
    addr: SocketAddr,
    site: Site,
}

impl Server {
    /// Adds a page at `path` (GET and HEAD). A page of the same path is replaced.
    #[must_use]
    pub fn route(mut self, path: &str, page: impl Fn() -> Page + Send + Sync + 'static) -> Self {
        self.site.pages.insert(path.to_owned(), Box::new(page));
        self
    }

    /// Makes `/livez` say 503 while a latch of `liveness` is not ready: for roles whose work happens on
    /// other threads than the admin server's.
    #[must_use]
    pub fn liveness(mut self, liveness: Readiness) -> Self {
        self.site.liveness = Some(liveness);
        self
    }

    /// Adds `/record`: the dump of `recorder` as JSON lines.
    #[must_use]
    pub fn recorder(self, recorder: Recorder) -> Self {
        self.route("/record", move || Page::json_lines(recorder.dump()))
    }

    /// Binds the address and serves until `token` is cancelled. A taken or missing address is tried again
    /// for as long as it takes: the role's work is more important than its admin page.
    ///
    /// # Errors
    ///
    /// None but those of a future version.
    pub async fn serve(self, token: CancellationToken) -> anyhow::Result<()> {
        let Some(listener) = bind(self.addr, &token).await else {
            return Ok(());
        };
        self.serve_on(listener, token).await
    }

    /// Serves on a socket that is already bound.
    ///
    /// # Errors
    ///
    /// None but those of a future version.
    pub async fn serve_on(
        self,
        listener: TcpListener,
        token: CancellationToken,
    ) -> anyhow::Result<()> {
        connection::accept(listener, Arc::new(self.site), token).await;
        Ok(())
    }
}

impl From<Admin> for Server {
    fn from(admin: Admin) -> Self {
        Self {
            addr: admin.addr,
            site: Site {
                readiness: admin.readiness,
                liveness: None,
                registry: admin.registry,
                status: admin.status,
                pages: BTreeMap::new(),
            },
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addr", &self.addr)
            .field("pages", &self.site.pages.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// What the pages are made from.
struct Site {
    readiness: Readiness,
    liveness: Option<Readiness>,
    registry: SharedRegistry,
    status: Status,
    pages: BTreeMap<String, Box<dyn Fn() -> Page + Send + Sync>>,
}

async fn bind(addr: SocketAddr, token: &CancellationToken) -> Option<TcpListener> {
    let mut pause = FIRST_PAUSE;
    let mut complaint: Option<io::ErrorKind> = None;
    loop {
        match TcpListener::bind(addr).await {
            Ok(listener) => {
                tracing::info!(address = %addr, "admin server listens");
                return Some(listener);
            }
            Err(error) => {
                if complaint != Some(error.kind()) {
                    tracing::warn!(address = %addr, %error, "admin server cannot bind: tries again");
                    complaint = Some(error.kind());
                }
            }
        }
        tokio::select! {
            () = token.cancelled() => return None,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
