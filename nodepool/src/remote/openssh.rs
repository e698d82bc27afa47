//! [`Remote`] over the OpenSSH client: one master connection per machine, commands through its control socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use openssh::{ControlPersist, ForwardType, KnownHosts, Session, SessionBuilder, Stdio};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::{Connector, Held, Hold, Input, Output, Remote, RemoteFailure, Script, command_line};
use crate::script;

/// Connects with the user's own OpenSSH client: `~/.ssh/config`, agents, jump hosts and hardware keys work.
#[derive(Debug, Clone)]
pub struct SshConnector {
    /// Login name.
    pub user: String,
    /// Private key; without it OpenSSH's own choice (agent, default keys).
    pub key: Option<PathBuf>,
    /// Host keys seen so far. Unknown ones are added, changed ones refused.
    pub known_hosts: PathBuf,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
}

/// A broken connection is noticed after three of these.
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// The master connection ends by itself when no `lbctl` used it for so long (after SIGKILL).
const MASTER_IDLE_SECONDS: usize = 30;
/// The holder on the machine gives up when it hears nothing for a minute.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Read from a file at a time, on its way to a script that stays.
const CHUNK: usize = 256 * 1024;
/// More output than this of one command is cut off.
const OUTPUT_LIMIT: u64 = 8 * 1024 * 1024;

impl SshConnector {
    async fn open(&self, address: IpAddr) -> Result<Session, RemoteFailure> {
        let idle = std::num::NonZeroUsize::new(MASTER_IDLE_SECONDS);
        let mut builder = SessionBuilder::default();
        builder
            .user(self.user.clone())
            .known_hosts_check(KnownHosts::Add)
            .user_known_hosts_file(ssh_path(&self.known_hosts))
            .connect_timeout(self.connect_timeout)
            .server_alive_interval(ALIVE_INTERVAL)
            .control_persist(idle.map_or(ControlPersist::Forever, ControlPersist::IdleFor))
            // A socket's path holds about 100 bytes, and home directories can be deep.
            .control_directory(std::env::temp_dir());
        if let Some(key) = &self.key {
            builder.keyfile(key);
        }
        let connecting = builder.connect_mux(address.to_string());
        // ConnectTimeout covers the TCP connection only.
        match tokio::time::timeout(self.connect_timeout * 2, connecting).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => Err(connect_failure(&error)),
            Err(_) => Err(RemoteFailure::Unreachable(format!(
                "no answer within {}",
                crate::ui::seconds(self.connect_timeout * 2)
            ))),
        }
    }
}

impl Connector for SshConnector {
    fn connect<'a>(
        &'a self,
        address: IpAddr,
    ) -> BoxFuture<'a, Result<Box<dyn Remote>, RemoteFailure>> {
        async move {
            let session = Arc::new(self.open(address).await?);
            let machine = Machine {
                session,
                root: self.user == "root",
            };
            Ok(Box::new(machine) as Box<dyn Remote>)
        }
        .boxed()
    }
}

struct Machine {
    session: Arc<Session>,
    root: bool,
}

impl Machine {
    fn command(&self, script: &Script) -> String {
        command_line(&script::wrapped(script, self.root))
    }

    async fn run_unbounded(&self, script: &Script) -> Result<Output, RemoteFailure> {
        let mut command = self.session.raw_command(self.command(script));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        match &script.input {
            Input::None => command.stdin(Stdio::null()),
            Input::Bytes(_) => command.stdin(Stdio::piped()),
            // The master reads the file itself: nothing is copied through this process.
            Input::File(path) => command.stdin(Stdio::from(open(path)?)),
        };
        let mut child = command.spawn().await.map_err(|error| run_failure(&error))?;
        let feed = child.stdin().take().map(|mut stdin| {
            let bytes = match &script.input {
                Input::Bytes(bytes) => Arc::clone(bytes),
                Input::None | Input::File(_) => Arc::default(),
            };
            // A command that ends early closes its input: its status tells more than this error.
            async move {
                if stdin.write_all(&bytes).await.is_ok() {
                    stdin.shutdown().await.ok();
                }
            }
        });
        let stdout = read_all(child.stdout().take());
        let stderr = read_all(child.stderr().take());
        let (_, stdout, stderr) = futures::join!(
            async {
                if let Some(feed) = feed {
                    feed.await;
                }
            },
            stdout,
            stderr
        );
        let status = child.wait().await.map_err(|error| run_failure(&error))?;
        Ok(Output {
            status: status.code().unwrap_or(255),
            stdout,
            stderr,
        })
    }

    async fn start_holding(&self, script: &Script) -> Result<Hold, RemoteFailure> {
        let session = Arc::clone(&self.session);
        let mut child = session
            .arc_raw_command(self.command(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .await
            .map_err(|error| run_failure(&error))?;
        let (Some(mut stdin), Some(stdout), stderr) = (
            child.stdin().take(),
            child.stdout().take(),
            child.stderr().take(),
        ) else {
            return Err(RemoteFailure::Local(
                "the remote command has no pipes".to_owned(),
            ));
        };
        // A command that ends early closes its input: its status tells more than an error here.
        match &script.input {
            Input::None => {}
            Input::Bytes(bytes) => drop(stdin.write_all(bytes).await),
            Input::File(path) => {
                let file = tokio::fs::File::from_std(open(path)?);
                let mut file = BufReader::with_capacity(CHUNK, file);
                drop(tokio::io::copy_buf(&mut file, &mut stdin).await);
            }
        }
        let mut stdout = BufReader::new(stdout);
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = stdout.read_line(&mut line).await.unwrap_or(0);
            if read == 0 {
                let stderr = read_all(stderr).await;
                let status = child.wait().await.map_err(|error| run_failure(&error))?;
                let status = status.code().unwrap_or(255);
                return Ok(Hold::Ended(Output {
                    status,
                    stdout: seen,
                    stderr,
                }));
            }
            if line.trim_end() == "ready" {
                break;
            }
            seen.push_str(&line);
        }
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut stopped => break,
                    () = tokio::time::sleep(HEARTBEAT) => {
                        if stdin.write_all(b".").await.is_err() {
                            break;
                        }
                    }
                }
            }
            drop(stdin);
            child.wait().await.ok();
            // Nobody may be interested.
            end.send(()).ok();
        });
        Ok(Hold::Held(Held::new(stop).watched(ended)))
    }
}

impl Remote for Machine {
    fn run<'a>(&'a self, script: &'a Script) -> BoxFuture<'a, Result<Output, RemoteFailure>> {
        async move {
            match tokio::time::timeout(script.timeout, self.run_unbounded(script)).await {
                Ok(result) => result,
                Err(_) => Err(RemoteFailure::Timeout(script.timeout)),
            }
        }
        .boxed()
    }

    fn hold<'a>(&'a self, script: &'a Script) -> BoxFuture<'a, Result<Hold, RemoteFailure>> {
        async move {
            match tokio::time::timeout(script.timeout, self.start_holding(script)).await {
                Ok(result) => result,
                Err(_) => Err(RemoteFailure::Timeout(script.timeout)),
            }
        }
        .boxed()
    }

    fn forward(&self, port: u16) -> BoxFuture<'_, Result<SocketAddr, RemoteFailure>> {
        async move {
            let local = free_port()?;
            let there = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            self.session
                .request_port_forward(ForwardType::Local, local, there)
                .await
                .map_err(|error| run_failure(&error))?;
            Ok(local)
        }
        .boxed()
    }
}

/// A local port that nobody listens on.
fn free_port() -> Result<SocketAddr, RemoteFailure> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| RemoteFailure::Local(format!("no free local port: {error}")))
}

async fn read_all<R: tokio::io::AsyncRead + Unpin>(source: Option<R>) -> String {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        // What arrived before a broken connection is still worth showing.
        source.take(OUTPUT_LIMIT).read_to_end(&mut bytes).await.ok();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn open(path: &Path) -> Result<std::fs::File, RemoteFailure> {
    std::fs::File::open(path)
        .map_err(|error| RemoteFailure::Local(format!("cannot read `{}`: {error}", path.display())))
}

/// A path as OpenSSH's option parser reads it: blanks need quotes, `%` starts a token.
fn ssh_path(path: &Path) -> PathBuf {
    let text = path.display().to_string().replace('%', "%%");
    if text.contains(char::is_whitespace) {
        format!("\"{text}\"").into()
    } else {
        text.into()
    }
}

fn connect_failure(error: &openssh::Error) -> RemoteFailure {
    let openssh::Error::Connect(cause) = error else {
        return RemoteFailure::Unreachable(error.to_string());
    };
    if cause.kind() == io::ErrorKind::NotFound {
        return RemoteFailure::NoClient("`ssh` is not installed or not in PATH".to_owned());
    }
    classify(&cause.to_string())
}

/// Reads OpenSSH's own words.
fn classify(text: &str) -> RemoteFailure {
    if text.contains("HOST IDENTIFICATION HAS CHANGED")
        || text.contains("Host key verification failed")
    {
        return RemoteFailure::HostKeyChanged;
    }
    let meaningful = |line: &&str| !line.is_empty() && !line.starts_with("Warning: Permanently");
    let line = text
        .lines()
        .map(str::trim)
        .rfind(meaningful)
        .unwrap_or("no reason given");
    if line.contains("Permission denied") || line.contains("Too many authentication failures") {
        return RemoteFailure::Refused(line.to_owned());
    }
    RemoteFailure::Unreachable(line.to_owned())
}

fn run_failure(error: &openssh::Error) -> RemoteFailure {
    match error {
        openssh::Error::Disconnected | openssh::Error::RemoteProcessTerminated => {
            RemoteFailure::Lost
        }
        openssh::Error::SshMux(cause) => {
            RemoteFailure::Local(format!("ssh control socket: {cause}"))
        }
        other => RemoteFailure::Local(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_words_become_causes() {
        let refused = "root@10.10.0.11: Permission denied (publickey).";
        assert_eq!(classify(refused).kind(), "refused");
        let added = "Warning: Permanently added '10.10.0.11' (ED25519) to the list of known hosts.\r\nroot@10.10.0.11: Permission denied (publickey).";
        assert_eq!(classify(added).kind(), "refused");
        let silent = "connect to host 10.10.0.99 port 22: No route to host";
        assert_eq!(
            classify(silent).to_string(),
            format!("not reachable over SSH: {silent}")
        );
        let changed = "@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n…\nHost key verification failed.";
        assert_eq!(classify(changed).kind(), "host-key-changed");
    }

    #[test]
    fn paths_survive_the_option_parser() {
        assert_eq!(
            ssh_path(Path::new("/tmp/a b/k")),
            PathBuf::from("\"/tmp/a b/k\"")
        );
        assert_eq!(
            ssh_path(Path::new("/tmp/100%/k")),
            PathBuf::from("/tmp/100%%/k")
        );
    }
}
