//! What a machine sends, as `tcpdump` sees it at the switch.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::Lab;
use crate::roster::{Machine, Place};

/// A running record of frames.
#[derive(Debug)]
pub struct Capture {
    child: Child,
}

impl Lab {
    /// Records from now on what a machine sends, as far as it passes a filter of tcpdump's.
    ///
    /// # Errors
    /// Without `tcpdump`, or without the machine's cable.
    pub fn capture(&self, machine: Machine, filter: &str) -> Result<Capture> {
        let mut tcpdump = self.command_in(Place::Switch, "tcpdump");
        tcpdump
            .args(["-lnnei", &machine.to_string(), "-Q", "in"])
            .args(["--immediate-mode", filter])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = tcpdump.spawn().context("cannot run tcpdump")?;
        let mut capture = Capture { child };
        let mut said = [0; 9];
        if let Some(stderr) = &mut capture.child.stderr {
            // It says that it listens before it does; a moment more makes it sure.
            stderr.read_exact(&mut said)?;
        }
        thread::sleep(MOMENT);
        Ok(capture)
    }
}

impl Capture {
    /// Ends the record and gives a line for each frame.
    ///
    /// # Errors
    /// When the kernel had to drop frames: then the record is no proof.
    pub fn finish(mut self) -> Result<Vec<String>> {
        // What is on its way comes first.
        thread::sleep(MOMENT);
        let process = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(process, Signal::SIGINT)?;
        let (mut frames, mut said) = (String::new(), String::new());
        if let Some(stdout) = &mut self.child.stdout {
            stdout.read_to_string(&mut frames)?;
        }
        if let Some(stderr) = &mut self.child.stderr {
            stderr.read_to_string(&mut said)?;
        }
        self.child.wait()?;
        ensure!(
            said.contains("\n0 packets dropped by kernel"),
            "tcpdump lost frames: {said}"
        );
        // A signal makes it begin a new line.
        let frames = frames.lines().filter(|line| !line.is_empty());
        Ok(frames.map(str::to_owned).collect())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const MOMENT: Duration = Duration::from_millis(100);
