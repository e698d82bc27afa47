//! The other kind of host, tried in an emulated machine: Debian with cgroup v2 and systemd, in
//! qemu without KVM.
//!
//! The virtual machine's disk is a Debian tree with the packages that the lab needs, the base tree
//! and the Kubernetes bundle of this host's cache, and the test program; a unit runs it after boot
//! and tells on the serial console how it went.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{base, bundle, cache, paths, tool};

/// What a trial needs beside what the lab needs.
const PROGRAMS: [(&str, &str); 2] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mke2fs", "e2fsprogs"),
];

/// Installed in the virtual machine beside the lab's own packages.
const SYSTEM: &str = "linux-image-amd64,initramfs-tools,systemd-sysv,udev,dbus,kmod";

const SUITE: &str = "bookworm";
const CUSTOMISE: &str = include_str!("customise.sh");
const PACKAGES: &str = include_str!("../../lab-packages.txt");

/// The line on the console that ends a trial begins like this.
const VERDICT: &str = "vm-trial: ";

/// So long a trial may take: emulation is some twenty times slower.
const LIMIT: Duration = Duration::from_secs(75 * 60);

/// Boots the virtual machine and runs those scenarios of the test program in it whose names
/// contain one of the words; what the machine says is printed as it comes.
///
/// # Errors
/// When something is missing, or a scenario failed.
pub fn trial(test_program: &Path, scenarios: &[&str]) -> Result<()> {
    require_programs()?;
    let system = system()?;
    let directory = paths::cache()?.join("vm-trial");
    cache::remove_tree(&directory)?;
    fs::create_dir_all(&directory)?;
    let disk = directory.join("disk.raw");
    make_disk(&disk, &system, test_program, scenarios)?;
    let verdict = boot(&system, &disk, &directory.join("console.log"));
    fs::remove_file(&disk)?;
    let verdict = verdict?;
    ensure!(
        verdict == "passed",
        "the trial in the virtual machine: {verdict}"
    );
    Ok(())
}

fn require_programs() -> Result<()> {
    for (program, package) in PROGRAMS {
        ensure!(
            tool::command(program, ["-V"]).output().is_ok(),
            "a trial in a virtual machine needs `{program}`: apt-get install -y {package}"
        );
    }
    Ok(())
}

/// The Debian tree of the virtual machine, kernel and initial file system in `boot/`.
fn system() -> Result<PathBuf> {
    let packages: Vec<&str> = PACKAGES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .chain(SYSTEM.split(','))
        .collect();
    let packages = packages.join(",");
    let ingredients = [SUITE, packages.as_str(), CUSTOMISE].map(str::as_bytes);
    cache::directory("vm-system", &ingredients, |tree, log| {
        let mut fetch = base::debootstrap(SUITE, &packages, tree);
        log.step("fetching Debian for the virtual machine", &mut fetch)?;
        let mut customise = tool::command("sh", ["-euc", CUSTOMISE, "customise"]);
        customise.arg(tree);
        log.step("setting up the virtual machine", &mut customise)
    })
}

/// A file system of the system, the caches and the test program.
fn make_disk(disk: &Path, system: &Path, test_program: &Path, scenarios: &[&str]) -> Result<()> {
    let bundle = bundle::directory()?;
    let base = base::directory()?;
    let tree = disk.with_file_name("tree");
    fs::create_dir(&tree)?;
    // Hard links: mke2fs only reads them.
    let mut copy = tool::command("cp", ["--archive", "--link"]);
    tool::run(copy.arg(system.join(".")).arg(&tree))?;
    let lab = tree.join("lab");
    let cached = lab.join("cache/bundled-lb");
    fs::create_dir_all(&cached)?;
    for directory in [&base, &bundle] {
        let mut copy = tool::command("cp", ["--archive", "--link"]);
        tool::run(copy.arg(directory).arg(&cached))?;
    }
    // Nothing is compiled in there: the images that tests use lie where a bundle made elsewhere has them.
    let bundle_name = bundle.file_name().unwrap_or_default().to_string_lossy();
    let images = bundle::test_images_in(&cached.join(&*bundle_name));
    if !images.exists() {
        fs::create_dir_all(images.parent().unwrap_or(&cached))?;
        fs::hard_link(bundle::test_images()?, images)?;
    }
    fs::copy(test_program, lab.join("lab-tests"))?;
    fs::write(lab.join("scenarios"), scenarios.join("\n") + "\n")?;
    fs::write(
        lab.join("environment"),
        format!(
            "XDG_CACHE_HOME=/lab/cache\nLAB_KUBERNETES_BUNDLE=/lab/cache/bundled-lb/{bundle_name}\n"
        ),
    )?;
    tool::say("writing the virtual machine's disk");
    let mut make = tool::command("mke2fs", ["-q", "-t", "ext4", "-E", "root_owner=0:0", "-d"]);
    tool::run(make.arg(&tree).arg(disk).arg("12G"))?;
    cache::remove_tree(&tree)
}

/// Runs the virtual machine until it says how the trial went.
#[expect(clippy::disallowed_methods, reason = "a limit in real time")]
fn boot(system: &Path, disk: &Path, console: &Path) -> Result<String> {
    let begin = Instant::now();
    let drive = format!("file={},if=virtio,format=raw,cache=unsafe", disk.display());
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args([
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "6144",
    ])
    .args(["-nographic", "-no-reboot", "-nic", "none"])
    .arg("-kernel")
    .arg(boot_file(system, "vmlinuz-")?)
    .arg("-initrd")
    .arg(boot_file(system, "initrd.img-")?)
    .args(["-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1"])
    .args(["-drive", &drive])
    .stdin(Stdio::null())
    .stdout(Stdio::piped());
    tool::say(format_args!(
        "booting the virtual machine (console: {}); this takes a while",
        console.display()
    ));
    let mut child = qemu.spawn().context("cannot run qemu-system-x86_64")?;
    let output = child.stdout.take().context("a pipe")?;
    let verdict = follow(output, console, || begin.elapsed() < LIMIT);
    // It powers itself off after its verdict; without one it is of no more use.
    if !matches!(verdict, Ok(Some(_))) {
        child.kill()?;
    }
    child.wait()?;
    match verdict? {
        Some(verdict) => Ok(verdict),
        None => bail!(
            "the virtual machine ended without a verdict after {} s; see {}",
            begin.elapsed().as_secs(),
            console.display()
        ),
    }
}

/// Copies the console to a file and shows the trial's own lines, until there is a verdict.
fn follow(
    output: impl Read,
    console: &Path,
    has_time: impl Fn() -> bool,
) -> Result<Option<String>> {
    use std::io::Write as _;
    let mut log = File::create(console)?;
    let mut verdict = None;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        log.write_all(&line)?;
        log.write_all(b"\n")?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if let Some((_, said)) = line.split_once(VERDICT) {
            verdict = Some(said.to_owned());
        } else if line.contains("test ") || line.contains(" passed, ") {
            tool::say(line);
        }
        if verdict.is_none() && !has_time() {
            return Ok(None);
        }
    }
    Ok(verdict)
}

/// The file in the system's `boot` whose name begins like this.
fn boot_file(system: &Path, start: &str) -> Result<PathBuf> {
    fs::read_dir(system.join("boot"))?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path())
        .with_context(|| format!("no {start}… in {}", system.join("boot").display()))
}
