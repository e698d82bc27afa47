//! Scripts that ask `lbnode` on a machine.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::text;
use crate::remote::{Input, Script};

/// Longest transfer of the program.
const TRANSFER: Duration = Duration::from_secs(300);

/// Brings the program for the probes of a run, under a name of the run's own; it is gone when the script ends.
/// `size`: of the program in bytes; 0 when it is installed there already.
pub fn bring_probe(run: &str, lbnode: PathBuf, sha256: &str, size: u64) -> Script {
    let input = if size == 0 {
        Input::None
    } else {
        Input::File(lbnode)
    };
    Script::query("probe-bring", text::PROBE_BRING)
        .arg(run)
        .arg(sha256)
        .arg(size.to_string())
        .input(input)
        .timeout(TRANSFER)
}

/// Runs `lbnode probe` with these words, with the program that [`bring_probe`] brought.
pub fn probe(id: &'static str, run: &str, words: &[String]) -> Script {
    let script = Script::query(id, text::PROBE).arg(run);
    words.iter().fold(script, |script, word| script.arg(word))
}

/// The status pages of the routers, the proxy and the speaker, a line each: `vrrp JSON`, `proxy JSON`, or `… unreachable`.
pub fn role_status() -> Script {
    Script::query(
        "role-status",
        "printf 'hostname %s\\n' \"$(hostname | tr 'A-Z' 'a-z')\"\n\
         for role in vrrp:11003 proxy:11000 speaker:11004; do\n\
         page=$(timeout 5 lbnode get \"http://127.0.0.1:${role#*:}/status\" 2>/dev/null | tr '\\n' ' ') || page=\n\
         printf '%s %s\\n' \"${role%:*}\" \"${page:-unreachable}\"\n\
         done\n\
         printf 'version %s\\n' \"$(lbnode version 2>/dev/null | head -n 1)\"\n",
    )
}

/// The settings of the API load balancer as they are on the machine, and the version of its lbnode: lines of the files, with
/// their names before them.
pub fn read_settings() -> Script {
    Script::query(
        "read-settings",
        "for name in vrrp proxy; do sed \"s/^/$name|/\" \"/etc/lbnode/$name.yaml\" 2>/dev/null; done\n\
         printf 'lbnode|%s\\n' \"$(lbnode version 2>/dev/null | head -n 1)\"; exit 0",
    )
}

/// The certificates that kubeadm has made on the machine, and what the load balancers trust: `cert MODE PATH BASE64`, a line
/// each. Nothing with a key in it is opened.
pub fn read_certificates() -> Script {
    Script::query(
        "read-certificates",
        "for file in /etc/lbnode/ca.crt /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt; do\n\
         [ -f \"$file\" ] || continue\n\
         body=$(sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/{/^-----END/q;/^-----/d;p}' \"$file\" | tr -d '\\r\\n ')\n\
         printf 'cert %s %s %s\\n' \"$(stat -c %a \"$file\")\" \"$file\" \"$body\"\n\
         done; exit 0",
    )
    .secret_output()
}

/// Longest collection of what is worth knowing about a node.
const SNAPSHOT: Duration = Duration::from_secs(180);

/// Everything about a node that helps to understand a trouble; lines that begin with `mark` name the parts.
pub fn snapshot(mark: &str) -> Script {
    Script::query("snapshot", text::SNAPSHOT)
        .arg(mark)
        .timeout(SNAPSHOT)
        .secret_output()
}

/// Asks the segment who has `address`, pings it, and connects to each of the ports: a line each.
pub fn check_service(address: IpAddr, ports: &[u16]) -> Script {
    let script = Script::query("check-service", text::CHECK_SERVICE).arg(address.to_string());
    ports
        .iter()
        .fold(script, |script, port| script.arg(port.to_string()))
}
