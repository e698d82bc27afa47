//! The admin socket: lines of text in, a line of JSON or text out.
//!
//! | line | |
//! |---|---|
//! | `show` | the JSON of `/status` |
//! | `drain NAME` | the server gets no sessions any more |
//! | `ready NAME` | it gets some again while it is healthy |
//! | `kill NAME` | its sessions are closed; `kill *`: all |
//! | `hand-over`, `took-over` | see [`super::hand_over`] |
//!
//! Whoever may open the socket may do all of it: its mode is 0600.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::hand_over::{Item, Parcel, send};
use crate::core::fleet::Wish;
use crate::status::Board;

/// What an operator wants from the control loop.
#[derive(Debug)]
pub(crate) enum Order {
    /// A server is wanted or not; the answer is whether it exists.
    Wish {
        server: String,
        wish: Wish,
        reply: oneshot::Sender<bool>,
    },
    /// Its sessions end, or all; the answer is whether it exists.
    Kill {
        server: Option<String>,
        reply: oneshot::Sender<bool>,
    },
    /// Copies of the listening sockets.
    Sockets { reply: oneshot::Sender<Vec<Parcel>> },
    /// A successor accepts.
    TookOver,
}

/// Answers on `path` until the process ends. A socket file that nobody answers on is replaced.
///
/// # Errors
/// The path cannot be bound.
pub(crate) fn listen(path: &Path, board: Board, orders: mpsc::Sender<Order>) -> io::Result<Guard> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let task = tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (board, orders) = (board.clone(), orders.clone());
                    tokio::spawn(async move {
                        // An operator who hangs up has got what they wanted.
                        let _ = converse(stream, &board, &orders).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the admin socket");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(Guard {
        path: path.to_owned(),
        task,
        leave: false,
    })
}

/// Removes the socket file when dropped, unless a successor owns it.
#[derive(Debug)]
pub(crate) struct Guard {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
    leave: bool,
}

impl Guard {
    /// The file belongs to somebody else from here on.
    pub(crate) fn leave_file(mut self) {
        self.leave = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.task.abort();
        if !self.leave {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

async fn converse(
    mut stream: UnixStream,
    board: &Board,
    orders: &mpsc::Sender<Order>,
) -> io::Result<()> {
    loop {
        let mut line = String::new();
        let (reading, _) = stream.split();
        // Nothing is read ahead: who writes a line waits for its answer.
        let read = BufReader::with_capacity(1, reading.take(LONGEST_LINE))
            .read_line(&mut line)
            .await?;
        if read == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words.as_slice() {
            ["show"] => board.to_json().to_string(),
            ["drain", name] => wish(orders, name, Wish::Drain).await,
            ["ready", name] => wish(orders, name, Wish::Ready).await,
            ["kill", name] => {
                let server = (*name != "*").then(|| (*name).to_owned());
                let done = ask(orders, |reply| Order::Kill { server, reply }).await;
                verdict(name, done)
            }
            ["hand-over"] => {
                stream = hand_over(stream, orders).await?;
                continue;
            }
            ["took-over"] => {
                let _ = orders.send(Order::TookOver).await;
                "ok".to_owned()
            }
            _ => "error: not understood; use show, drain NAME, ready NAME, kill NAME or kill *"
                .to_owned(),
        };
        stream.write_all(format!("{answer}\n").as_bytes()).await?;
    }
}

async fn wish(orders: &mpsc::Sender<Order>, name: &str, wish: Wish) -> String {
    let server = name.to_owned();
    let done = ask(orders, |reply| Order::Wish {
        server,
        wish,
        reply,
    })
    .await;
    verdict(name, done)
}

fn verdict(name: &str, done: Option<bool>) -> String {
    match done {
        Some(true) => "ok".to_owned(),
        Some(false) => format!("error: no server is called `{name}`; `show` lists them"),
        None => "error: the proxy is stopping".to_owned(),
    }
}

async fn ask<T>(
    orders: &mpsc::Sender<Order>,
    order: impl FnOnce(oneshot::Sender<T>) -> Order,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    orders.send(order(reply)).await.ok()?;
    answer.await.ok()
}

/// Sends every socket, each after the successor has asked for it.
async fn hand_over(mut stream: UnixStream, orders: &mpsc::Sender<Order>) -> io::Result<UnixStream> {
    let parcels = ask(orders, |reply| Order::Sockets { reply })
        .await
        .unwrap_or_default();
    for (item, sockets) in parcels.into_iter().chain([(Item::Done, Vec::new())]) {
        let blocking = stream.into_std()?;
        blocking.set_nonblocking(false)?;
        blocking.set_write_timeout(Some(std::time::Duration::from_secs(1)))?;
        send(&blocking, &item, &sockets)?;
        blocking.set_nonblocking(true)?;
        stream = UnixStream::from_std(blocking)?;
        let mut next = [0; 5];
        stream.read_exact(&mut next).await?;
    }
    Ok(stream)
}

const LONGEST_LINE: u64 = 1024;
