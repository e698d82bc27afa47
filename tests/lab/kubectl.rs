//! `kubectl` as a process that goes on: watches, logs, forwarded ports.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::patience;

/// A `kubectl` that runs, and the lines that it has said; ended when dropped.
pub(crate) struct Session {
    what: String,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    listeners: Vec<JoinHandle<()>>,
}

/// Starts it at the operator's place, through the VIP.
pub(crate) fn kubectl(cluster: &Cluster<'_>, words: &[&str]) -> Result<Session> {
    let mut command = cluster.lab.kubectl()?;
    command.env("KUBECONFIG", cluster.kubeconfig()).args(words);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = cluster.lab.spawn_as_operator(&mut command)?;
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let output = child.stdout.take().context("a pipe")?;
    let errors = child.stderr.take().context("a pipe")?;
    let listeners = vec![listen(output, &said), listen(errors, &said)];
    Ok(Session {
        what: format!("kubectl {}", words.join(" ")),
        child,
        said,
        listeners,
    })
}

fn listen(output: impl Read + Send + 'static, said: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            said.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    })
}

impl Session {
    /// Lines on both outputs so far.
    pub(crate) fn lines(&self) -> usize {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Waits for another line.
    pub(crate) fn says_more_than(&mut self, lines: usize, limit: Duration) -> Result<()> {
        let what = format!("`{}` says more than {lines} lines", self.what);
        patience::until(&what, limit, Duration::from_millis(100), || {
            if self.lines() > lines {
                return Ok(Some(()));
            }
            self.still_runs().map(|()| None)
        })
    }

    /// It goes on: a watch that loses its connection ends with success and without a word.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("`{}` ended ({status}): {}", self.what, self.last_words());
        }
        Ok(())
    }

    /// To its end; what it said if that is not a good one.
    pub(crate) fn wait_for_success(mut self) -> Result<()> {
        let status = self.child.wait()?;
        for listener in self.listeners.drain(..) {
            // It only listens.
            let _ = listener.join();
        }
        ensure!(status.success(), "`{}`: {}", self.what, self.last_words());
        Ok(())
    }

    fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said[said.len().saturating_sub(4)..].join("; ")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
