//! One attempt to get through.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Plan, report::Attempt};

/// What is said over a connection before it counts as a success.
#[derive(Debug, Clone)]
pub struct Exchange {
    tls: Option<Trust>,
    get: Option<String>,
    rounds: u32,
}

impl Exchange {
    /// Nothing: the connection itself.
    pub const fn connect() -> Self {
        Self {
            tls: None,
            get: None,
            rounds: 0,
        }
    }

    /// So many times a few bytes, each answered with at least one.
    pub const fn rounds(rounds: u32) -> Self {
        Self {
            tls: None,
            get: None,
            rounds,
        }
    }

    /// A whole TLS handshake.
    pub const fn handshake(trust: Trust) -> Self {
        Self {
            tls: Some(trust),
            get: None,
            rounds: 0,
        }
    }

    /// A `GET` in plain text that is answered with status 200.
    pub fn get(path: &str) -> Self {
        Self {
            tls: None,
            get: Some(path.to_owned()),
            rounds: 0,
        }
    }

    /// A `GET` over TLS that is answered with status 200.
    pub fn get_over_tls(trust: Trust, path: &str) -> Self {
        Self {
            tls: Some(trust),
            get: Some(path.to_owned()),
            rounds: 0,
        }
    }
}

/// Whose certificates are accepted.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those of the authorities in this PEM file, for the target's address.
    Authorities(PathBuf),
    /// All: it is the time that is measured.
    Anybody,
}

/// What all attempts of one prober share.
#[derive(Clone)]
pub(super) struct Client {
    target: SocketAddr,
    patience: Duration,
    tls: Option<TlsConnector>,
    request: Option<Arc<str>>,
    rounds: u32,
}

impl Client {
    pub(super) fn new(plan: &Plan) -> Result<Self> {
        let tls = plan.exchange.tls.as_ref().map(connector).transpose()?;
        let request = plan.exchange.get.as_ref().map(|path| {
            let text = format!(
                "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                plan.target
            );
            Arc::from(text)
        });
        Ok(Self {
            target: plan.target,
            patience: plan.patience,
            tls,
            request,
            rounds: plan.exchange.rounds,
        })
    }

    async fn get_through(&self) -> Result<(), String> {
        let why = |what: &'static str| move |error: io::Error| format!("{what}: {}", plain(&error));
        let stream = TcpStream::connect(self.target)
            .await
            .map_err(why("connect"))?;
        // A hundred connections a second would otherwise leave thousands in TIME_WAIT.
        stream.set_zero_linger().map_err(why("connect"))?;
        match &self.tls {
            None => self.ask(stream).await,
            Some(connector) => {
                let name = ServerName::IpAddress(self.target.ip().into());
                let stream = connector
                    .connect(name, stream)
                    .await
                    .map_err(why("handshake"))?;
                self.ask(stream).await
            }
        }
    }

    /// Sends the request, if there is one, and reads the status line of the answer.
    async fn ask(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
        for _ in 0..self.rounds {
            let mut some = [0; 64];
            let round = async {
                stream.write_all(&[b'?'; 50]).await?;
                match stream.read(&mut some).await? {
                    0 => Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => Ok(()),
                }
            };
            let round: io::Result<()> = round.await;
            round.map_err(|error| format!("round: {}", plain(&error)))?;
        }
        let Some(request) = &self.request else {
            return Ok(());
        };
        let mut answer = [0; 12];
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            stream.read_exact(&mut answer).await
        };
        exchange
            .await
            .map_err(|error| format!("answer: {}", plain(&error)))?;
        match answer
            .strip_prefix(b"HTTP/1.")
            .and_then(|rest| rest.get(2..5))
        {
            Some(b"200") => Ok(()),
            Some(status) => Err(format!(
                "answer: status {}",
                String::from_utf8_lossy(status)
            )),
            None => Err("answer: not HTTP".to_owned()),
        }
    }
}

/// Makes one attempt and notes how it went, in time since `origin`.
pub(super) async fn observe(client: Client, origin: Instant, start: Instant) -> Attempt {
    let failure = match tokio::time::timeout(client.patience, client.get_through()).await {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why),
        Err(_) => Some("no answer in time".to_owned()),
    };
    Attempt {
        start: start.saturating_duration_since(origin),
        end: origin.elapsed(),
        failure,
    }
}

/// An I/O error in few words that do not differ from one time to the next.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        io::ErrorKind::ConnectionReset => "reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "closed".to_owned(),
        _ => error.to_string(),
    }
}

fn connector(trust: &Trust) -> Result<TlsConnector> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let mut config = match trust {
        Trust::Authorities(file) => {
            let mut roots = RootCertStore::empty();
            let certificates = CertificateDer::pem_file_iter(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            for certificate in certificates {
                roots.add(certificate?)?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAnybody(provider)))
            .with_no_client_auth(),
    };
    // Every handshake is a whole one.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Accepts every certificate, but checks that its holder signed the handshake.
#[derive(Debug)]
struct AcceptAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
