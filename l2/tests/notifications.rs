//! More changes than the kernel queues, in a network namespace that ends with its thread.
#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::{Command, ExitStatus, Stdio};

use l2::linux::address::Held;
use l2::linux::link::{Change, Links};
use l2::linux::netlink::Notifications;
use nix::sched::{CloneFlags, unshare};

/// What is queued when the queue runs over is older than what is read then, and would undo it.
#[test]
fn what_is_older_than_the_last_look_undoes_nothing() {
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    ip("link add a0 type veth peer name a1\naddr add 10.0.0.1/24 dev a0\n");
    let notifications = Notifications::open().unwrap();
    let mut links = Links::read().unwrap();
    let index = links.by_name("a0").unwrap().index;
    let [first, brief]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];

    // Queued is that `brief` comes; lost is that both go.
    let mut lines = "addr add 10.0.0.2/24 dev a0\n".to_owned();
    for _ in 0..2000 {
        lines.push_str("addr add 10.0.0.3/24 dev a0\naddr del 10.0.0.3/24 dev a0\n");
    }
    for address in [brief, first] {
        writeln!(lines, "addr del {address}/24 dev a0").unwrap();
    }
    ip(&lines);

    assert_eq!(notifications.receive().unwrap(), None);
    let held = Held {
        index,
        address: first,
    };
    assert_eq!(links.read_again().unwrap(), [held]);
    assert_eq!(notifications.receive().unwrap(), Some(Vec::new()));
    assert!(links.holding(brief).is_none());

    // It hears what happens from now on.
    ip("addr add 10.0.0.2/24 dev a0\n");
    let mut changes = Vec::new();
    for message in notifications.receive().unwrap().unwrap() {
        changes.extend(links.apply(&message));
    }
    let held = Held {
        index,
        address: brief,
    };
    assert_eq!(changes, [Change::Added(held)]);
}

/// Runs lines of `ip`.
fn ip(lines: &str) {
    let ended = || {
        let mut command = Command::new("ip");
        command.args(["-batch", "-"]).stdin(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take();
        input.map_or(Ok(()), |mut input| input.write_all(lines.as_bytes()))?;
        child.wait()
    };
    let status: io::Result<ExitStatus> = ended();
    assert!(status.is_ok_and(|status| status.success()), "{lines:.80}");
}
