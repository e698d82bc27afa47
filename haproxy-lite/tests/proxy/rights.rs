//! As the static pod runs it: not root, one capability, no way to more.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::kit::{CONFIG_VARIABLE, Config, Namespace, Proxy, Server, who};

#[test]
fn e9_a_port_below_1024_needs_no_root_and_one_capability() {
    let Some(namespace) = Namespace::new() else {
        eprintln!("skipped: network namespaces are not allowed here");
        return;
    };
    // The image gives the program this capability as permitted only.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("proxy");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let granted = Command::new("setcap")
        .arg("cap_net_bind_service=p")
        .arg(&program)
        .status();
    if !granted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: setcap is not to be had here");
        return;
    }
    namespace.within(|| {
        let server = Server::echo("a");
        let mut config = Config::new([("a", server.address())]);
        config.frontends[0].1 = "127.0.0.1:443".parse().unwrap();
        let proxy = Proxy::launch(config, |command| without_rights(command, &program));
        proxy.wait_for_state("a", "up");
        assert_eq!(who(proxy.front()), "a");
        let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
        for line in [
            "Uid:\t65534\t65534\t65534\t65534",
            "Gid:\t65534\t65534\t65534\t65534",
            "CapPrm:\t0000000000000400",
            "CapBnd:\t0000000000000400",
            "NoNewPrivs:\t1",
        ] {
            assert!(status.contains(line), "{line} is not in {status}");
        }
        // In this program the proxy is not the first thread.
        let threads = std::fs::read_dir(format!("/proc/{}/task", proxy.pid())).unwrap();
        let mut used: Vec<String> = threads
            .map(|thread| {
                let status = std::fs::read_to_string(thread.unwrap().path().join("status"));
                let status = status.unwrap();
                let line = status.lines().find(|line| line.starts_with("CapEff:"));
                line.unwrap().to_owned()
            })
            .collect();
        used.sort();
        used.dedup();
        assert_eq!(
            used,
            ["CapEff:\t0000000000000000", "CapEff:\t0000000000000400"]
        );
    });
}

/// Starts the program as a container runtime does for a user who is not root.
fn without_rights(command: &mut Command, program: &Path) {
    let mut limited = Command::new("setpriv");
    limited
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--inh-caps=-all,+net_bind_service",
            "--ambient-caps=-all,+net_bind_service",
            "--bounding-set=-all,+net_bind_service",
            "--no-new-privs",
        ])
        .arg(program)
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        let Some(value) = value else { continue };
        limited.env(name, value);
        if name == CONFIG_VARIABLE {
            let folder = Path::new(value).parent().unwrap();
            std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
    }
    std::mem::swap(command, &mut limited);
}
