//! A Kubernetes cluster on machines of a lab, made by `lbctl` from the operator's place.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize as _;

use crate::lab::Lab;
use crate::prober::{Plan, Prober, Trust};
use crate::roster::{API_VIP, Machine, Place};
use crate::{patience, tool};

/// The two programs of the product.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The operator's program.
    pub lbctl: PathBuf,
    /// The nodes' program, static.
    pub lbnode: PathBuf,
}

impl Programs {
    /// The programs in a directory, such as `target/dist`.
    pub fn in_directory(directory: &Path) -> Result<Self> {
        let program = |name: &str| {
            let file = directory.join(name);
            ensure!(
                file.is_file(),
                "there is no {}; `cargo xtask dist` makes it",
                file.display()
            );
            Ok(file)
        };
        Ok(Self {
            lbctl: program("lbctl")?,
            lbnode: program("lbnode")?,
        })
    }
}

/// A cluster of control-plane machines whose API has the lab's usual VIP.
#[derive(Debug)]
pub struct Cluster<'lab> {
    /// The lab that its machines are in.
    pub lab: &'lab Lab,
    /// Its control-plane machines.
    pub machines: Vec<Machine>,
    /// Its API load balancers, when they are not those.
    balancers: Option<Vec<Machine>>,
    programs: Programs,
    name: String,
    file: PathBuf,
    workspace: PathBuf,
    key: PathBuf,
    bundle: PathBuf,
}

impl<'lab> Cluster<'lab> {
    /// A cluster that the text of a cluster file describes; nothing is created by this.
    pub fn new(
        lab: &'lab Lab,
        programs: Programs,
        machines: &[Machine],
        text: &str,
    ) -> Result<Self> {
        let directory = lab.state_directory().join("operator");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let file = directory.join("cluster.yaml");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self {
            lab,
            machines: machines.to_vec(),
            balancers: None,
            programs,
            name: cluster_name(text)?,
            file,
            workspace: directory.join("workspace"),
            key: lab.ssh_key(),
            bundle: lab.kubernetes_bundle()?,
        })
    }

    /// The same cluster after its file was edited; with the machines that it is to have then.
    pub fn edited(&self, machines: &[Machine], text: &str) -> Result<Self> {
        let edited = Self::new(self.lab, self.programs.clone(), machines, text)?;
        Ok(Self {
            balancers: self.balancers.clone(),
            ..edited
        })
    }

    /// The same, with the API's load balancers on these machines; on none: they are somebody else's.
    #[must_use]
    pub fn with_balancers(self, balancers: &[Machine]) -> Self {
        Self {
            balancers: Some(balancers.to_vec()),
            ..self
        }
    }

    /// Machines with an API load balancer.
    pub fn balancers(&self) -> &[Machine] {
        self.balancers.as_deref().unwrap_or(&self.machines)
    }

    /// The same, reached with another key.
    #[must_use]
    pub fn with_key(self, key: PathBuf) -> Self {
        Self { key, ..self }
    }

    /// The same, with other software.
    #[must_use]
    pub fn with_bundle(self, bundle: PathBuf) -> Self {
        Self { bundle, ..self }
    }

    /// The same, with another program for the nodes.
    #[must_use]
    pub fn with_lbnode(mut self, lbnode: PathBuf) -> Self {
        self.programs.lbnode = lbnode;
        self
    }

    /// The program for the nodes.
    pub fn lbnode(&self) -> &Path {
        &self.programs.lbnode
    }

    /// The address and port that clients of the API use.
    pub const fn endpoint() -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(API_VIP), 443)
    }

    /// The cluster file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where `lbctl` keeps what belongs to its clusters.
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// Everything that `lbctl` has written into its logs, of all runs.
    pub fn logs(&self) -> Result<String> {
        let mut text = String::new();
        let runs = fs::read_dir(self.workspace.join(&self.name).join("log"));
        for run in runs.into_iter().flatten().flatten() {
            for log in fs::read_dir(run.path())?.flatten() {
                text.push_str(&String::from_utf8_lossy(&fs::read(log.path())?));
            }
        }
        Ok(text)
    }

    /// The credentials that `lbctl` has fetched.
    pub fn kubeconfig(&self) -> PathBuf {
        let name = &self.name;
        self.workspace.join(name).join(format!("{name}-kubeconfig"))
    }

    /// `lbctl` with the words of a command, the cluster file and what belongs to the lab.
    pub fn lbctl(&self, words: &[&str]) -> Command {
        let mut lbctl = self
            .lab
            .command_in(Place::Operator, &self.programs.lbctl.to_string_lossy());
        lbctl.args(words).arg("--file").arg(&self.file);
        lbctl.arg("--workspace").arg(&self.workspace);
        lbctl.arg("--ssh-private-key").arg(&self.key);
        lbctl.stdin(Stdio::null());
        lbctl
    }

    /// `lbctl create cluster` with the bundle of the lab.
    pub fn create_command(&self) -> Command {
        self.with_software(&["create", "cluster", "--yes"])
    }

    /// `lbctl check preflight` with the bundle of the lab.
    pub fn preflight_command(&self) -> Command {
        self.with_software(&["check", "preflight"])
    }

    /// `lbctl update cluster` with the bundle of the lab.
    pub fn update_command(&self) -> Command {
        self.with_software(&["update", "cluster", "--yes", "--no-progress"])
    }

    /// `lbctl reset cluster`.
    pub fn reset_command(&self) -> Command {
        self.lbctl(&["reset", "cluster", "--yes", "--no-progress"])
    }

    /// `lbctl install` with these credentials.
    pub fn install_command(&self, kubeconfig: &Path) -> Command {
        let mut command = self.lbctl(&["install", "--yes", "--no-progress"]);
        command.arg("--kubeconfig").arg(kubeconfig);
        command.arg("--lbnode").arg(&self.programs.lbnode);
        command
    }

    /// Brings the cluster to what its file says.
    ///
    /// # Errors
    /// With what `lbctl` said last.
    pub fn update(&self) -> Result<Output> {
        let output = tool::output(&mut self.update_command())?;
        ensure!(
            output.status.success(),
            "`lbctl update cluster` failed ({}): {}",
            output.status,
            tool::last_lines(&output, 20)
        );
        Ok(output)
    }

    fn with_software(&self, words: &[&str]) -> Command {
        let mut command = self.lbctl(words);
        command.arg("--bundle").arg(&self.bundle);
        command.arg("--lbnode").arg(&self.programs.lbnode);
        command
    }

    /// Creates the cluster.
    ///
    /// # Errors
    /// With what `lbctl` said last.
    pub fn create(&self) -> Result<Output> {
        let output = tool::output(&mut self.create_command())?;
        ensure!(
            output.status.success(),
            "`lbctl create cluster` failed ({}): {}",
            output.status,
            tool::last_lines(&output, 20)
        );
        Ok(output)
    }

    /// Runs `kubectl` through the VIP, and returns what it printed.
    pub fn kubectl(&self, words: &[&str]) -> Result<String> {
        let mut kubectl = self.lab.kubectl()?;
        kubectl.env("KUBECONFIG", self.kubeconfig());
        tool::run(kubectl.args(words).arg("--request-timeout=10s"))
    }

    /// Applies objects through the VIP.
    pub fn apply(&self, text: &str) -> Result<()> {
        let mut kubectl = self.lab.kubectl()?;
        kubectl.env("KUBECONFIG", self.kubeconfig());
        kubectl.args(["apply", "-f", "-"]);
        kubectl.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut kubectl = kubectl.spawn().context("cannot run kubectl")?;
        let mut input = kubectl.stdin.take().context("a pipe")?;
        input.write_all(text.as_bytes())?;
        drop(input);
        ensure!(kubectl.wait()?.success(), "`kubectl apply` failed");
        Ok(())
    }

    /// The only machine that has the VIP.
    pub fn owner(&self) -> Result<Machine> {
        match self.lab.owners(API_VIP)?.as_slice() {
            [owner] => Ok(*owner),
            [] => bail!("no machine has the VIP {API_VIP}"),
            several => bail!("{several:?} all have the VIP {API_VIP}"),
        }
    }

    /// Waits until all is as it should be before a fault: every node Ready, every API server and
    /// every proxy, router, controller and speaker ready, one owner, and no failed connection for three seconds.
    pub fn settle(&self) -> Result<Machine> {
        self.calm()?;
        self.owner()
    }

    /// The same, where the VIP may be on no machine of the cluster.
    pub fn calm(&self) -> Result<()> {
        let limit = Duration::from_secs(180);
        let pause = Duration::from_millis(500);
        let mut reason = String::new();
        patience::until("the cluster is settled", limit, pause, || {
            Ok(match self.unsettled() {
                Ok(None) => Some(()),
                Ok(Some(why)) => {
                    reason = why;
                    None
                }
                Err(error) => {
                    reason = format!("{error:#}");
                    None
                }
            })
        })
        .with_context(|| format!("not settled: {reason}"))?;
        let client = self.prober(Plan::handshake(Self::endpoint(), Trust::Anybody))?;
        ensure!(
            client.wait_for_calm(Duration::from_secs(3), Duration::from_secs(60)),
            "connections to the VIP keep failing: {:?}",
            client.finish()?.reasons()
        );
        Ok(())
    }

    /// A prober behind the router.
    pub fn prober(&self, plan: Plan) -> Result<Prober> {
        self.lab.prober(Place::Outside, plan)
    }

    /// Why it is not settled.
    fn unsettled(&self) -> Result<Option<String>> {
        const SERVER: (&str, &str) = ("API server", "https://127.0.0.1:6444/readyz");
        const BALANCER: [(&str, &str); 2] = [
            ("proxy", "http://127.0.0.1:11000/readyz"),
            ("router", "http://127.0.0.1:11003/readyz"),
        ];
        let servers = self.machines.iter().map(|machine| (*machine, SERVER));
        let balancers = self.balancers().iter();
        let balancers = balancers.flat_map(|machine| BALANCER.map(|page| (*machine, page)));
        for (machine, (what, url)) in servers.chain(balancers) {
            let ask = format!("curl -sk -o /dev/null -m 2 -w '%{{http_code}}' {url}");
            let answer = self.lab.ssh(machine, &ask)?;
            let status = String::from_utf8_lossy(&answer.stdout).into_owned();
            if status != "200" {
                return Ok(Some(format!("{what} of {machine}: {status}")));
            }
        }
        let ready = r#"jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}"#;
        let nodes = self.kubectl(&["get", "nodes", "-o", ready])?;
        let not_ready = nodes
            .split_whitespace()
            .find(|node| !node.ends_with("=True"));
        if let Some(node) = not_ready {
            return Ok(Some(format!("node {node}")));
        }
        let words = ["-n", "lb-system", "get", "pods", "-o", ready];
        let pods = self.kubectl(&words)?;
        if let Some(pod) = pods.split_whitespace().find(|pod| !pod.ends_with("=True")) {
            return Ok(Some(format!("pod {pod}")));
        }
        if self.balancers().is_empty() {
            return Ok(None);
        }
        self.owner().map(|_| None)
    }
}

/// The name of the cluster that a file of several documents describes.
fn cluster_name(text: &str) -> Result<String> {
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_yaml::Value::deserialize(document)?;
        if value.get("kind").and_then(serde_yaml::Value::as_str) == Some("Cluster") {
            let name = value
                .get("metadata")
                .and_then(|metadata| metadata.get("name"));
            let name = name.and_then(serde_yaml::Value::as_str);
            return name
                .map(str::to_owned)
                .context("the Cluster has no metadata.name");
        }
    }
    bail!("the file has no document of `kind: Cluster`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_cluster_document() {
        let text = "sshPrivateKeyPath: x\n---\nkind: Namespace\nmetadata: {name: other}\n---\n\
            kind: Cluster\nmetadata:\n  name: three\n";
        assert_eq!(cluster_name(text).expect("a name"), "three");
        cluster_name("kind: Namespace\n").expect_err("no cluster");
    }
}
