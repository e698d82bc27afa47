//! One bounded GET over HTTP or HTTPS, and why it failed in plain words.
//!
//! It connects to an address, never to a name, ignores the proxy variables of the environment, follows no
//! redirect, keeps no connection, and takes one deadline for everything. Dropping the future closes the
//! connection.

mod failure;
mod url;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::tls::{ClientTls, ServerName};

pub use failure::{Phase, ProbeFailure};
pub use url::{ProbeUrl, ProbeUrlError};

/// An answer with a status of 200 to 299.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body, at most [`MAX_BODY_BYTES`].
    pub body: Vec<u8>,
    /// From the first packet to the last byte.
    pub took: Duration,
}

/// Asks `target` for `path` within `timeout`; over TLS when `tls` says whom to trust and which name the
/// certificate must carry.
///
/// # Errors
///
/// A [`ProbeFailure`] that says in which phase what went wrong; any status outside 200–299 is one.
pub async fn get(
    target: SocketAddr,
    tls: Option<(&ClientTls, ServerName<'static>)>,
    path: &str,
    timeout: Duration,
) -> Result<Answer, ProbeFailure> {
    get_behind(&[], target, tls, path, timeout).await
}

/// The same with `preface` as the first bytes of the connection, such as a PROXY header.
///
/// # Errors
///
/// As [`get`].
pub async fn get_behind(
    preface: &[u8],
    target: SocketAddr,
    tls: Option<(&ClientTls, ServerName<'static>)>,
    path: &str,
    timeout: Duration,
) -> Result<Answer, ProbeFailure> {
    let start = Instant::now();
    let phase = PhaseCell::default();
    let exchange = exchange(preface, target, tls, path, &phase);
    match tokio::time::timeout(timeout, exchange).await {
        Ok(Ok((status, body))) => Ok(Answer {
            status,
            body,
            took: start.elapsed(),
        }),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(ProbeFailure::Timeout {
            phase: phase.current(),
        }),
    }
}

async fn exchange(
    preface: &[u8],
    target: SocketAddr,
    tls: Option<(&ClientTls, ServerName<'static>)>,
    path: &str,
    phase: &PhaseCell,
) -> Result<(u16, Vec<u8>), ProbeFailure> {
    let mut stream = TcpStream::connect(target)
        .await
        .map_err(ProbeFailure::from_connect)?;
    let _ = stream.set_nodelay(true);
    stream
        .write_all(preface)
        .await
        .map_err(ProbeFailure::Connect)?;
    let Some((tls, name)) = tls else {
        return request(stream, &target.to_string(), path, phase).await;
    };
    phase.enter(Phase::Tls);
    let host = match &name {
        ServerName::DnsName(dns) => dns.as_ref().to_owned(),
        _ => target.to_string(),
    };
    let wanted = name.to_str().into_owned();
    let stream = tls
        .connector()
        .connect(name, stream)
        .await
        .map_err(|error| ProbeFailure::from_handshake(&error, &wanted))?;
    request(stream, &host, path, phase).await
}

async fn request<S>(
    stream: S,
    host: &str,
    path: &str,
    phase: &PhaseCell,
) -> Result<(u16, Vec<u8>), ProbeFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    phase.enter(Phase::Answer);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_BODY_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(ProbeFailure::from_http)?;
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| ProbeFailure::Http(format!("`{path}` cannot be asked for: {error}")))?;
    let exchange = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(ProbeFailure::from_http)?;
        phase.enter(Phase::Body);
        read(response).await
    };
    tokio::pin!(exchange);
    // The connection only moves while it is polled; what it ends with reaches us through the exchange.
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<(u16, Vec<u8>), ProbeFailure> {
    let status = response.status();
    let body = match Limited::new(response.into_body(), MAX_BODY_BYTES)
        .collect()
        .await
    {
        Ok(body) => body.to_bytes().to_vec(),
        // The status of a refusal says more than the rest of its body.
        Err(_) if !status.is_success() => Vec::new(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(ProbeFailure::Http(format!(
                "body is larger than {MAX_BODY_BYTES} bytes"
            )));
        }
        Err(error) => return Err(ProbeFailure::Http(format!("body is incomplete: {error}"))),
    };
    if status.is_success() {
        Ok((status.as_u16(), body))
    } else {
        Err(ProbeFailure::Status(
            status.as_u16(),
            failure::excerpt(&body),
        ))
    }
}

/// Where an exchange is: told to whoever finds that time is up.
#[derive(Debug, Clone, Default)]
struct PhaseCell(Arc<Mutex<Phase>>);

impl PhaseCell {
    fn enter(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn current(&self) -> Phase {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Largest body that is read.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

const AGENT: &str = concat!("lbnode-probe/", env!("CARGO_PKG_VERSION"));
