//! What the routers of a cluster may do on their machines.

use anyhow::{Context as _, Result, ensure};

use crate::runner::{Context, Scenario};

/// On the shared cluster.
pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "the_routers_run_without_root_and_with_few_rights",
    run: few_rights,
}];

/// Of every process of a router: its line of words.
const LOOK: &str = "for process in $(pgrep -f '^/lbnode vrrp'); do \
    status=$(cat /proc/$process/status); \
    field() { echo \"$status\" | sed -n \"s/^$1:[[:space:]]*//p\" | cut -f1; }; \
    root=$(awk '$2 == \"/\" {print $4}' /proc/$process/mounts | tail -n 1 | cut -d, -f1); \
    echo \"$(field Uid) $(field Gid) $(field CapEff) $(field CapBnd) $(field NoNewPrivs) $root\"; done";

const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;
const IPC_LOCK: u64 = 1 << 14;
const SYS_NICE: u64 = 1 << 23;

fn few_rights(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    cluster.settle()?;
    for machine in &cluster.machines {
        let lines = cluster.lab.ssh_ok(*machine, LOOK)?;
        println!("     {machine}: {}", lines.trim().replace('\n', "; "));
        ensure!(
            lines.lines().count() == 2,
            "{machine} does not run a router and its supervisor: {lines}"
        );
        for line in lines.lines() {
            judge(line).with_context(|| format!("{machine}: {line}"))?;
        }
    }
    Ok(())
}

fn judge(line: &str) -> Result<()> {
    let words: Vec<&str> = line.split(' ').collect();
    let [user, group, effective, bounding, no_new, root] = words[..] else {
        anyhow::bail!("six words are expected");
    };
    ensure!(user != "0" && group != "0", "it runs as root");
    let set = |text| u64::from_str_radix(text, 16);
    let needed = NET_ADMIN | NET_RAW;
    ensure!(set(effective)? & needed == needed, "it lacks what it needs");
    ensure!(
        set(bounding)? & !(needed | IPC_LOCK | SYS_NICE) == 0,
        "it could have more than it needs"
    );
    ensure!(no_new == "1", "it could gain privileges");
    ensure!(root == "ro", "its root is writable");
    Ok(())
}
