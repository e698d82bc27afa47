//! The cluster that scenarios share: created once, by the first that asks for it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use lab_tests::cluster::{Cluster, Programs};
use lab_tests::{Lab, Machine};

use crate::runner::{Context, SECOND_PREFIX};

/// The shared cluster and how it came to be.
pub(crate) struct Fixture {
    /// Three control-plane machines.
    pub(crate) cluster: Cluster<'static>,
    /// How long `lbctl create cluster` took.
    pub(crate) creation: Duration,
    /// What `lbctl create cluster` printed on both outputs.
    pub(crate) said: String,
    /// The files on each machine before it.
    pub(crate) before: Vec<(Machine, BTreeSet<String>)>,
}

impl Context {
    /// The shared cluster.
    ///
    /// # Errors
    /// When it cannot be created; for every scenario that asks.
    pub(crate) fn fixture(&self) -> Result<&Fixture> {
        self.fixture
            .get_or_init(|| Fixture::create(self.lab).map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|reason| anyhow!("the shared cluster could not be created: {reason}"))
    }
}

impl Context {
    /// A second lab with three machines, for what must happen before anything is installed.
    ///
    /// # Errors
    /// When it cannot be brought up.
    pub(crate) fn bare(&self) -> Result<&'static Lab> {
        let up = || {
            // It lives as long as the program.
            let lab: &Lab = Box::leak(Box::new(Lab::open(SECOND_PREFIX)?));
            lab.down()?;
            lab.up(&Machine::CONTROL_PLANE)?;
            Ok::<_, anyhow::Error>(lab)
        };
        self.bare
            .get_or_init(|| up().map_err(|error| format!("{error:#}")))
            .as_ref()
            .copied()
            .map_err(|reason| anyhow!("there are no bare machines: {reason}"))
    }
}

impl Fixture {
    #[expect(clippy::disallowed_methods, reason = "measures a real command")]
    fn create(lab: &'static Lab) -> Result<Self> {
        let programs = programs()?;
        lab.kubernetes_bundle()?;
        lab.down()?;
        lab.up(&Machine::CONTROL_PLANE)?;
        let before = Machine::CONTROL_PLANE
            .into_iter()
            .map(|machine| Ok((machine, files(lab, machine)?)))
            .collect::<Result<_>>()?;
        let cluster = Cluster::new(lab, programs, &Machine::CONTROL_PLANE, &example()?)?;
        let begin = Instant::now();
        let output = cluster.create()?;
        let creation = begin.elapsed();
        Ok(Self {
            cluster,
            creation,
            said: said(&output),
            before,
        })
    }
}

/// Both outputs of a program as text.
pub(crate) fn said(output: &std::process::Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

/// The example with three control-plane machines, whose addresses are the lab's.
pub(crate) fn example() -> Result<String> {
    let file = root().join("examples/three-control-planes.yaml");
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// The programs of this work tree, built when they are older than it; `LAB_PROGRAMS` names a
/// directory with others.
pub(crate) fn programs() -> Result<Programs> {
    if let Some(given) = std::env::var_os("LAB_PROGRAMS") {
        return Programs::in_directory(&PathBuf::from(given));
    }
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["xtask", "dist", "--profile", "lab"])
        .current_dir(root())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "`cargo xtask dist` failed ({status})");
    Programs::in_directory(&root().join("target/dist"))
}

/// The paths of all files where software and its settings are put on a machine.
pub(crate) fn files(lab: &Lab, machine: Machine) -> Result<BTreeSet<String>> {
    let list = "find /etc /usr/local /opt /root /srv /var/lib/kubelet /var/lib/etcd /var/lib/cni \
         /lib/systemd/system ! -type d 2>/dev/null || true";
    Ok(lab
        .ssh_ok(machine, list)?
        .lines()
        .map(str::to_owned)
        .collect())
}

/// The root of the work tree.
fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}
