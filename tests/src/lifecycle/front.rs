//! A load balancer of somebody else in front of the API servers: HAProxy.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::lab::Lab;
use crate::roster::{API_VIP, Machine, Place};
use crate::scenario::Skip;
use crate::{paths, patience, tool};

/// One that has the VIP in a client's place on the machines' segment.
#[derive(Debug)]
pub struct Front {
    process: Child,
}

impl Front {
    /// Begins on this port of the VIP.
    ///
    /// # Errors
    /// [`Skip`] where there is no HAProxy; else when it does not begin.
    pub fn start(lab: &Lab, port: u16) -> Result<Self> {
        let words = program()?;
        tool::run(&mut change_address(lab, "add"))?;
        let file = lab.state_directory().join("haproxy.cfg");
        std::fs::write(&file, settings(&format!("{API_VIP}:{port}")))?;
        let mut command = lab.command_in(Place::Client, &words[0]);
        command.args(&words[1..]).arg("-db").arg("-f").arg(&file);
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run haproxy")?;
        let mut front = Self { process };
        patience::until(
            "the load balancer listens",
            Duration::from_secs(10),
            Duration::from_millis(100),
            || {
                ensure!(front.process.try_wait()?.is_none(), "haproxy has ended");
                let target = SocketAddr::from((API_VIP, port));
                lab.within(Place::Client, || {
                    Ok(TcpStream::connect(target).ok().map(drop))
                })
            },
        )?;
        Ok(front)
    }

    /// Ends, and gives the VIP up.
    ///
    /// # Errors
    /// When the VIP cannot be removed.
    pub fn leave(self, lab: &Lab) -> Result<()> {
        drop(self);
        tool::run(&mut change_address(lab, "del")).map(drop)
    }

    /// An error where there is no HAProxy.
    ///
    /// # Errors
    /// [`Skip`].
    pub fn is_possible() -> Result<()> {
        program().map(drop)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn change_address(lab: &Lab, change: &str) -> std::process::Command {
    let address = format!("{API_VIP}/32");
    let mut ip = lab.command_in(Place::Client, "ip");
    ip.args(["addr", change, &address, "dev", "eth0"]);
    ip
}

/// HAProxy's settings: the lab's usual API servers behind this address and port.
pub(super) fn settings(bind: &str) -> String {
    let servers: String = Machine::CONTROL_PLANE
        .iter()
        .map(|machine| {
            format!(
                "  server {machine} {}:6444 check check-ssl verify none\n",
                machine.address()
            )
        })
        .collect();
    format!(
        "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 1h\n  timeout server 1h\n\
         listen api\n  bind {bind}\n  option httpchk GET /readyz\n  http-check expect status 200\n\
         \x20 default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions\n{servers}"
    )
}

/// The installed one, or what `cargo xtask bench proxy` has unpacked.
fn program() -> Result<Vec<String>> {
    let installed = Path::new("/usr/sbin/haproxy");
    if installed.exists() {
        return Ok(vec![installed.display().to_string()]);
    }
    let root = paths::cache()?.join("haproxy/root");
    let program = root.join("usr/sbin/haproxy");
    if !program.exists() {
        let reason = "there is no haproxy: `apt-get install haproxy`, or `cargo xtask bench proxy`";
        return Err(Skip(reason).into());
    }
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let loader = libraries.join("ld-linux-x86-64.so.2");
    let words = [
        loader.as_path(),
        Path::new("--library-path"),
        &libraries,
        &program,
    ];
    Ok(words
        .iter()
        .map(|word| word.display().to_string())
        .collect())
}
