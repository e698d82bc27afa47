//! Kubernetes' own end-to-end tests: its program, compiled as it is, run against a cluster from behind the router.
//!
//! Each spec is run by a process of its own, some at a time. What is known to fail, and why, stands in [`EXPECTED`].

mod report;
mod table;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cluster::Cluster;
use crate::lab::Lab;
use crate::roster::Place;
use crate::{bundle, tool};

pub use report::{Outcome, Spec};
pub use table::{Line, Surprises, closing_lines, surprises, table};

/// What is run when nothing else is asked for.
pub const FOCUS: &str = r"\[sig-network\] LoadBalancers";

/// How many specs [`FOCUS`] finds in [`bundle::KUBERNETES_VERSION`]: fewer would be a run that proves less than it says.
pub const SPECS: usize = 17;

/// Words of specs that are known to fail, and why.
pub const EXPECTED: [(&str, &str); 1] = [(
    "should be able to switch session affinity for LoadBalancer service with Local traffic policy",
    "it needs two of its three pods behind the one node that answers; comes with the pass-through mode",
)];

/// The program with all specs, and where it writes.
#[derive(Debug, Clone)]
pub struct Suite {
    program: PathBuf,
    /// Logs and reports of the runs.
    pub directory: PathBuf,
}

impl Suite {
    /// The program of [`bundle::KUBERNETES_VERSION`], compiled if need be; it writes into a directory.
    ///
    /// # Errors
    /// When it cannot be compiled.
    pub fn new(directory: PathBuf) -> Result<Self> {
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(Self {
            program: bundle::end_to_end()?,
            directory,
        })
    }

    /// The specs whose names a regular expression of Go finds.
    ///
    /// # Errors
    /// When it finds none; a run without specs would end well.
    pub fn specs(&self, focus: &str) -> Result<Vec<Spec>> {
        let file = self.directory.join("specs.json");
        let mut list = tool::command(&self.program.to_string_lossy(), FLAGS);
        list.arg("--ginkgo.dry-run");
        list.arg(format!("--ginkgo.focus={focus}"));
        list.arg(format!("--ginkgo.json-report={}", file.display()));
        tool::run(&mut list)?;
        let mut specs = report::specs(&read(&file)?)?;
        ensure!(!specs.is_empty(), "no spec is called like `{focus}`");
        specs.sort();
        Ok(specs)
    }

    /// Runs specs against a cluster, some at a time, and those that are known to fail alone after the others.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn run(
        &self,
        cluster: &Cluster<'_>,
        specs: &[Spec],
        at_a_time: usize,
        round: usize,
    ) -> Result<Vec<Line>> {
        let (last, first): (Vec<&Spec>, Vec<&Spec>) = specs
            .iter()
            .partition(|spec| table::expected(spec).is_some());
        let mut lines = self.run_some(cluster, &first, at_a_time, round)?;
        lines.extend(self.run_some(cluster, &last, 1, round)?);
        Ok(lines)
    }

    fn run_some(
        &self,
        cluster: &Cluster<'_>,
        specs: &[&Spec],
        at_a_time: usize,
        round: usize,
    ) -> Result<Vec<Line>> {
        let next = AtomicUsize::new(0);
        let lines = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let worker = || -> Result<()> {
                while let Some(spec) = specs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = self.run_one(cluster, spec, round)?;
                    tool::say(format_args!("run {round}: {outcome}: {spec}"));
                    let line = Line::new(spec, round, &outcome);
                    if let Ok(mut lines) = lines.lock() {
                        lines.push(line);
                    }
                }
                Ok(())
            };
            let workers: Vec<_> = (0..at_a_time.max(1)).map(|_| scope.spawn(worker)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("it panicked")))
        })?;
        lines
            .into_inner()
            .map_err(|_| anyhow::anyhow!("a run panicked"))
    }

    fn run_one(&self, cluster: &Cluster<'_>, spec: &Spec, round: usize) -> Result<Outcome> {
        let limit = if table::expected(spec).is_some() {
            IN_VAIN
        } else {
            LIMIT
        };
        let name = format!("{round}-{}", spec.file_name());
        let log = self.directory.join(format!("{name}.log"));
        let file = self.directory.join(format!("{name}.json"));
        let _ = fs::remove_file(&file);
        let output =
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut test = cluster
            .lab
            .command_in(Place::Outside, &self.program.to_string_lossy());
        test.args(FLAGS);
        test.arg(format!("--num-nodes={}", cluster.machines.len()));
        test.arg(format!("--kubeconfig={}", cluster.kubeconfig().display()));
        test.arg(format!("--ginkgo.timeout={}s", limit.as_secs()));
        test.arg(format!("--ginkgo.focus={}", spec.pattern()));
        test.arg(format!("--ginkgo.json-report={}", file.display()));
        test.arg("--ginkgo.v").arg("--report-dir=");
        test.stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = cluster.lab.spawn_as_operator(&mut test)?;
        // Ginkgo ends at its own limit and cleans up; the second limit is for a program that hangs.
        let status = wait(child, limit + GRACE)?;
        let told = read(&file).and_then(|text| report::outcome(&text, spec));
        let _ = fs::remove_file(&file);
        Ok(told.unwrap_or_else(|error| {
            Outcome::broken(&format!(
                "{error:#}; it ended with {status:?}, see {}",
                log.display()
            ))
        }))
    }
}

/// Brings the image that the specs' pods run to the cluster's machines, and makes a worker of one node: the specs ask one
/// that is not marked as a control plane for the nodes' network.
///
/// # Errors
/// When the image cannot be made or imported, or there is no node.
pub fn prepare(cluster: &Cluster<'_>) -> Result<()> {
    let archive = bundle::end_to_end_images()?;
    let lab: &Lab = cluster.lab;
    cluster
        .machines
        .iter()
        .try_for_each(|machine| lab.import_images(*machine, &archive))?;
    let worker = cluster.machines.last().context("a machine")?.to_string();
    cluster.kubectl(&[
        "label",
        "node",
        &worker,
        "node-role.kubernetes.io/control-plane-",
    ])?;
    Ok(())
}

fn read(file: &std::path::Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The status, or `None` of one that had to be killed.
#[expect(clippy::disallowed_methods, reason = "waits in real time")]
fn wait(mut child: Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(200));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// No cloud: the specs only talk to the API, to nodes and to the addresses.
const FLAGS: [&str; 2] = ["--provider=skeleton", "--ginkgo.no-color"];

/// So long a spec may take; the rolling updates take 15 minutes.
const LIMIT: Duration = Duration::from_secs(1500);
/// So long a spec may take that is known to fail: it would wait for 15 minutes.
const IN_VAIN: Duration = Duration::from_secs(180);
/// So long the program may take to clean up.
const GRACE: Duration = Duration::from_secs(120);
