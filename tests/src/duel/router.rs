//! A virtual router of either maker in a place of an arena.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::arena::{Arena, VIP, VIP6};
use crate::tool;

/// Who made the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maker {
    /// Ours: the binary.
    Lbnode(PathBuf),
    /// Debian's.
    Keepalived,
}

/// How a router is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Its priority.
    pub priority: u8,
    /// Milliseconds between adverts.
    pub interval: u32,
    /// Whether it takes over from a lower priority.
    pub preempt: bool,
    /// VRRPv2 instead of VRRPv3.
    pub version_2: bool,
    /// Multicast instead of unicast.
    pub multicast: bool,
    /// IPv6 instead of IPv4.
    pub ipv6: bool,
    /// As `lbctl` writes it for two families: beside each IPv4 router an IPv6 one whose own address is `::`. Ours alone.
    pub both_families: bool,
    /// The form of the IPv4 checksum that ours sends: `auto`, `rfc` or `keepalived`. keepalived 2.2 has one.
    pub checksum: &'static str,
    /// How many routers there are.
    pub routers: usize,
    /// Virtual routers with the same peers, for load; the first one has the address that is looked at.
    pub count: u8,
    /// Milliseconds for which ours helps connections on after a planned move; `None`: its default.
    pub grace: Option<u32>,
    /// Where ours asks for the node's health.
    pub track: Option<Track>,
}

/// Who is asked on the loopback interface for a node's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Port of the proxy's admin server.
    pub live: u16,
    /// Port of the proxy, behind which an API server answers.
    pub ready: u16,
    /// Who signed the API server's certificate, which is for 127.0.0.1.
    pub ca_file: PathBuf,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            priority: 100,
            interval: 100,
            preempt: false,
            version_2: false,
            multicast: false,
            ipv6: false,
            both_families: false,
            checksum: "auto",
            routers: 3,
            count: 1,
            grace: None,
            track: None,
        }
    }
}

/// A running router. Its processes end with this value.
#[derive(Debug)]
pub struct Router {
    child: Child,
    directory: PathBuf,
    ours: bool,
}

impl Router {
    /// Starts one.
    ///
    /// # Errors
    /// When its files cannot be written or its program is missing.
    pub fn start(arena: &Arena, index: usize, maker: &Maker, setup: &Setup) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("{}-r{index}", arena.name()));
        fs::create_dir_all(&directory)?;
        let file = directory.join("config");
        let mut command = match maker {
            Maker::Lbnode(binary) => {
                fs::write(&file, lbnode_yaml(index, setup))?;
                let mut command = arena.command(&format!("r{index}"), &binary.to_string_lossy());
                command
                    .arg("vrrp")
                    .arg("--config")
                    .arg(&file)
                    .args(["--log-format", "text"]);
                command
            }
            Maker::Keepalived => {
                fs::write(&file, keepalived_conf(index, setup))?;
                let mut command = arena.command(&format!("r{index}"), "keepalived");
                let pid = |name: &str| directory.join(name).to_string_lossy().into_owned();
                command.args(["--dont-fork", "--vrrp", "--log-console", "--log-detail"]);
                command.arg(format!("--use-file={}", file.display()));
                command.arg(format!("--pid={}", pid("pid")));
                command.arg(format!("--vrrp_pid={}", pid("vrrp.pid")));
                command
            }
        };
        let log = fs::File::create(directory.join("log"))?;
        let child = command
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .spawn()
            .with_context(|| format!("cannot start {maker:?}"))?;
        Ok(Self {
            child,
            directory,
            ours: matches!(maker, Maker::Lbnode(_)),
        })
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Every process of the router, parents first.
    pub fn processes(&self) -> Vec<Pid> {
        let mut found = vec![i32::try_from(self.child.id()).unwrap_or(0)];
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            let file = format!("/proc/{parent}/task/{parent}/children");
            let children = fs::read_to_string(file).unwrap_or_default();
            found.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<i32>().ok()),
            );
            at += 1;
        }
        found.into_iter().map(Pid::from_raw).collect()
    }

    fn signal_all(&self, signal: Signal) {
        for process in self.processes() {
            // It may have ended meanwhile.
            let _ = kill(process, signal);
        }
    }

    /// Kills the process that speaks VRRP; its parent lives.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_speaker(&self) -> Result<()> {
        let speaker = *self.processes().last().context("no process")?;
        Ok(kill(speaker, Signal::SIGKILL)?)
    }

    /// Kills all of its processes at once.
    pub fn kill_all(&self) {
        // Children first, so that no parent can react.
        let processes = self.processes();
        for process in &processes {
            let _ = kill(*process, Signal::SIGSTOP);
        }
        for process in processes {
            let _ = kill(process, Signal::SIGKILL);
        }
    }

    /// Stops the process that speaks VRRP, as a debugger or a starved machine would.
    ///
    /// # Errors
    /// When there is none.
    pub fn freeze(&self) -> Result<()> {
        let speaker = *self.processes().last().context("no process")?;
        Ok(kill(speaker, Signal::SIGSTOP)?)
    }

    /// Lets it run again.
    pub fn thaw(&self) {
        self.signal_all(Signal::SIGCONT);
    }

    /// Asks it to stop.
    ///
    /// # Errors
    /// When it does not live any more.
    pub fn stop(&mut self) -> Result<()> {
        Ok(kill(self.processes()[0], Signal::SIGTERM)?)
    }

    /// CPU time of all of its processes so far, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        const TICKS_PER_SECOND: f64 = 100.0;
        let ticks = |process: &Pid| -> Option<f64> {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
            Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
        };
        self.processes().iter().filter_map(ticks).sum::<f64>() / TICKS_PER_SECOND
    }

    /// Whether it is ours.
    pub fn is_ours(&self) -> bool {
        self.ours
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.thaw();
        for process in self.processes() {
            let _ = kill(process, Signal::SIGKILL);
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Addresses in the arena's network.
fn own(index: usize, ipv6: bool) -> String {
    if ipv6 {
        format!("fd98::{:x}", index + 1)
    } else {
        format!("10.98.0.{}", index + 1)
    }
}

fn peers(index: usize, setup: &Setup) -> Vec<String> {
    (0..setup.routers)
        .filter(|other| *other != index && !setup.multicast)
        .map(|other| own(other, setup.ipv6))
        .collect()
}

fn vips(setup: &Setup, number: u8) -> Vec<String> {
    match (setup.ipv6, number) {
        (false, 0) => vec![VIP.to_string()],
        (false, number) => vec![format!("10.98.1.{number}")],
        (true, 0) => vec!["fe80::98:100".to_owned(), VIP6.to_owned()],
        (true, number) => vec![
            format!("fe80::98:{number:x}"),
            format!("fd98::1:{number:x}"),
        ],
    }
}

/// 77 for the first one, then on and round.
fn vrid(number: u8) -> u16 {
    (u16::from(number) + 76) % 255 + 1
}

fn lbnode_yaml(index: usize, setup: &Setup) -> String {
    let mut text = "apiVersion: lbnode.bundledlb.io/v1\nkind: VrrpConfig\nrouters:\n".to_owned();
    for number in 0..setup.count {
        let lines = [
            format!("  - name: api-{number}"),
            format!("    virtualRouterID: {}", vrid(number)),
            format!("    priority: {}", setup.priority),
            format!("    sourceAddress: \"{}\"", own(index, setup.ipv6)),
            format!("    peers: {:?}", peers(index, setup)),
            format!("    addresses: {:?}", vips(setup, number)),
            format!("    advertisementIntervalMillis: {}", setup.interval),
            format!("    preempt: {}", setup.preempt),
            "    garpRepeat: 5".to_owned(),
            "    garpRefreshSeconds: 60".to_owned(),
            format!("    checksum: {}", setup.checksum),
            "    tuning:".to_owned(),
            format!(
                "      version: {}",
                if setup.version_2 { "v2" } else { "v3" }
            ),
            format!("      group: g{number}"),
        ];
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        if setup.ipv6 && !setup.multicast {
            // What keepalived 2.2 sends over IPv6 to one peer has the kernel's hop limit.
            text.push_str("      minimumTtl: 64\n");
        }
        if setup.both_families {
            text.push_str(&format!(
                "  - name: api-{number}-v6\n    virtualRouterID: {}\n    priority: {}\n    sourceAddress: \"::\"\n    addresses: [\"{VIP6}\"]\n    advertisementIntervalMillis: {}\n    preempt: {}\n    garpRepeat: 5\n    garpRefreshSeconds: 60\n    tuning: {{group: g{number}}}\n",
                vrid(number),
                setup.priority,
                setup.interval,
                setup.preempt,
            ));
        }
    }
    if let Some(grace) = setup.grace {
        text.push_str(&format!("handOverGraceMillis: {grace}\n"));
    }
    if let Some(track) = &setup.track {
        text.push_str(&format!(
            "track:\n  proxyLiveUrl: http://127.0.0.1:{}/livez\n  apiReadyUrl: https://127.0.0.1:{}/readyz\n  caFile: {}\n  serverName: 127.0.0.1\n  intervalMillis: 500\n  fall: 3\n  rise: 1\n",
            track.live,
            track.ready,
            track.ca_file.display()
        ));
    }
    text.push_str("admin: 127.0.0.1:11003\n");
    text
}

fn keepalived_conf(index: usize, setup: &Setup) -> String {
    // Its own limit of 10 ms of computing kills it when a slow machine makes it Active.
    let mut text = "global_defs {\n  vrrp_garp_master_refresh 60\n  vrrp_rt_priority 50\n  vrrp_rlimit_rttime 1000000\n  vrrp_no_swap\n  vrrp_startup_delay 0.1\n}\n".to_owned();
    for number in 0..setup.count {
        let peers: String = peers(index, setup)
            .iter()
            .map(|peer| format!("    {peer}\n"))
            .collect();
        let unicast = if setup.multicast {
            String::new()
        } else {
            format!(
                "  unicast_src_ip {}\n  unicast_peer {{\n{peers}  }}\n",
                own(index, setup.ipv6)
            )
        };
        let prefix = if setup.ipv6 { 128 } else { 32 };
        let addresses: String = vips(setup, number)
            .iter()
            .map(|vip| format!("    {vip}/{prefix}\n"))
            .collect();
        let preempt = if setup.preempt { "" } else { "  nopreempt\n" };
        let seconds = f64::from(setup.interval) / 1000.0;
        let version = if setup.version_2 { 2 } else { 3 };
        text.push_str(&format!(
            "vrrp_instance api{number} {{\n  state BACKUP\n  interface eth0\n  version {version}\n  virtual_router_id {}\n  priority {}\n  advert_int {seconds}\n{preempt}{unicast}  virtual_ipaddress {{\n{addresses}  }}\n}}\n",
            vrid(number),
            setup.priority,
        ));
    }
    text
}

/// Whether keepalived is installed.
pub fn has_keepalived() -> bool {
    Path::new("/usr/sbin/keepalived").exists()
        || tool::succeeds(&mut tool::command("keepalived", ["--version"])).unwrap_or(false)
}
