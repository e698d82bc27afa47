//! A machine's disk: the shared base tree under an overlay of its own, which survives a power cut.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache::{mounts_below, remove_tree};
use crate::roster::Machine;
use crate::tool;

/// Directories that lie on the host's own file system: containerd cannot stack an overlay on an
/// overlay, and the kubelet and etcd look at the device below their data.
const ON_THE_HOST: [&str; 3] = ["containerd", "kubelet", "etcd"];

/// The kubelet's own arguments: it sees the host's file system, of whose size its percentages say nothing here.
const KUBELET_ARGUMENTS: &str = "KUBELET_EXTRA_ARGS=--image-gc-high-threshold=100 \
     --eviction-hard=memory.available<100Mi,nodefs.available<500Mi,imagefs.available<500Mi\n";

/// Stands before Debian's runc in the search path.
const REALTIME_RUNC: &str = include_str!("host/realtime-runc.sh");

/// The disk of one machine.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    machine: Machine,
}

impl Disk {
    pub(crate) fn new(directory: PathBuf, machine: Machine) -> Self {
        Self { directory, machine }
    }

    /// The root of the machine's file system, while it is mounted.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// What the machine's system says while it boots.
    pub(crate) fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    /// `--bind` arguments for what lies on the host's file system.
    pub(crate) fn binds(&self) -> impl Iterator<Item = String> + '_ {
        ON_THE_HOST.iter().map(|name| {
            format!(
                "--bind={}:/var/lib/{name}",
                self.directory.join(name).display()
            )
        })
    }

    /// Mounts the disk; a first use makes it the disk of a freshly installed machine.
    pub(crate) fn mount(&self, base: &Path, authorized_key: &Path) -> Result<()> {
        for name in ["upper", "work", "root"].iter().chain(&ON_THE_HOST) {
            let directory = self.directory.join(name);
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            base.display(),
            self.directory.join("upper").display(),
            self.directory.join("work").display()
        );
        let root = self.root();
        let mut mount = tool::command("mount", ["-t", "overlay", "lbnode-lab", "-o", &options]);
        tool::run(mount.arg(&root))?;
        self.personalise(authorized_key)
    }

    fn personalise(&self, authorized_key: &Path) -> Result<()> {
        let root = self.root();
        let host_key = root.join("etc/ssh/ssh_host_ed25519_key");
        if host_key.exists() {
            return Ok(());
        }
        let mut hosts = String::from("127.0.0.1 localhost\n");
        for machine in Machine::USUAL {
            hosts.push_str(&format!("{} {machine}\n", machine.address()));
        }
        fs::write(root.join("etc/hosts"), hosts)?;
        fs::write(root.join("etc/hostname"), format!("{}\n", self.machine))?;
        fs::write(root.join("etc/default/kubelet"), KUBELET_ARGUMENTS)?;
        let runc = root.join("usr/local/sbin/runc");
        fs::write(&runc, REALTIME_RUNC)?;
        fs::set_permissions(&runc, fs::Permissions::from_mode(0o755))?;
        for home in ["root", "home/debian", "home/guest"] {
            authorise(&root.join(home), authorized_key)?;
        }
        // Last: its presence says that the rest is there.
        generate_key(&host_key, &self.machine.to_string())
    }

    /// Unmounts the disk and everything that the machine's containers mounted on it.
    pub(crate) fn unmount(&self) -> Result<()> {
        for mount in mounts_below(&self.directory)? {
            let mut unmount = tool::command("umount", ["--lazy"]);
            tool::run(unmount.arg(&mount))?;
        }
        Ok(())
    }

    /// Throws the disk away.
    pub(crate) fn remove(&self) -> Result<()> {
        self.unmount()?;
        remove_tree(&self.directory)
    }
}

/// Makes an SSH key pair `file` and `file.pub` without a passphrase.
pub(crate) fn generate_key(file: &Path, comment: &str) -> Result<()> {
    let mut generate = tool::command(
        "ssh-keygen",
        ["-q", "-t", "ed25519", "-N", "", "-C", comment],
    );
    tool::run(generate.arg("-f").arg(file)).map(drop)
}

/// Lets the holder of the key log in as the owner of the home directory.
fn authorise(home: &Path, key: &Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let owner = fs::metadata(home).with_context(|| format!("no {}", home.display()))?;
    let directory = home.join(".ssh");
    fs::create_dir_all(&directory)?;
    let file = directory.join("authorized_keys");
    fs::copy(key, &file).with_context(|| format!("cannot copy {}", key.display()))?;
    for (path, mode) in [(&directory, 0o700), (&file, 0o600)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        chown(path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}
