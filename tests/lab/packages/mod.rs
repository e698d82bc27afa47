//! Software from the packages of the machines' distribution: from a repository that `lbctl` adds, and from one that somebody
//! has configured. A reset leaves the packages as they were.

mod repository;

use std::collections::BTreeSet;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::lifecycle::files::{edited, with_control_planes};
use lab_tests::{Lab, Machine};

use crate::changes::patiently;
use crate::runner::{Context, Scenario};
use crate::shared::{example, files, programs, said};
use repository::{Repository, VERSION};

/// It begins and ends with a bare machine.
pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "a_machine_gets_its_software_from_packages_and_gives_it_back",
    run: |context| patiently(context, from_packages),
}];

const MACHINE: Machine = Machine::cp(1);
/// What comes by name; more comes with it.
const HELD: [&str; 5] = ["containerd", "cri-tools", "kubeadm", "kubectl", "kubelet"];

/// A machine as a registry would serve it: kubeadm's images are there under their own names, nothing else of Kubernetes or
/// containerd is.
const PREPARE: &str = "set -e\n\
    for image in $(ctr -n k8s.io images ls -q | grep '^lab.invalid/'); do\n\
      name=${image#lab.invalid/}\n\
      case $name in coredns:*) name=coredns/$name ;; esac\n\
      ctr -n k8s.io images tag $image registry.k8s.io/$name >/dev/null\n\
    done\n\
    sandbox=$(containerd config default | sed -n 's/.*sandbox_image = \"\\(.*\\)\"/\\1/p')\n\
    ctr -n k8s.io images tag lab.invalid/pause:3.10.2 $sandbox >/dev/null 2>&1 || true\n\
    systemctl stop containerd\n\
    dpkg --purge containerd\n\
    rm -rf /etc/containerd\n\
    : >/etc/apt/sources.list";

/// What a machine has.
#[derive(Debug, PartialEq, Eq)]
struct State {
    files: BTreeSet<String>,
    packages: String,
    held: String,
}

impl State {
    fn of(lab: &Lab) -> Result<Self> {
        let list = "dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\\n'";
        Ok(Self {
            files: files(lab, MACHINE)?,
            packages: lab.ssh_ok(MACHINE, list)?,
            held: lab.ssh_ok(MACHINE, "apt-mark showhold")?,
        })
    }

    /// An error that says what differs.
    fn same(&self, now: &Self) -> Result<()> {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let parts = [
            ("files", self.files.clone(), now.files.clone()),
            ("packages", lines(&self.packages), lines(&now.packages)),
            ("held packages", lines(&self.held), lines(&now.held)),
        ];
        for (what, before, after) in parts {
            let more: Vec<_> = after.difference(&before).collect();
            let less: Vec<_> = before.difference(&after).collect();
            ensure!(
                more.is_empty() && less.is_empty(),
                "{what} that are new: {more:?}, that are gone: {less:?}"
            );
        }
        Ok(())
    }
}

fn from_packages(context: &Context) -> Result<()> {
    let lab = context.lab;
    let software = lab.kubernetes_bundle()?;
    lab.down()?;
    lab.up(&[MACHINE])?;
    let repository = Repository::start(lab)?;
    lab.import_images(MACHINE, &software.join("images/kubernetes.tar"))?;
    lab.ssh_ok(MACHINE, PREPARE)?;
    let before = State::of(lab)?;
    let text = with_control_planes(&example()?, &[MACHINE])?;
    let cluster = Cluster::new(lab, programs()?, &[MACHINE], &text)?;
    a_wrong_key_installs_nothing(&cluster, &repository, &before)?;

    let own = |words: &[&str]| {
        let mut command = with_packages(&cluster, words);
        command.arg("--package-repo").arg(repository.url());
        command.arg("--package-key").arg(repository.key());
        command
    };
    succeed(&mut own(&["create", "cluster", "--yes", "--no-progress"]))?;
    cluster.settle()?;
    installed_and_held(lab)?;
    ours_is_there(lab, true)?;
    let again = succeed(&mut own(&["create", "cluster", "--yes", "--no-progress"]))?;
    ensure!(again.contains("nothing to do"), "it says: {again}");
    reset(&cluster)?;
    before.same(&State::of(lab)?)?;

    the_operators_own_repository(&cluster, &repository, &text)?;
    drop(repository);
    lab.discard(MACHINE)
}

/// Nobody but who has the key can give the machines anything.
fn a_wrong_key_installs_nothing(
    cluster: &Cluster<'_>,
    repository: &Repository,
    before: &State,
) -> Result<()> {
    let mut command = with_packages(cluster, &["create", "cluster", "--yes", "--no-progress"]);
    command.arg("--package-repo").arg(repository.url());
    command.arg("--package-key").arg(repository.other_key());
    let output = command.output()?;
    let words = said(&output);
    ensure!(
        !output.status.success() && words.contains("nothing was installed"),
        "it says: {words}"
    );
    let packages = State::of(cluster.lab)?.packages;
    ensure!(packages == before.packages, "packages came all the same");
    Ok(())
}

/// With `addPackageRepo: false` only what is configured is used, and it stays as it is.
fn the_operators_own_repository(
    cluster: &Cluster<'_>,
    repository: &Repository,
    text: &str,
) -> Result<()> {
    let lab = cluster.lab;
    let key = std::fs::read_to_string(repository.key())?;
    let url = repository.url();
    let configure = format!(
        "cat >/etc/apt/keyrings/own.asc <<'KEY'\n{key}KEY\n\
         echo 'deb [signed-by=/etc/apt/keyrings/own.asc] {url} /' >/etc/apt/sources.list.d/own.list"
    );
    lab.ssh_ok(MACHINE, &configure)?;
    let before = State::of(lab)?;
    let forbids = edited(
        text,
        "  clusterNetwork:\n",
        "  osEnvironmentConfig:\n    addPackageRepo: false\n  clusterNetwork:\n",
    )?;
    let cluster = cluster.edited(&[MACHINE], &forbids)?;
    let words = ["create", "cluster", "--yes", "--no-progress"];
    succeed(&mut with_packages(&cluster, &words))?;
    cluster.settle()?;
    installed_and_held(lab)?;
    ours_is_there(lab, false)?;
    reset(&cluster)?;
    before.same(&State::of(lab)?)
}

fn with_packages(cluster: &Cluster<'_>, words: &[&str]) -> Command {
    let mut command = cluster.lbctl(words);
    command.arg("--lbnode").arg(cluster.lbnode());
    command.args(["--kubernetes-version", "v1.36.3"]);
    command
}

fn succeed(command: &mut Command) -> Result<String> {
    let output: Output = command.output().context("lbctl cannot be run")?;
    let words = said(&output);
    ensure!(output.status.success(), "lbctl failed: {words}");
    Ok(words)
}

fn reset(cluster: &Cluster<'_>) -> Result<()> {
    succeed(&mut cluster.reset_command()).map(drop)
}

fn installed_and_held(lab: &Lab) -> Result<()> {
    let held = lab.ssh_ok(MACHINE, "apt-mark showhold")?;
    let held: BTreeSet<&str> = held.lines().collect();
    ensure!(held == BTreeSet::from(HELD), "held: {held:?}");
    for name in ["kubeadm", "kubelet", "kubectl"] {
        let question = format!("dpkg-query -W -f '${{Version}}' {name}");
        let version = lab.ssh_ok(MACHINE, &question)?;
        ensure!(version == VERSION, "{name} is {version}");
    }
    Ok(())
}

/// Whether `lbctl` has added its repository.
fn ours_is_there(lab: &Lab, expected: bool) -> Result<()> {
    let there = lab.ssh(MACHINE, "ls /etc/apt/*/lbctl-kubernetes.*")?;
    ensure!(
        there.status.success() == expected,
        "lbctl's own repository: {}",
        String::from_utf8_lossy(&there.stdout)
    );
    Ok(())
}
