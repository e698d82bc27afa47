//! The lab itself: machines, their power, their cables, and that nothing is left of them.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab_tests::{Lab, Machine, Place};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::runner::{Context, SECOND_PREFIX, Scenario};

/// In this order; the first remembers what the last compares with.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "machines_come_up_answer_on_ssh_and_go_without_a_trace",
        run: up_ssh_down,
    },
    Scenario {
        name: "a_power_cut_says_no_goodbye",
        run: a_power_cut_says_no_goodbye,
    },
    Scenario {
        name: "a_started_machine_has_its_disk_and_has_lost_its_memory",
        run: start_keeps_the_disk,
    },
    Scenario {
        name: "a_cut_cable_is_silent_until_it_is_healed",
        run: cut_and_heal,
    },
    Scenario {
        name: "down_cleans_up_after_a_crash",
        run: down_after_a_crash,
    },
    Scenario {
        name: "two_labs_live_side_by_side",
        run: two_labs,
    },
];

const CP1: Machine = Machine::cp(1);
const CP2: Machine = Machine::cp(2);

fn up_ssh_down(context: &Context) -> Result<()> {
    let lab = context.lab;
    let before = HostNetwork::observe()?;
    lab.up(&[CP1, CP2])?;
    for machine in [CP1, CP2] {
        let name = lab.ssh_ok(machine, "hostname")?;
        ensure!(
            name.trim() == machine.to_string(),
            "{machine} says it is {name}"
        );
        let state = lab.ssh_ok(machine, "systemctl is-system-running --wait || true")?;
        ensure!(state.trim() == "running", "{machine} is {}", state.trim());
        lab.ssh_ok(
            machine,
            "systemctl is-active containerd && test ! -e /etc/kubernetes",
        )?;
    }
    // A worker that was not asked for does not exist, and a second `up` changes nothing.
    let boot = lab.ssh_ok(CP1, "cat /proc/1/stat | cut -d' ' -f22")?;
    lab.up(&[CP1])?;
    ensure!(
        boot == lab.ssh_ok(CP1, "cat /proc/1/stat | cut -d' ' -f22")?,
        "cp1 was restarted"
    );
    ensure!(lab.machines() == [CP1, CP2], "{:?}", lab.machines());
    lab.down()?;
    nothing_left(lab)?;
    before.must_be_unchanged()
}

fn a_power_cut_says_no_goodbye(context: &Context) -> Result<()> {
    let lab = context.lab;
    lab.up(&[CP1])?;
    lab.ssh_ok(
        CP1,
        "systemd-run --quiet --unit=echo socat TCP-LISTEN:7000,fork,reuseaddr EXEC:cat",
    )?;
    let address = SocketAddr::from((CP1.address(), 7000));
    let mut stream = lab_tests::patience::until(
        "the echo server answers",
        Duration::from_secs(5),
        Duration::from_millis(50),
        || lab.within(Place::Client, move || Ok(TcpStream::connect(address).ok())),
    )?;
    stream.write_all(b"hello")?;
    stream
        .read_exact(&mut [0; 5])
        .context("the echo server says nothing")?;

    // Killed processes alone would send a FIN: that this test would see one is shown first.
    lab.ssh_ok(CP1, "systemctl kill --signal=KILL echo")?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let mut byte = [0; 1];
    match stream.read(&mut byte) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => bail!("a killed server's connection did not end: {other:?}"),
    }

    lab.ssh_ok(CP1, "systemctl stop echo; systemctl reset-failed echo; systemd-run --quiet --unit=echo socat TCP-LISTEN:7000,fork,reuseaddr EXEC:cat")?;
    let mut stream = lab_tests::patience::until(
        "the echo server answers again",
        Duration::from_secs(5),
        Duration::from_millis(50),
        || lab.within(Place::Client, move || Ok(TcpStream::connect(address).ok())),
    )?;
    stream.write_all(b"hello")?;
    stream.read_exact(&mut [0; 5])?;
    lab.kill(CP1)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    match stream.read(&mut byte) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
        other => bail!("the peer of a machine without power heard something: {other:?}"),
    }
    ensure!(!lab.is_running(CP1), "cp1 still has processes");
    ensure!(
        !lab.namespace_file(CP1).exists(),
        "cp1 still has a namespace"
    );
    Ok(())
}

fn start_keeps_the_disk(context: &Context) -> Result<()> {
    let lab = context.lab;
    lab.up(&[CP1])?;
    lab.ssh_ok(
        CP1,
        "echo kept >/root/file && echo kept >/var/lib/kubelet/file \
         && ip addr add 10.10.0.100/32 dev eth0 && nft add table ip lost",
    )?;
    ensure!(
        lab.owners([10, 10, 0, 100].into())? == [CP1],
        "cp1 does not own the address"
    );
    ensure!(
        lab.arp_owner([10, 10, 0, 100].into())? == Some(CP1),
        "cp1 does not answer ARP for its address"
    );
    let key = lab.ssh_ok(CP1, "cat /etc/ssh/ssh_host_ed25519_key.pub")?;
    lab.kill(CP1)?;
    ensure!(
        lab.owners([10, 10, 0, 100].into())?.is_empty(),
        "an address outlived its machine"
    );
    lab.start(CP1)?;
    let kept = lab.ssh_ok(CP1, "cat /root/file /var/lib/kubelet/file")?;
    ensure!(kept == "kept\nkept\n", "the disk holds {kept:?}");
    ensure!(
        key == lab.ssh_ok(CP1, "cat /etc/ssh/ssh_host_ed25519_key.pub")?,
        "the machine has another host key"
    );
    ensure!(
        lab.owners([10, 10, 0, 100].into())?.is_empty(),
        "an address survived the power cut"
    );
    let tables = lab.ssh_ok(CP1, "nft list tables")?;
    ensure!(
        !tables.contains("lost"),
        "packet filter rules survived: {tables}"
    );
    Ok(())
}

fn cut_and_heal(context: &Context) -> Result<()> {
    let lab = context.lab;
    lab.up(&[CP1])?;
    let port = SocketAddr::from((CP1.address(), 22));
    let connects =
        move || Ok(TcpStream::connect_timeout(&port, Duration::from_millis(500)).is_ok());
    ensure!(
        lab.within(Place::Outside, connects)?,
        "not reached from outside before the cut"
    );
    lab.cut(CP1)?;
    ensure!(
        !lab.within(Place::Outside, connects)?,
        "reached from outside without a cable"
    );
    ensure!(
        !lab.within(Place::Client, connects)?,
        "reached from the segment without a cable"
    );
    ensure!(lab.is_running(CP1), "it lost its power as well");
    lab.heal(CP1)?;
    // The router asks for the machine's hardware address once a second while nobody answers.
    lab_tests::patience::until(
        "the machine is reached from outside after healing",
        Duration::from_secs(3),
        Duration::from_millis(50),
        || Ok(lab.within(Place::Outside, connects)?.then_some(())),
    )
}

fn down_after_a_crash(context: &Context) -> Result<()> {
    let lab = context.lab;
    lab.up(&[CP1, CP2])?;
    lab.ssh_ok(
        CP1,
        "mkdir /var/lib/kubelet/m && mount -t tmpfs tmpfs /var/lib/kubelet/m",
    )?;
    // nspawn dies, its machine does not; and the notes about one machine are lost.
    let outer = nspawn_processes(&format!("--machine={}-cp1", crate::runner::PREFIX))?;
    ensure!(outer.len() == 1, "nspawn processes of cp1: {outer:?}");
    kill(outer[0], Signal::SIGKILL)?;
    fs::remove_file(lab.state_directory().join("network"))?;
    // A unit's processes are ended by systemd when its first one is gone.
    let on_its_own = !Path::new("/run/systemd/system").is_dir();
    ensure!(
        lab.is_running(CP1) || !on_its_own,
        "nothing outlived nspawn: this proves nothing"
    );
    let mut forgotten = lab.command_in(Place::Client, "sleep").arg("600").spawn()?;
    lab.down()?;
    nothing_left(lab)?;
    ensure!(
        !forgotten.wait()?.success(),
        "a program in a namespace outlived the lab"
    );
    lab.up(&[CP1])?;
    lab.ssh_ok(CP1, "test ! -e /var/lib/kubelet/m")?;
    Ok(())
}

fn two_labs(context: &Context) -> Result<()> {
    let first = context.lab;
    let second = Lab::open(SECOND_PREFIX)?;
    second.down()?;
    first.up(&[CP1])?;
    second.up(&[CP1, CP2])?;
    first.ssh_ok(CP1, "echo first >/root/which")?;
    second.ssh_ok(CP1, "echo second >/root/which")?;
    ensure!(
        first.ssh_ok(CP1, "cat /root/which")? == "first\n",
        "the disks are mixed up"
    );
    second.kill(CP2)?;
    second.down()?;
    nothing_left(&second)?;
    ensure!(
        first.ssh_ok(CP1, "cat /root/which")? == "first\n",
        "the first lab lost its disk"
    );
    let instances = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances")?;
    ensure!(
        instances.trim() == "8192",
        "a setting was taken back under the first lab"
    );
    Ok(())
}

/// Fails when a namespace, mount, cgroup, process or file of the lab is there.
fn nothing_left(lab: &Lab) -> Result<()> {
    let state = lab.state_directory();
    let prefix = state
        .file_name()
        .context("a name")?
        .to_string_lossy()
        .into_owned();
    ensure!(!state.exists(), "{} is left", state.display());
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in names.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        ensure!(
            !name.starts_with(&format!("{prefix}-")),
            "the namespace {name} is left"
        );
    }
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let below = format!(" {}/", state.display());
    ensure!(
        !mounts.contains(&below),
        "something is mounted below {}",
        state.display()
    );
    ensure!(
        lab.machines().is_empty(),
        "cgroups of {:?} are left",
        lab.machines()
    );
    let running = nspawn_processes(&format!("--machine={prefix}-"))?;
    ensure!(running.is_empty(), "nspawn still runs: {running:?}");
    Ok(())
}

/// The `systemd-nspawn` processes with an argument that starts like this.
fn nspawn_processes(argument: &str) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process may end while it is looked at.
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0);
        let is_nspawn = words
            .next()
            .is_some_and(|program| program.ends_with(b"systemd-nspawn"));
        if is_nspawn && words.any(|word| word.starts_with(argument.as_bytes())) {
            found.push(Pid::from_raw(process));
        }
    }
    Ok(found)
}

/// What of the host's own network and settings could be seen to change.
struct HostNetwork {
    network: String,
    settings: Vec<(PathBuf, String)>,
    other_labs: bool,
}

impl HostNetwork {
    fn observe() -> Result<Self> {
        let mut network = String::new();
        for command in [
            "ip -o link | sed 's/ state [A-Z]*//'",
            "ip -o addr | sed 's/valid_lft.*//'",
            "ip route; ip -6 route; ip rule",
            "nft list ruleset",
        ] {
            let output = Command::new("sh").args(["-c", command]).output()?;
            network.push_str(&String::from_utf8_lossy(&output.stdout));
        }
        let mut settings = Vec::new();
        read_settings(Path::new("/proc/sys/net"), &mut settings);
        let labs = fs::read_dir("/run/lbnode-lab/labs")
            .into_iter()
            .flatten()
            .count();
        if labs == 0 {
            for name in [
                "vm/overcommit_memory",
                "kernel/panic",
                "kernel/panic_on_oops",
                "fs/inotify/max_user_instances",
            ] {
                let file = Path::new("/proc/sys").join(name);
                let value = fs::read_to_string(&file)?;
                settings.push((file, value));
            }
        }
        Ok(Self {
            network,
            settings,
            other_labs: labs > 0,
        })
    }

    fn must_be_unchanged(&self) -> Result<()> {
        let after = Self::observe()?;
        ensure!(
            self.network == after.network,
            "the host's network changed:\n{}",
            after.network
        );
        if self.other_labs != after.other_labs {
            return Ok(());
        }
        for (before, after) in self.settings.iter().zip(&after.settings) {
            ensure!(
                before == after,
                "a setting of the host changed: {before:?} -> {after:?}"
            );
        }
        Ok(())
    }
}

/// All settings below a directory that can be read, except counters.
fn read_settings(directory: &Path, into: &mut Vec<(PathBuf, String)>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            read_settings(&entry, into);
        } else if !entry.ends_with("nf_conntrack_count")
            && let Ok(value) = fs::read_to_string(&entry)
        {
            into.push((entry, value));
        }
    }
}
