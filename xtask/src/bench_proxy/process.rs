//! Processes of a run: started, watched, ended.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// A process; killed when dropped.
pub(super) struct Spawned {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
    what: String,
}

impl Spawned {
    pub(super) fn start(command: &mut Command, what: &str) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {what}"))?;
        Ok(Self {
            child,
            output: None,
            what: what.to_owned(),
        })
    }

    /// Waits until it prints this line.
    pub(super) fn await_line(mut self, wanted: &str) -> Result<Self> {
        let line = self.next_line()?;
        ensure!(
            line == wanted,
            "{} said `{line}` instead of `{wanted}`",
            self.what
        );
        Ok(self)
    }

    pub(super) fn next_line(&mut self) -> Result<String> {
        if self.output.is_none() {
            self.output = self.child.stdout.take().map(BufReader::new);
        }
        let mut line = String::new();
        if let Some(output) = &mut self.output {
            output.read_line(&mut line)?;
        }
        Ok(line.trim_end().to_owned())
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Ends its standard input and waits for its end.
    pub(super) fn finish(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        while !self.next_line()?.is_empty() {}
        let status = self.child.wait()?;
        ensure!(status.success(), "{} failed ({status})", self.what);
        Ok(())
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process and its children.
#[derive(Debug, Clone, Default)]
pub(super) struct Processes(Vec<u32>);

impl Processes {
    pub(super) fn of(root: u32) -> Self {
        let mut all = vec![root];
        let mut next = 0;
        while let Some(process) = all.get(next).copied() {
            let path = format!("/proc/{process}/task/{process}/children");
            let children = std::fs::read_to_string(path).unwrap_or_default();
            all.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
            next += 1;
        }
        Self(all)
    }

    /// Seconds on a processor, over all threads.
    pub(super) fn cpu_seconds(&self) -> f64 {
        let mut nanos = 0_u64;
        for process in &self.0 {
            let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
                continue;
            };
            for thread in threads.flatten() {
                let text = std::fs::read_to_string(thread.path().join("schedstat"));
                let text = text.unwrap_or_default();
                nanos += text
                    .split(' ')
                    .next()
                    .and_then(|n| n.parse::<u64>().ok())
                    .unwrap_or(0);
            }
        }
        nanos as f64 / 1e9
    }

    /// Bytes of memory, shared ones in part.
    pub(super) fn memory(&self) -> Result<u64> {
        let mut kilobytes = 0;
        for process in &self.0 {
            let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))
                .context("cannot read the memory of a contestant")?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let number = line.and_then(|line| line.split_whitespace().next());
            kilobytes += number.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(kilobytes * 1024)
    }
}

/// What the load generator is asked for.
#[derive(Clone)]
pub(super) struct Load<'a> {
    pub(super) tool: &'a Path,
    pub(super) arguments: &'a [&'a str],
    pub(super) netns: String,
    pub(super) targets: &'a [SocketAddr],
    pub(super) processor: usize,
    pub(super) millis: u64,
}

/// What came of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Outcome {
    pub(super) operations: f64,
    pub(super) seconds: f64,
    #[serde(rename = "p50_us")]
    pub(super) p50: f64,
    #[serde(rename = "p99_us")]
    pub(super) p99: f64,
    pub(super) errors: f64,
    /// Of the contestant.
    #[serde(skip)]
    pub(super) cpu_seconds: f64,
}

impl Load<'_> {
    /// Starts it and waits until the measured time begins.
    pub(super) fn start(&self) -> Result<Spawned> {
        let mut command = Command::new("taskset");
        command
            .args(["-c", &self.processor.to_string()])
            .arg(self.tool);
        command.arg(self.arguments[0]).arg(&self.netns);
        command.args(self.targets.iter().map(ToString::to_string));
        command
            .args(&self.arguments[1..])
            .args(["--millis", &self.millis.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Spawned::start(&mut command, "the load generator")?.await_line("start")
    }

    /// Runs it and measures the contestant meanwhile.
    pub(super) fn run(&self, contestant: &Processes) -> Result<Outcome> {
        let started = self.start()?;
        let before = contestant.cpu_seconds();
        let mut cpu_seconds = 0.0;
        let outcome = Outcome::of(started, || {
            cpu_seconds = contestant.cpu_seconds() - before;
        })?;
        Ok(Outcome {
            cpu_seconds,
            ..outcome
        })
    }
}

impl Outcome {
    /// Waits for what a load reports, and calls `then` at once.
    pub(super) fn of(mut started: Spawned, then: impl FnOnce()) -> Result<Self> {
        let line = started.next_line()?;
        then();
        started.finish()?;
        serde_json::from_str(&line).with_context(|| format!("cannot read `{line}`"))
    }
}
