//! Why a probe failed.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::CertificateError;

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeFailure {
    /// Nobody listens.
    #[error("connection refused")]
    Refused,
    /// Time was up.
    #[error("timed out {phase}")]
    Timeout {
        /// What was being waited for.
        phase: Phase,
    },
    /// The connection could not be opened for another reason.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The handshake failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The answer was not HTTP, was cut off or too large.
    #[error("no usable answer: {0}")]
    Http(String),
    /// The answer was a refusal: its status and the first 200 bytes of its body.
    #[error("answered {0}{separator}{1}", separator = if .1.is_empty() { "" } else { ": " })]
    Status(u16, String),
}

impl ProbeFailure {
    /// Bounded label for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Timeout { .. } => "timeout",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Http(_) => "http",
            Self::Status(..) => "status",
        }
    }

    pub(super) fn from_connect(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Timeout {
                phase: Phase::Connect,
            },
            _ => Self::Connect(error),
        }
    }

    pub(super) fn from_handshake(error: &io::Error, name: &str) -> Self {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Self::Tls(match inner {
            Some(rustls::Error::InvalidCertificate(reason)) => certificate(reason, name),
            Some(other) => other.to_string(),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                "the server closed the connection during the handshake".to_owned()
            }
            None => error.to_string(),
        })
    }

    pub(super) fn from_http(error: hyper::Error) -> Self {
        let cause = error.source().map(ToString::to_string);
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return Self::Http("the server closed the connection before it answered".to_owned());
        }
        Self::Http(cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")))
    }
}

/// What a probe waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// The TCP handshake.
    #[default]
    Connect,
    /// The TLS handshake.
    Tls,
    /// The head of the answer.
    Answer,
    /// The rest of the answer.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "waiting for the connection",
            Self::Tls => "in the TLS handshake",
            Self::Answer => "waiting for the answer",
            Self::Body => "reading the body",
        })
    }
}

/// The first 200 bytes of `body` as one line.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_BYTES)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn certificate(reason: &CertificateError, name: &str) -> String {
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the certificate is not signed by the trusted CA".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the certificate does not carry `{name}`")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet: are the clocks right?".to_owned()
        }
        other => format!("the certificate is not acceptable: {other}"),
    }
}

const EXCERPT_BYTES: usize = 200;
