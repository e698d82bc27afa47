//! Signals, in a process of their own: this program starts itself.

#![expect(
    clippy::unwrap_used,
    reason = "test: ends where something unexpected happens"
)]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use daemon::shutdown::Shutdown;

#[test]
fn the_first_signal_asks_for_a_stop() {
    for signal in ["-TERM", "-INT"] {
        let mut process = Process::start();
        process.kill(signal);
        assert_eq!(process.line(), "stopping");
        drop(process.child.stdin.take());
        assert_eq!(process.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn the_second_signal_ends_a_stop_that_hangs() {
    let mut process = Process::start();
    process.kill("-TERM");
    assert_eq!(process.line(), "stopping");
    // Waiting would close it otherwise, and so let the stop finish.
    let open = process.child.stdin.take();
    process.kill("-TERM");
    assert_eq!(process.child.wait().unwrap().code(), Some(130));
    drop(open);
}

/// Not a test by itself: what the others start. Its stop hangs until its standard input ends.
#[tokio::test]
async fn role() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let shutdown = Shutdown::install().unwrap();
    println!("running");
    shutdown.token().cancelled().await;
    println!("stopping");
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        let _ = ended.send(());
    });
    end.await.unwrap();
}

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role", "--nocapture"])
            .env(ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { child, lines };
        assert_eq!(process.line(), "running");
        process
    }

    fn kill(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// The next line of the role; the test harness prints some around it.
    fn line(&mut self) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        lines
            .find(|line| line == "running" || line == "stopping")
            .unwrap()
    }
}

const ROLE: &str = "LBNODE_TEST_ROLE";
