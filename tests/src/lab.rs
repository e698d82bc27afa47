//! A lab: its machines, their power and their cables.

mod clients;

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};

use crate::cache::remove_tree;
use crate::disk::{self, Disk};
use crate::host::{Cell, Host, take_share, tight_disk};
use crate::namespace::Namespace;
use crate::paths::{self, Prefix};
use crate::roster::{Machine, Place};
use crate::segment::Segment;
use crate::sysctl::{self, Settings};
use crate::{base, bundle, patience, tool};

/// The lab with one prefix on this host, running or not.
#[derive(Debug)]
pub struct Lab {
    prefix: Prefix,
    state: PathBuf,
    host: Host,
    segment: Segment,
}

/// A machine as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineStatus {
    /// Which machine.
    pub machine: Machine,
    /// Number of processes; 0 means that it has no power.
    pub processes: usize,
    /// Memory in use, page cache included, in bytes.
    pub memory: u64,
    /// Whether its cable is in the switch.
    pub cabled: bool,
}

impl Lab {
    /// The lab with this prefix.
    ///
    /// # Errors
    /// When the host cannot run labs, with what is missing and how to get it; for a bad prefix.
    pub fn open(prefix: &str) -> Result<Self> {
        let prefix: Prefix = prefix.parse()?;
        Ok(Self {
            state: paths::state(&prefix),
            host: Host::detect()?,
            segment: Segment::new(prefix.clone()),
            prefix,
        })
    }

    /// The directory with everything that this lab writes.
    pub fn state_directory(&self) -> &Path {
        &self.state
    }

    /// Starts these machines, and the switch and the places beside them if need be; returns when
    /// all answer on SSH. What runs already stays as it is.
    pub fn up(&self, machines: &[Machine]) -> Result<()> {
        let base = base::directory()?;
        let lock = self.lock()?;
        if let Some(tight) = tight_disk(&self.state) {
            tool::say(format_args!("warning: {tight}"));
        }
        Settings::of_this_host().borrow(&self.prefix, &self.state)?;
        self.ensure_key()?;
        self.ensure_segment()?;
        for machine in machines {
            self.power_on(&base, *machine)
                .with_context(|| format!("cannot start {machine}"))?;
        }
        drop(lock);
        machines
            .iter()
            .try_for_each(|machine| self.wait_for_ssh(*machine))
    }

    /// Removes everything of this lab, also what a crash has left.
    pub fn down(&self) -> Result<()> {
        let lock = self.lock()?;
        for machine in self.machines() {
            self.power_off(machine)?;
            self.disk(machine).remove()?;
        }
        self.end_visitors();
        self.segment.remove_all()?;
        self.host.forget(&self.prefix);
        remove_tree(&self.state.join("machines"))?;
        remove_tree(&self.state)?;
        Settings::of_this_host().give_back(&self.prefix)?;
        drop(lock);
        Ok(())
    }

    /// A power cut: the machine is off the network at once and all its processes are gone; nobody
    /// hears a goodbye. Its disk stays.
    pub fn kill(&self, machine: Machine) -> Result<()> {
        let _lock = self.lock()?;
        self.power_off(machine)
    }

    /// Gives a machine its power back: it boots from its disk, without what it had in memory
    /// (addresses, routes, packet filter rules).
    pub fn start(&self, machine: Machine) -> Result<()> {
        if !self.disk_directory(machine).is_dir() {
            bail!("{machine} has no disk in this lab; `up` makes one");
        }
        self.up(&[machine])
    }

    /// Pulls the machine's network cable.
    ///
    /// An API server and an etcd that are alone spin (1.4 processors, measured with Kubernetes 1.36). On a processor of their own
    /// that would be nobody else's trouble, so the machine stands back until the cable is in again.
    pub fn cut(&self, machine: Machine) -> Result<()> {
        self.segment.set_cable(machine.into(), false)?;
        self.host.weigh(&self.cell(machine), 20)
    }

    /// Puts the machine's network cable back.
    pub fn heal(&self, machine: Machine) -> Result<()> {
        self.host.weigh(&self.cell(machine), 100)?;
        self.segment.set_cable(machine.into(), true)
    }

    /// Takes one machine away for good, disk included.
    pub fn discard(&self, machine: Machine) -> Result<()> {
        let _lock = self.lock()?;
        self.power_off(machine)?;
        self.disk(machine).remove()
    }

    /// The machines of this lab and how they are.
    pub fn status(&self) -> Result<Vec<MachineStatus>> {
        self.machines()
            .into_iter()
            .map(|machine| {
                let cell = self.cell(machine);
                Ok(MachineStatus {
                    machine,
                    processes: self.host.processes(&cell).len(),
                    memory: self.host.memory(&cell).unwrap_or_default(),
                    cabled: self.segment.has_cable(machine.into())?,
                })
            })
            .collect()
    }

    /// Whether the machine has power.
    pub fn is_running(&self, machine: Machine) -> bool {
        !self.host.processes(&self.cell(machine)).is_empty()
    }

    /// Every machine that has left a trace: a disk, a namespace or a cgroup.
    pub fn machines(&self) -> Vec<Machine> {
        let disks = fs::read_dir(self.state.join("machines"))
            .into_iter()
            .flatten()
            .flatten();
        let mut machines: Vec<Machine> = disks
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .chain(self.host.cells(&self.prefix))
            .collect();
        machines.sort_unstable();
        machines.dedup();
        machines
    }

    /// Runs a command line on the machine, as root, over SSH from the operator's place.
    pub fn ssh(&self, machine: Machine, command_line: &str) -> Result<Output> {
        tool::output(self.ssh_command(machine).arg(command_line))
    }

    /// Like [`Self::ssh`], but anything except exit code 0 is an error; returns what was printed.
    pub fn ssh_ok(&self, machine: Machine, command_line: &str) -> Result<String> {
        tool::run(self.ssh_command(machine).arg(command_line))
            .with_context(|| format!("on {machine}"))
    }

    /// The `ssh` program on its way to the machine; a command line can be added.
    pub fn ssh_command(&self, machine: Machine) -> Command {
        let mut ssh = self.command_in(Place::Operator, "ssh");
        ssh.arg("-i").arg(self.ssh_key());
        for option in [
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=2",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.arg(format!("root@{}", machine.address()));
        ssh
    }

    /// A program, to run in a place's network namespace.
    pub fn command_in(&self, place: impl Into<Place>, program: &str) -> Command {
        self.segment.command_in(place.into(), program)
    }

    /// The file that stands for a place's network namespace (for `setns`).
    pub fn namespace_file(&self, place: impl Into<Place>) -> PathBuf {
        self.segment.namespace_file(place.into())
    }

    /// Runs the function on a thread in a place's network namespace: sockets that it makes belong
    /// there, wherever they are used afterwards.
    pub fn within<T: Send>(
        &self,
        place: impl Into<Place>,
        work: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        let namespace = Namespace::open(&self.namespace_file(place))?;
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                namespace.enter()?;
                work()
            });
            worker.join().unwrap_or_else(|_| bail!("it panicked"))
        })
    }

    /// Brings an archive of images to a machine's container runtime.
    ///
    /// # Errors
    /// When the machine cannot be reached or refuses them.
    pub fn import_images(&self, machine: Machine, archive: &Path) -> Result<()> {
        let input =
            File::open(archive).with_context(|| format!("cannot open {}", archive.display()))?;
        let mut import = self.ssh_command(machine);
        import.arg("ctr -n k8s.io images import -").stdin(input);
        tool::run(&mut import)
            .with_context(|| format!("{machine} does not take {}", archive.display()))
            .map(drop)
    }

    /// Starts a program that has its share of one machine's claim to the processors with all others started so:
    /// a crowd of them must not starve the machines, as it would not if the operator had a computer of their own.
    pub fn spawn_as_operator(&self, command: &mut Command) -> Result<Child> {
        let tasks = self.host.tasks_of_the_operator(&self.prefix);
        thread::scope(|scope| {
            let starter = scope.spawn(|| {
                if let Some(tasks) = &tasks {
                    take_share(tasks)?;
                }
                command
                    .spawn()
                    .with_context(|| format!("cannot run `{}`", tool::words(command)))
            });
            starter.join().unwrap_or_else(|_| bail!("it panicked"))
        })
    }

    /// The private key that root, `debian` (sudo) and `guest` (no sudo) accept on every machine.
    pub fn ssh_key(&self) -> PathBuf {
        self.state.join("ssh/id_ed25519")
    }

    /// The machine's address.
    pub fn address(&self, machine: Machine) -> Ipv4Addr {
        machine.address()
    }

    /// The directory with Kubernetes for the machines; the first call may build it.
    pub fn kubernetes_bundle(&self) -> Result<PathBuf> {
        bundle::directory()
    }

    /// The file system that all machines begin with; not to be changed.
    pub fn base_tree(&self) -> Result<PathBuf> {
        base::directory()
    }

    /// `kubectl` of the bundle, to run in the operator's place.
    pub fn kubectl(&self) -> Result<Command> {
        let link = self.state.join("kubectl");
        if !link.exists() {
            let program = bundle::directory()?.join("bin/kube");
            std::os::unix::fs::symlink(&program, &link)
                .with_context(|| format!("cannot create {}", link.display()))?;
        }
        Ok(self.command_in(Place::Operator, &link.to_string_lossy()))
    }

    /// The machines that have the address on an interface. What lingers on the loopback interface after a planned
    /// move does not count: nobody answers for it.
    pub fn owners(&self, address: Ipv4Addr) -> Result<Vec<Machine>> {
        let mut owners = Vec::new();
        for machine in self.machines() {
            if self.segment.exists(machine.into()) {
                let question = format!("-o addr show to {address}/32");
                let answer = self.segment.ip(machine.into(), &question)?;
                if answer.lines().any(|line| !line.contains(": lo ")) {
                    owners.push(machine);
                }
            }
        }
        Ok(owners)
    }

    fn power_on(&self, base: &Path, machine: Machine) -> Result<()> {
        if self.is_running(machine) {
            return Ok(());
        }
        // As after a power cut: no cgroups and no namespace of an earlier life.
        self.power_off(machine)?;
        let disk = self.disk(machine);
        disk.mount(base, &self.ssh_key().with_extension("pub"))?;
        self.segment.attach(machine.into())?;
        let mut nspawn: Vec<String> = [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--capability=all",
            // What containers ask for, and nspawn forbids by default.
            "--system-call-filter=bpf keyctl add_key",
            "--resolv-conf=off",
            "--timezone=off",
            "--console=read-only",
            "--kill-signal=SIGRTMIN+3",
        ]
        .map(str::to_owned)
        .into();
        let namespace = self.segment.namespace_file(machine.into());
        nspawn.push(format!("--machine={}", self.cell(machine)));
        nspawn.push(format!("--hostname={machine}"));
        nspawn.push(format!("--directory={}", disk.root().display()));
        nspawn.push(format!("--network-namespace-path={}", namespace.display()));
        nspawn.extend(disk.binds());
        self.host
            .start(&self.cell(machine), &nspawn, &disk.console())
    }

    /// Ends what still runs in the places beside the machines, such as an SSH client that somebody's
    /// killed program has left: it would keep the namespace for as long as it waits.
    fn end_visitors(&self) {
        for place in Place::FIXTURES {
            if let Ok(namespace) = Namespace::open(&self.segment.namespace_file(place)) {
                for process in namespace.processes() {
                    // It may have ended by itself meanwhile.
                    let _ = kill(process, Signal::SIGKILL);
                }
            }
        }
    }

    fn power_off(&self, machine: Machine) -> Result<()> {
        // The cable first: killed processes' sockets would still say goodbye.
        self.segment.unplug(machine.into())?;
        self.host.annihilate(&self.cell(machine))?;
        self.segment.drop_namespace(machine.into())?;
        self.disk(machine).unmount()?;
        let leftover =
            PathBuf::from("/run/systemd/nspawn/propagate").join(self.cell(machine).to_string());
        // nspawn makes it and, killed, leaves it.
        let _ = fs::remove_dir(leftover);
        Ok(())
    }

    fn wait_for_ssh(&self, machine: Machine) -> Result<()> {
        let what = format!("{machine} answers on SSH");
        patience::until(&what, BOOT, Duration::from_millis(100), || {
            let answers = tool::succeeds(self.ssh_command(machine).arg("true"))?;
            if !answers && !self.is_running(machine) {
                bail!("{machine} did not boot:\n{}", self.console_tail(machine));
            }
            Ok(answers.then_some(()))
        })
        .with_context(|| format!("its console:\n{}", self.console_tail(machine)))
    }

    fn console_tail(&self, machine: Machine) -> String {
        let text = fs::read(self.disk(machine).console()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    fn ensure_key(&self) -> Result<()> {
        let key = self.ssh_key();
        if key.exists() {
            return Ok(());
        }
        fs::create_dir_all(self.state.join("ssh"))?;
        disk::generate_key(&key, "lab")
    }

    fn ensure_segment(&self) -> Result<()> {
        // Written last when the network is built: half-built ones are built again.
        let mark = self.state.join("network");
        let boot = sysctl::boot_id();
        let whole = fs::read_to_string(&mark).is_ok_and(|text| text == boot)
            && Place::FIXTURES
                .iter()
                .all(|place| self.segment.exists(*place));
        if whole {
            return Ok(());
        }
        for machine in self.machines() {
            self.power_off(machine)?;
        }
        self.segment.build()?;
        fs::write(mark, boot).context("cannot note that the network is built")
    }

    fn cell(&self, machine: Machine) -> Cell {
        Cell {
            prefix: self.prefix.clone(),
            machine,
        }
    }

    fn disk(&self, machine: Machine) -> Disk {
        Disk::new(self.disk_directory(machine), machine)
    }

    fn disk_directory(&self, machine: Machine) -> PathBuf {
        self.state.join("machines").join(machine.to_string())
    }

    /// One command at a time changes a lab.
    fn lock(&self) -> Result<File> {
        // Beside the state, which `down` removes.
        let file = self.state.with_extension("lock");
        let parent = self
            .state
            .parent()
            .context("a state directory has a parent")?;
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
        fs::create_dir_all(&self.state)?;
        let lock =
            File::create(&file).with_context(|| format!("cannot create {}", file.display()))?;
        lock.lock()?;
        Ok(lock)
    }
}

/// So long a machine may take to answer on SSH: a second usually, minutes on an emulated host.
const BOOT: Duration = Duration::from_secs(300);
