//! Stand-ins for API servers that do not exist yet: with them the way through somebody else's load balancer is tried
//! before anything is installed.
//!
//! A stand-in answers TLS on the API server's port as health checks want it (`GET /readyz` is 200), with a certificate of
//! its own that nobody trusts, and plain HTTP beside it: whoever asks by way of the load balancer sends that, so that
//! a load balancer which opens TLS itself is noticed.
#![expect(
    clippy::disallowed_methods,
    reason = "driver: reads the clock and starts tasks"
)]

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use cluster_config::probe::FrontReport;
use daemon::probe;
use daemon::tls::ServerTls;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Longest wait for a request, and for one answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(150);
/// The caller shows that it is still there more often than this.
const SILENCE: Duration = Duration::from_secs(60);
/// First byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;
/// A request is shorter.
const LONGEST_REQUEST: usize = 4096;
/// What asks for the stand-in's name.
const PATH: &str = "/lbnode-probe";
/// So many answers in a row are no accident.
const STEADY: u32 = 3;

/// Answers at `listen` in the name of `run` until the input ends, stays silent for a minute, or `most` has passed.
/// Prints `ready` when it listens.
///
/// # Errors
/// When the port cannot be listened on.
pub(super) fn stand_in(listen: SocketAddr, run: &str, most: Duration) -> anyhow::Result<()> {
    let tls = ServerTls::self_signed(&listen.ip().to_string())?;
    let words = format!("{run} {}", listen.ip());
    runtime()?.block_on(async {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}"))?;
        writeln!(io::stdout(), "ready")?;
        tokio::select! {
            () = serve(&listener, &tls, &words) => {}
            () = tokio::time::sleep(most) => {}
            () = farewell() => {}
        }
        Ok(())
    })
}

async fn serve(listener: &TcpListener, tls: &ServerTls, words: &str) {
    loop {
        // A connection that is gone before it is taken is no reason to end.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, words) = (tls.acceptor(), words.to_owned());
        tokio::spawn(async move {
            let answer = async {
                let mut first = [0];
                stream.peek(&mut first).await?;
                if first[0] == HANDSHAKE {
                    answer(acceptor.accept(stream).await?, &words).await
                } else {
                    answer(stream, &words).await
                }
            };
            tokio::time::timeout(PATIENCE, answer).await.ok();
        });
    }
}

/// Ends when standard input does, or is silent for too long.
async fn farewell() {
    let (heard, mut hears) = tokio::sync::mpsc::channel::<()>(1);
    // A blocked read cannot be given up: the thread ends with the process.
    std::thread::spawn(move || {
        while io::stdin().read(&mut [0; 64]).is_ok_and(|bytes| bytes > 0) {
            if heard.blocking_send(()).is_err() {
                return;
            }
        }
    });
    while let Ok(Some(())) = tokio::time::timeout(SILENCE, hears.recv()).await {}
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, words: &str) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < LONGEST_REQUEST {
        request.push(stream.read_u8().await?);
    }
    let asked = request.starts_with(format!("GET {PATH} ").as_bytes());
    let body = if asked { words } else { "ok" };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// What is looked for behind a load balancer.
pub(super) struct Question {
    /// The load balancer.
    pub(super) target: SocketAddr,
    /// Tells our stand-ins from others.
    pub(super) run: String,
    /// Who should be found.
    pub(super) wanted: BTreeSet<String>,
    /// So long it goes on when not everybody is found, though answers are steady.
    pub(super) linger: Duration,
    /// So long in any case at most.
    pub(super) wait: Duration,
}

/// Connects anew again and again, and says who answered. It ends early when everybody was found and answers are steady.
///
/// # Errors
/// When there is no runtime.
pub(super) fn look(question: &Question) -> anyhow::Result<FrontReport> {
    runtime()?.block_on(search(question))
}

async fn search(question: &Question) -> anyhow::Result<FrontReport> {
    let begin = Instant::now();
    let mut report = FrontReport::default();
    let mut steady_since = None;
    while begin.elapsed() < question.wait {
        match ask(question).await {
            Ok(name) => {
                if !report.found.contains(&name) {
                    report.found.push(name);
                }
                report.in_a_row += 1;
            }
            Err(why) => {
                report.in_a_row = 0;
                report.trouble = Some(why);
            }
        }
        if report.in_a_row < STEADY {
            steady_since = None;
        } else {
            let since = *steady_since.get_or_insert_with(Instant::now);
            let all = question
                .wanted
                .iter()
                .all(|name| report.found.contains(name));
            if all || since.elapsed() >= question.linger {
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    report.steady = report.in_a_row >= STEADY;
    report.found.sort();
    Ok(report)
}

async fn ask(question: &Question) -> Result<String, String> {
    let answer = probe::get(question.target, None, PATH, PATIENCE).await;
    let answer = answer.map_err(|failure| failure.to_string())?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let ours = text.strip_prefix(question.run.as_str());
    ours.map(|name| name.trim().to_owned())
        .ok_or_else(|| "somebody else answers".to_owned())
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(target: SocketAddr) -> Question {
        Question {
            target,
            run: "r1".to_owned(),
            wanted: BTreeSet::from(["10.0.0.1".to_owned()]),
            linger: Duration::ZERO,
            wait: Duration::from_millis(700),
        }
    }

    /// What `search` finds at a stand-in that says `words`.
    fn found(words: &str) -> FrontReport {
        let runtime = runtime().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let target = listener.local_addr().expect("an address");
            let tls = ServerTls::self_signed("127.0.0.1").expect("a certificate");
            let question = question(target);
            tokio::select! {
                () = serve(&listener, &tls, words) => unreachable!("it serves for ever"),
                report = search(&question) => report.expect("a report"),
            }
        })
    }

    #[test]
    fn a_stand_in_is_found_by_the_word_of_its_run() {
        let report = found("r1 10.0.0.1");
        assert_eq!(report.found, ["10.0.0.1"]);
        assert!(report.steady, "{report:?}");
        assert_eq!(report.trouble, None);
    }

    #[test]
    fn somebody_else_is_not_taken_for_a_stand_in() {
        let report = found("r2 10.0.0.1");
        assert_eq!(report.found, Vec::<String>::new());
        assert!(!report.steady);
        assert_eq!(report.trouble.as_deref(), Some("somebody else answers"));
    }

    #[test]
    fn nobody_is_said_with_the_reason() {
        let runtime = runtime().expect("a runtime");
        let report = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let target = listener.local_addr().expect("an address");
            drop(listener);
            search(&question(target)).await.expect("a report")
        });
        let trouble = report.trouble.expect("a reason");
        assert!(trouble.contains("refused"), "{trouble}");
    }
}
