//! What `lbctl create cluster` refuses, before anything is changed and with a way out.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::roster::API_VIP;
use lab_tests::{Lab, Machine, Place, patience};

use crate::runner::{Context, Scenario};
use crate::shared::{example, programs, said};

/// On machines that nothing is installed on.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "create_refuses_a_file_with_errors",
        run: a_file_with_errors,
    },
    Scenario {
        name: "create_refuses_a_node_listed_twice",
        run: a_node_listed_twice,
    },
    Scenario {
        name: "create_refuses_a_host_that_does_not_answer",
        run: an_unknown_host,
    },
    Scenario {
        name: "create_refuses_a_key_that_no_machine_accepts",
        run: a_wrong_key,
    },
    Scenario {
        name: "create_refuses_a_user_without_sudo",
        run: a_user_without_sudo,
    },
    Scenario {
        name: "create_refuses_a_vip_that_somebody_answers_for",
        run: a_vip_in_use,
    },
    Scenario {
        name: "create_refuses_a_taken_port_of_the_api_server",
        run: |context| a_taken_port(context, 6444),
    },
    Scenario {
        name: "create_refuses_a_taken_port_of_the_vip",
        run: |context| a_taken_port(context, 443),
    },
    Scenario {
        name: "create_refuses_a_machine_with_swap",
        run: a_machine_with_swap,
    },
    Scenario {
        name: "create_refuses_a_missing_bundle",
        run: a_missing_bundle,
    },
    Scenario {
        name: "create_refuses_a_bundle_of_another_architecture",
        run: a_bundle_of_another_architecture,
    },
];

fn a_file_with_errors(context: &Context) -> Result<()> {
    let text = example()?.replace(
        "controlPlaneVIP: 10.10.0.100",
        "controlPlaneVIP: 10.10.0.300",
    );
    let refusal = Refusal::of(context, &text)?;
    refusal.must_say(3, &["cluster.yaml:", "10.10.0.300", "hint:"])
}

fn a_node_listed_twice(context: &Context) -> Result<()> {
    let text = example()?.replace("- address: 10.10.0.13", "- address: 10.10.0.11");
    let refusal = Refusal::of(context, &text)?;
    refusal.must_say(3, &["cluster.yaml:", "10.10.0.11", "hint:"])
}

fn an_unknown_host(context: &Context) -> Result<()> {
    let text = example()?.replace("- address: 10.10.0.13", "- address: 10.10.0.99");
    let refusal = Refusal::of(context, &text)?;
    refusal.must_say(1, &["10.10.0.99", "hint:"])
}

fn a_wrong_key(context: &Context) -> Result<()> {
    let lab = context.bare()?;
    let key = lab.state_directory().join("wrong-key");
    let _ = fs::remove_file(&key);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()?;
    ensure!(made.success(), "ssh-keygen failed");
    let cluster = cluster(lab, &example()?)?.with_key(key);
    let refusal = Refusal::new(lab, &cluster)?;
    refusal.must_say(
        1,
        &["10.10.0.11", "10.10.0.12", "10.10.0.13", "key", "hint:"],
    )
}

fn a_user_without_sudo(context: &Context) -> Result<()> {
    let text = example()?.replace(
        "  clusterNetwork:",
        "  nodeAccess:\n    loginUser: guest\n  clusterNetwork:",
    );
    let refusal = Refusal::of(context, &text)?;
    refusal.must_say(1, &["10.10.0.11", "sudo", "hint:"])
}

fn a_vip_in_use(context: &Context) -> Result<()> {
    let lab = context.bare()?;
    let ip = |action: &str| -> Result<()> {
        let status = lab
            .command_in(Place::Client, "ip")
            .args(["addr", action, &format!("{API_VIP}/32"), "dev", "eth0"])
            .status()?;
        ensure!(status.success(), "ip addr {action} failed");
        Ok(())
    };
    ip("add")?;
    let refusal = Refusal::of(context, &example()?);
    ip("del")?;
    refusal?.must_say(1, &["10.10.0.100", "02:00:0a:0a:00:32", "hint:"])
}

fn a_taken_port(context: &Context, port: u16) -> Result<()> {
    let lab = context.bare()?;
    let machine = Machine::cp(2);
    // A socket in the machine's network namespace; on the machine itself a unit shows its program.
    lab.ssh_ok(
        machine,
        &format!(
            "systemd-run --quiet --collect --unit=squatter socat TCP-LISTEN:{port},reuseaddr,fork EXEC:cat"
        ),
    )?;
    // Asked by connecting: a bind would take the port itself for a moment, and socat would give up.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    patience::until(
        "the port is taken",
        std::time::Duration::from_secs(5),
        std::time::Duration::from_millis(50),
        || lab.within(machine, move || Ok(TcpStream::connect(address).ok())),
    )?;
    let refusal = Refusal::of(context, &example()?);
    lab.ssh_ok(machine, "systemctl stop squatter")?;
    refusal?.must_say(1, &["10.10.0.12", &port.to_string(), "socat", "hint:"])
}

fn a_machine_with_swap(context: &Context) -> Result<()> {
    let lab = context.bare()?;
    let machine = Machine::cp(3);
    // The table of swap areas belongs to the host; this is what a machine's own would look like.
    lab.ssh_ok(
        machine,
        "printf 'Filename\\tType\\tSize\\tUsed\\tPriority\\n/swapfile file 1048572 0 -2\\n' >/run/swaps \
         && mount --bind /run/swaps /proc/swaps",
    )?;
    let refusal = Refusal::of(context, &example()?);
    lab.ssh_ok(machine, "umount /proc/swaps && rm /run/swaps")?;
    refusal?.must_say(1, &["10.10.0.13", "swap", "/swapfile", "swapoff", "hint:"])
}

fn a_missing_bundle(context: &Context) -> Result<()> {
    let lab = context.bare()?;
    let nowhere = lab.state_directory().join("no-bundle");
    let cluster = cluster(lab, &example()?)?.with_bundle(nowhere);
    Refusal::new(lab, &cluster)?.must_say(1, &["no-bundle", "bundle.yaml", "hint:"])
}

fn a_bundle_of_another_architecture(context: &Context) -> Result<()> {
    let lab = context.bare()?;
    let cluster = cluster(lab, &example()?)?.with_bundle(foreign_bundle(lab)?);
    let refusal = Refusal::new(lab, &cluster)?;
    refusal.must_say(1, &["10.10.0.11", "amd64", "arm64", "hint:"])
}

/// The lab's bundle, that says it is for another kind of machine.
fn foreign_bundle(lab: &Lab) -> Result<PathBuf> {
    let original = lab.kubernetes_bundle()?;
    let directory = lab.state_directory().join("foreign-bundle");
    fs::create_dir_all(&directory)?;
    for part in ["bin", "images"] {
        let link = directory.join(part);
        if !link.exists() {
            std::os::unix::fs::symlink(original.join(part), link)?;
        }
    }
    let manifest = fs::read_to_string(original.join("bundle.yaml"))?;
    let foreign = manifest.replace("architecture: amd64", "architecture: arm64");
    ensure!(foreign != manifest, "the bundle is not for amd64");
    fs::write(directory.join("bundle.yaml"), foreign)?;
    Ok(directory)
}

pub(crate) fn cluster(lab: &'static Lab, text: &str) -> Result<Cluster<'static>> {
    Cluster::new(lab, programs()?, &Machine::CONTROL_PLANE, text)
}

/// What `lbctl create cluster` said, and what was on the machines before and after.
struct Refusal {
    code: Option<i32>,
    said: String,
    before: Vec<String>,
    after: Vec<String>,
}

impl Refusal {
    fn of(context: &Context, text: &str) -> Result<Self> {
        let lab = context.bare()?;
        Self::new(lab, &cluster(lab, text)?)
    }

    fn new(lab: &Lab, cluster: &Cluster<'_>) -> Result<Self> {
        let before = contents(lab)?;
        let output = cluster
            .create_command()
            .output()
            .context("cannot run lbctl")?;
        Ok(Self {
            code: output.status.code(),
            said: said(&output),
            before,
            after: contents(lab)?,
        })
    }

    /// Fails unless it ended with this code, said all of this, and changed no file.
    fn must_say(&self, code: i32, words: &[&str]) -> Result<()> {
        for word in words {
            ensure!(
                self.said.to_lowercase().contains(&word.to_lowercase()),
                "it does not say `{word}`:\n{}",
                self.said
            );
        }
        ensure!(
            self.code == Some(code),
            "it ended with {:?}, not {code}:\n{}",
            self.code,
            self.said
        );
        ensure!(
            self.before == self.after,
            "files on the machines have changed"
        );
        Ok(())
    }
}

/// All files of all machines with their inodes and times of change.
pub(crate) fn contents(lab: &Lab) -> Result<Vec<String>> {
    const LOOK: &str = "find /etc /usr /opt /root /home /srv /var/lib/kubelet /var/lib/etcd /var/lib/cni \
        -type f -printf '%p %i %s %C@\\n' | sort; ls -A /var/lib/lbctl /run/lbctl-* 2>/dev/null || true";
    Machine::CONTROL_PLANE
        .into_iter()
        .map(|machine| lab.ssh_ok(machine, LOOK))
        .collect()
}
