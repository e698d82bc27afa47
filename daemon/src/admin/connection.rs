//! Accepting and serving connections of the admin server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Site;
use super::page::{Page, change_log_level};

/// Accepts until `token` is cancelled, then lets answers that are under way finish.
pub(super) async fn accept(listener: TcpListener, site: Arc<Site>, token: CancellationToken) {
    let node = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let network = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = token.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors or memory: the next attempt fails at once as well, so wait a little.
                tracing::debug!(%error, "admin server cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let budget = if is_local(peer) { &node } else { &network };
        let Ok(permit) = Arc::clone(budget).try_acquire_owned() else {
            tracing::debug!(%peer, "admin server has too many connections");
            continue;
        };
        let (site, token) = (Arc::clone(&site), token.clone());
        tasks.spawn(async move {
            serve(stream, peer, site, token).await;
            drop(permit);
        });
    }
    tasks.close();
    let _ = tokio::time::timeout(DRAIN, tasks.wait()).await;
}

async fn serve(stream: TcpStream, peer: SocketAddr, site: Arc<Site>, token: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(respond(request, peer, &site).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = token.cancelled() => None,
        () = tokio::time::sleep(LONGEST_CONNECTION) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(DRAIN, connection)
                .await
                .unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "admin connection ended");
    }
}

async fn respond(
    request: Request<Incoming>,
    peer: SocketAddr,
    site: &Site,
) -> Response<Full<Bytes>> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let page = if path == "/loglevel" && (method == Method::PUT || method == Method::POST) {
        if is_local(peer) {
            match Limited::new(request.into_body(), MAX_BODY_BYTES)
                .collect()
                .await
            {
                Ok(body) => change_log_level(&body.to_bytes()),
                Err(_) => Page::text("the filter is too long\n").with_status(413),
            }
        } else {
            Page::text("the log filter is changed from the node itself only\n").with_status(403)
        }
    } else {
        site.answer(&method, &path)
    };
    let body = if method == Method::HEAD {
        Bytes::new()
    } else {
        Bytes::from(page.body)
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() =
        StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

const MAX_CONNECTIONS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_BODY_BYTES: usize = 1024;
const HEADER_PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_CONNECTION: Duration = Duration::from_secs(300);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const DRAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_itself_is_told_from_the_network() {
        for (peer, local) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("10.10.0.11:1", false),
            ("[::ffff:10.10.0.11]:1", false),
            ("[fd00::1]:1", false),
        ] {
            assert_eq!(is_local(peer.parse().unwrap()), local, "{peer}");
        }
    }
}
