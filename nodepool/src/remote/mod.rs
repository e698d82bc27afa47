//! How a machine is reached: run a script, with input, and get its output.
//!
//! [`Remote`] is one open connection to one machine, [`Connector`] opens them. Everything that `lbctl` does
//! on a machine is a [`Script`]; what it says is pure text (`crate::script`), so that tests run the same
//! commands against scripted machines.

mod openssh;
mod quote;

pub use openssh::SshConnector;
pub use quote::{command_line, quote};

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

/// One command for a machine: a POSIX shell text with arguments and input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Stable name of what it does (`put-file`, `kubeadm-init`): in logs and for scripted machines.
    pub id: &'static str,
    /// Shell text; `$1`… are `args`.
    pub body: String,
    /// Arguments; never secret, they are visible in the machine's process list.
    pub args: Vec<String>,
    /// Standard input; secrets travel here.
    pub input: Input,
    /// Run as root through the step lock, so that two steps never overlap on one machine.
    pub exclusive: bool,
    /// The output is a secret (a kubeconfig): it is handed back, but not logged.
    pub secret_output: bool,
    /// Longest run.
    pub timeout: Duration,
}

/// Standard input of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    None,
    /// These bytes; an image that goes to a hundred machines is in memory once.
    Bytes(Arc<[u8]>),
    /// The content of a local file.
    File(PathBuf),
}

impl Script {
    /// A script that only looks.
    pub fn query(id: &'static str, body: impl Into<String>) -> Self {
        Self {
            id,
            body: body.into(),
            args: Vec::new(),
            input: Input::None,
            exclusive: false,
            secret_output: false,
            timeout: Duration::from_secs(60),
        }
    }

    /// A script that changes the machine: it runs alone.
    pub fn change(id: &'static str, body: impl Into<String>) -> Self {
        Self {
            exclusive: true,
            timeout: Duration::from_secs(300),
            ..Self::query(id, body)
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets the input.
    #[must_use]
    pub fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// Sets the longest run.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Keeps the output out of the logs.
    #[must_use]
    pub fn secret_output(mut self) -> Self {
        self.secret_output = true;
        self
    }
}

/// What a script left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Exit status; 0 is success.
    pub status: i32,
    /// Standard output. Of an exclusive script: both outputs in the order they came.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Why a machine could not be reached or a script not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteFailure {
    /// Name does not resolve, no route, no answer, refused.
    #[error("not reachable over SSH: {0}")]
    Unreachable(String),
    /// The key or the user was refused.
    #[error("SSH key or user refused: {0}")]
    Refused(String),
    /// The machine shows another host key than before.
    #[error("the host key is not the one that was seen before")]
    HostKeyChanged,
    /// The `ssh` program could not be started.
    #[error("the OpenSSH client could not be started: {0}")]
    NoClient(String),
    /// The connection broke while a script ran; the script may still be running there.
    #[error("connection lost")]
    Lost,
    /// A script took longer than it may.
    #[error("no end after {}", crate::ui::seconds(*.0))]
    Timeout(Duration),
    /// Local trouble with a file or pipe.
    #[error("{0}")]
    Local(String),
}

impl RemoteFailure {
    /// Bounded set of words for tables and tests.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::HostKeyChanged => "host-key-changed",
            Self::NoClient(_) => "no-client",
            Self::Lost => "lost",
            Self::Timeout(_) => "timeout",
            Self::Local(_) => "local",
        }
    }
}

/// An open connection to one machine.
pub trait Remote: Send + Sync {
    /// Runs a script to its end.
    ///
    /// # Errors
    /// When it could not be started or its end not be seen; a status other than 0 is not an error here.
    fn run<'a>(&'a self, script: &'a Script) -> BoxFuture<'a, Result<Output, RemoteFailure>>;

    /// Starts a script that lasts until the returned [`Held`] is dropped (or `lbctl` dies): what is its input is sent,
    /// and then stays open. Returns when it has printed the line `ready`, or with its output when it ended before that.
    fn hold<'a>(&'a self, script: &'a Script) -> BoxFuture<'a, Result<Hold, RemoteFailure>>;

    /// Makes a loopback port of the machine reachable at the returned local address, as long as the connection
    /// lasts.
    fn forward(&self, port: u16) -> BoxFuture<'_, Result<SocketAddr, RemoteFailure>>;
}

/// Outcome of [`Remote::hold`].
pub enum Hold {
    /// The script runs.
    Held(Held),
    /// The script ended.
    Ended(Output),
}

/// A script that runs as long as this lives.
pub struct Held {
    stop: tokio::sync::oneshot::Sender<()>,
    ended: Option<tokio::sync::oneshot::Receiver<()>>,
}

impl Held {
    /// Ties a running script to the other end of `stop`.
    pub fn new(stop: tokio::sync::oneshot::Sender<()>) -> Self {
        Self { stop, ended: None }
    }

    /// The same, with news of its end.
    #[must_use]
    pub fn watched(self, ended: tokio::sync::oneshot::Receiver<()>) -> Self {
        Self {
            ended: Some(ended),
            ..self
        }
    }

    /// Lets the script go and waits until it has ended, with what it does at its end.
    pub async fn release(self) {
        let Self { stop, ended } = self;
        drop(stop);
        if let Some(ended) = ended {
            // An error is the end as well.
            ended.await.ok();
        }
    }
}

/// Opens connections.
pub trait Connector: Send + Sync {
    /// Connects to the machine at `address`.
    ///
    /// # Errors
    /// When it is not reachable, refuses the key, or shows another host key than before.
    fn connect<'a>(
        &'a self,
        address: IpAddr,
    ) -> BoxFuture<'a, Result<Box<dyn Remote>, RemoteFailure>>;
}
