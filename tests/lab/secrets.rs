//! Nothing secret is said or written where others can read it.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Result, ensure};
use lab_tests::cluster::Cluster;

use crate::runner::{Context, Scenario};
use crate::shared::said;

/// On the shared cluster.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "no_secret_is_in_a_log_or_on_a_terminal",
        run: no_secret_is_in_a_log,
    },
    Scenario {
        name: "secrets_on_nodes_are_for_root_alone",
        run: secrets_on_nodes_are_for_root_alone,
    },
];

fn no_secret_is_in_a_log(context: &Context) -> Result<()> {
    let fixture = context.fixture()?;
    let secrets = secrets(&fixture.cluster)?;
    ensure!(
        secrets.len() > 20,
        "only {} secrets were found to look for",
        secrets.len()
    );
    for (place, text) in [
        ("logs", fixture.cluster.logs()?),
        ("output", fixture.said.clone()),
        ("snapshot", snapshot(&fixture.cluster)?),
    ] {
        ensure!(!text.is_empty(), "there are no {place} to look into");
        ensure!(
            !text.contains("PRIVATE KEY-----"),
            "a private key is in the {place}"
        );
        let found = secrets
            .iter()
            .filter(|secret| text.contains(*secret))
            .count();
        ensure!(found == 0, "{found} pieces of secrets are in the {place}");
        ensure!(
            bootstrap_token(&text).is_none(),
            "a bootstrap token is in the {place}"
        );
    }
    Ok(())
}

/// Everything in an archive of `lbctl snapshot`.
fn snapshot(cluster: &Cluster<'_>) -> Result<String> {
    let archive = cluster.workspace().join("snapshot.tar.gz");
    let path = archive.to_string_lossy().into_owned();
    result(&mut cluster.lbctl(&["snapshot", "--output-file", &path]))?;
    let names = result(Command::new("tar").args(["-tzf", &path]))?;
    for machine in &cluster.machines {
        let address = machine.address();
        for part in ["neighbours", "pages/vrrp-record", "logs/kubelet.log"] {
            let file = format!("/nodes/{address}/{part}");
            ensure!(names.contains(&file), "{file} is not in it: {names}");
        }
    }
    ensure!(names.contains("/api/events.json"), "no events: {names}");
    result(Command::new("tar").args(["-xzOf", &path]))
}

fn result(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "it failed: {}", said(&output));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Lines of all private keys and certificates in kubeconfigs, and tokens, as they lie on the machines.
fn secrets(cluster: &Cluster<'_>) -> Result<BTreeSet<String>> {
    const KEYS: &str = "find /etc/kubernetes /var/lib/kubelet/pki -type f \\( -name '*.key' -o -name '*.pem' \\) \
        -exec sed -n '/BEGIN.*PRIVATE/,/END.*PRIVATE/p' {} + | grep -v -- -----; \
        cat /etc/kubernetes/*.conf | sed -n 's/.*client-key-data: //p; s/.*token: //p' | cut -c1-64";
    let mut secrets = BTreeSet::new();
    for machine in &cluster.machines {
        let lines = cluster.lab.ssh_ok(*machine, KEYS)?;
        secrets.extend(lines.lines().map(str::trim).map(str::to_owned));
    }
    // Short ends of encoded keys are in any text.
    secrets.retain(|secret| secret.len() >= 16);
    Ok(secrets)
}

/// The first word that has the form of a bootstrap token: six characters, a dot, sixteen.
fn bootstrap_token(text: &str) -> Option<&str> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '.'))
        .find(|word| {
            let plain = |part: &str, length: usize| {
                part.len() == length
                    && part
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            };
            word.split_once('.')
                .is_some_and(|(id, secret)| plain(id, 6) && plain(secret, 16))
        })
}

fn secrets_on_nodes_are_for_root_alone(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    const LOOK: &str = "grep -rlE 'PRIVATE KEY-----|client-key-data: ' /etc/kubernetes /etc/lbnode /root \
        /var/lib/kubelet/pki /tmp /run/lbctl* /var/lib/lbctl 2>/dev/null | xargs -r stat -Lc '%a %U %n'";
    for machine in &cluster.machines {
        let files = cluster.lab.ssh_ok(*machine, LOOK)?;
        ensure!(
            files.lines().count() >= 10,
            "on {machine} only {files} was found"
        );
        let open: Vec<&str> = files
            .lines()
            .filter(|line| !line.starts_with("600 root "))
            .collect();
        ensure!(
            open.is_empty(),
            "on {machine} these are open to others: {open:?}"
        );
        let token = cluster.lab.ssh_ok(
            *machine,
            "grep -rlE 'tlsBootstrapToken|certificateKey' /etc /root /tmp /run/lbctl* 2>/dev/null || true",
        )?;
        ensure!(
            token.is_empty(),
            "on {machine} secrets of joining were left in {token}"
        );
    }
    Ok(())
}
