//! A signal for a speaker, ready to be sent: the way to its machine is there before the clock starts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::cluster::Cluster;
use crate::roster::Machine;

/// A shell on the machine that knows the processes and waits for the word. It ends with this.
pub(super) struct ReadySignal {
    shell: Child,
    machine: Machine,
}

impl ReadySignal {
    /// Finds the processes with `find`, which leaves their ids in `$all`; there must be one.
    pub(super) fn new(
        cluster: &Cluster<'_>,
        machine: Machine,
        find: &str,
        signal: &str,
    ) -> Result<Self> {
        let wait =
            format!("{find}; test -n \"$all\" && echo ready && read word && kill -{signal} $all");
        let mut ssh = cluster.lab.ssh_command(machine);
        ssh.arg(wait).stdin(Stdio::piped()).stdout(Stdio::piped());
        let shell = ssh.spawn().context("cannot run ssh")?;
        let mut ready = Self { shell, machine };
        let stdout = ready.shell.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "ready\n", "{machine} has no speaker to signal");
        Ok(ready)
    }

    /// Sends it.
    pub(super) fn send(mut self) -> Result<()> {
        let mut stdin = self.shell.stdin.take().context("stdin is piped")?;
        stdin.write_all(b"now\n")?;
        let status = self.shell.wait()?;
        let machine = self.machine;
        ensure!(status.success(), "the speaker of {machine} got no signal");
        Ok(())
    }
}

impl Drop for ReadySignal {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
