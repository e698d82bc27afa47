//! One check of one server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::probe::{self, ProbeFailure};
use daemon::tls::{ClientTls, ServerName};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::config::{CheckPlan, Probe};
use crate::core::health::Failure;
use crate::core::proxy_protocol::emit_local;

/// The CA of the servers, re-read when the file changes. It may appear long after the proxy has started: on a new
/// control-plane node `kubeadm` makes it.
#[derive(Debug)]
pub(crate) struct Ca {
    path: PathBuf,
    pem: Vec<u8>,
    state: Result<ClientTls, Failure>,
}

impl Ca {
    pub(crate) fn new(path: &Path) -> Self {
        let state = Err(Failure {
            kind: "ca",
            why: "CA not read yet".to_owned(),
        });
        let mut ca = Self {
            path: path.to_owned(),
            pem: Vec::new(),
            state,
        };
        ca.refresh();
        ca
    }

    /// Looks at the file again. Without a usable one the last usable one stays in force.
    pub(crate) fn refresh(&mut self) {
        let name = self.path.display().to_string();
        match std::fs::read(&self.path) {
            Ok(pem) if pem == self.pem && self.state.is_ok() => {}
            Ok(pem) => match ClientTls::from_ca_pem(&pem, &name) {
                Ok(tls) => {
                    tracing::info!(file = name, "CA of the servers read");
                    (self.pem, self.state) = (pem, Ok(tls));
                }
                Err(error) => self.complain(error.to_string()),
            },
            Err(error) => self.complain(format!("cannot read the CA file {name}: {error}")),
        }
    }

    fn complain(&mut self, why: String) {
        if self.state.is_err() {
            self.state = Err(Failure { kind: "ca", why });
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// A check with all it needs, ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Examination {
    target: SocketAddr,
    timeout: Duration,
    /// Goes first over the connection.
    preface: Vec<u8>,
    how: How,
}

#[derive(Debug, Clone)]
enum How {
    Tcp,
    Http {
        path: String,
    },
    Https {
        path: String,
        tls: Result<ClientTls, Failure>,
    },
}

impl Examination {
    pub(crate) fn new(target: SocketAddr, plan: &CheckPlan, ca: Option<&Ca>) -> Self {
        let how = match &plan.probe {
            Probe::Tcp => How::Tcp,
            Probe::Http { path } => How::Http { path: path.clone() },
            Probe::Https { path, ca_file } => {
                let missing = || Failure {
                    kind: "ca",
                    why: format!("the CA file {} was not read yet", ca_file.display()),
                };
                let tls = ca.map_or_else(|| Err(missing()), |ca| ca.state.clone());
                How::Https {
                    path: path.clone(),
                    tls,
                }
            }
        };
        Self {
            target,
            timeout: plan.timeout,
            preface: plan.send_proxy.map(emit_local).unwrap_or_default(),
            how,
        }
    }

    /// # Errors
    /// Why the server did not pass.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (target, timeout) = (self.target, self.timeout);
        match self.how {
            How::Tcp => connect(target, &self.preface, timeout).await,
            How::Http { path } => {
                answer(probe::get_behind(&self.preface, target, None, &path, timeout).await)
            }
            How::Https { path, tls } => {
                let tls = tls?;
                let name = ServerName::IpAddress(target.ip().into());
                answer(
                    probe::get_behind(&self.preface, target, Some((&tls, name)), &path, timeout)
                        .await,
                )
            }
        }
    }
}

async fn connect(target: SocketAddr, preface: &[u8], timeout: Duration) -> Result<(), Failure> {
    let fail = |kind, why: String| Err(Failure { kind, why });
    match tokio::time::timeout(timeout, greet(target, preface)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            fail("refused", "connection refused".to_owned())
        }
        Ok(Err(error)) => fail("connect", format!("cannot connect: {error}")),
        Err(_) => fail("timeout", "timed out waiting for the connection".to_owned()),
    }
}

async fn greet(target: SocketAddr, preface: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(preface).await
}

fn answer(result: Result<probe::Answer, ProbeFailure>) -> Result<(), Failure> {
    match result {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(Failure {
            kind: "status",
            why: format!("answered {} instead of 200", answer.status),
        }),
        Err(failure) => Err(Failure {
            kind: failure.kind(),
            why: failure.to_string(),
        }),
    }
}
