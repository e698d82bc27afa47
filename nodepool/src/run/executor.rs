//! Does one stage of a plan: machines side by side, each one's steps in order.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;

use super::fleet::Fleet;
use super::{CONCURRENCY, World};
use crate::bundle::Bundle;
use crate::core::desired::Desired;
use crate::core::facts::Facts;
use crate::core::plan::Stage;
use crate::core::step::Step;
use crate::lbnode::{self, Lbnode};
use crate::manifest::kubeadm::{self, Allowances, JoinSecrets, Software};
use crate::manifest::{SYSCTL, cni, packages};
use crate::remote::Script;
use crate::script;
use crate::ui::Progress;

/// Everything that turns a step into scripts.
pub struct Work<'a> {
    /// What should be.
    pub desired: &'a Desired,
    /// Software for the machines.
    pub bundle: Option<&'a Bundle>,
    /// The node binary.
    pub lbnode: &'a Lbnode,
    /// What kubeadm is told about it.
    pub software: &'a Software,
    /// What holds for the whole cluster because of some machine.
    pub allowances: Allowances,
    /// Secrets of this run, once something needs them.
    pub secrets: Option<&'a JoinSecrets>,
    /// The cluster's CA in base64, once there is one.
    pub certificate_authority: Option<&'a str>,
}

/// A step that did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The machine.
    pub address: IpAddr,
    /// Its name.
    pub node: String,
    /// The step.
    pub step: String,
    /// Why, in the machine's own last words.
    pub reason: String,
    /// The machine's log.
    pub log: String,
}

/// Does the machines' steps of a stage and records in `facts` what became true. A machine that fails stops; the
/// others finish their part of the stage.
pub async fn run_stage(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    work: &Work<'_>,
    stage: &Stage,
    facts: &mut BTreeMap<IpAddr, Facts>,
) -> Vec<Failed> {
    let progress = Progress::begin(world.ui, stage.name.title());
    let machines = stage.machines.iter().map(|(address, steps)| {
        let known = facts.get(address).cloned().unwrap_or_default();
        run_machine(world, fleet, work, *address, steps, known, &progress)
    });
    let outcomes: Vec<_> = stream::iter(machines)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    progress.end();
    let mut failures = Vec::new();
    for (address, after, failed) in outcomes {
        facts.insert(address, after);
        failures.extend(failed);
    }
    failures.sort_by_key(|failed: &Failed| failed.address);
    failures
}

async fn run_machine(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    work: &Work<'_>,
    address: IpAddr,
    steps: &[Step],
    mut facts: Facts,
    progress: &Progress,
) -> (IpAddr, Facts, Option<Failed>) {
    let machine = fleet.machine(address);
    let node = facts.hostname.clone();
    for (index, step) in steps.iter().enumerate() {
        if world.interrupt.asked() {
            return (address, facts, None);
        }
        let title = step.title();
        progress.step(address, &node, index, steps.len(), &title);
        let outcome = machine
            .run(&script_of(work, step, address, &facts), &title)
            .await;
        let reason = match outcome {
            Ok(output) if output.status == 0 => {
                step.applied(&mut facts);
                continue;
            }
            Ok(output) => last_words(
                &format!("{}{}", output.stdout, output.stderr),
                output.status,
            ),
            Err(failure) => failure.to_string(),
        };
        let reason = machine.log().clean(&reason);
        progress.failed(address, &node, &format!("{title} failed"));
        let log = machine.log().path().display().to_string();
        return (
            address,
            facts,
            Some(Failed {
                address,
                node,
                step: title,
                reason,
                log,
            }),
        );
    }
    progress.done(address, &node, steps.len());
    (address, facts, None)
}

/// The part of a long output that says why.
fn last_words(output: &str, status: i32) -> String {
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("To see the stack trace"))
        .collect();
    let telling = lines.iter().rposition(|line| {
        let line = line.to_lowercase();
        line.contains("error") || line.contains("fatal") || line.contains("failed")
    });
    let from = telling.unwrap_or_else(|| lines.len().saturating_sub(2));
    let words: Vec<&str> = lines[from..].iter().take(6).copied().collect();
    if words.is_empty() {
        format!("ended with status {status}")
    } else {
        words.join("\n")
    }
}

fn script_of(work: &Work<'_>, step: &Step, address: IpAddr, facts: &Facts) -> Script {
    let desired = work.desired;
    let machine = desired
        .machine(address)
        .expect("steps are planned for machines of the file");
    let local = |path: &str| {
        work.bundle
            .map(|bundle| bundle.path_of(path))
            .unwrap_or_default()
    };
    let config = |kind: Config| {
        let secrets = work.secrets.expect("secrets exist before a kubeadm step");
        match kind {
            Config::Init => kubeadm::init(
                desired,
                machine,
                facts,
                work.software,
                work.allowances,
                secrets,
            ),
            Config::Join => kubeadm::join(desired, machine, facts, secrets, script::DISCOVERY),
        }
    };
    match step {
        Step::CleanKubeadm => script::clean_kubeadm(),
        Step::FetchPackageKey { manager, address } => {
            script::fetch_package_key(*manager, address, packages::key_path(*manager))
        }
        Step::InstallPackages { manager, packages } => script::install_packages(*manager, packages),
        Step::PutFile(file) => script::put_file(file),
        Step::PutBundleFile(file) => {
            script::put_local(local(&file.path), &file.install, &file.mode, &file.sha256)
        }
        Step::Link(file) => script::hard_link(&file.install, &file.links),
        Step::PutLbnode { sha256 } => {
            script::put_local(work.lbnode.path.clone(), lbnode::INSTALLED, "755", sha256)
        }
        Step::RestartContainerd => script::restart_containerd(),
        Step::LoadSysctl => script::load_sysctl(SYSCTL),
        Step::ImportImages(images) => script::import_images(local(&images.path), images),
        Step::ImportLbnode { .. } => {
            script::import_image(lbnode::IMAGE, Arc::clone(&work.lbnode.image.bytes))
        }
        Step::EnableKubelet => script::enable_kubelet(),
        Step::MakeAuthority => script::make_authority(config(Config::Init)),
        Step::StopBalancer => script::stop_balancer(),
        Step::StandAlone => script::stand_alone(),
        Step::Init { cluster } => script::kubeadm_init(config(Config::Init), cluster),
        Step::UploadCerts => script::upload_certs(config(Config::Init)),
        Step::Join { cluster, role } => {
            let ca = work
                .certificate_authority
                .expect("the CA is known before a join");
            let discovery = kubeadm::discovery(desired, ca);
            script::kubeadm_join(&config(Config::Join), &discovery, cluster, role)
        }
        Step::StartRoutes => script::start_unit(cni::ROUTES_UNIT),
        Step::Adopt { cluster, role } => script::adopt(cluster, role),
        Step::StopOthers(stop) => script::stop_others(&stop.others, &stop.vips, stop.owner),
        Step::KeepToAddress(address) => script::keep_to_address(*address),
    }
}

enum Config {
    Init,
    Join,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_telling_lines_of_an_output_are_found() {
        let output = "[init] Using\n[preflight] Running\nerror execution phase preflight: [preflight] Some fatal errors occurred:\n\t[ERROR Port-6444]: Port 6444 is in use\nTo see the stack trace\n";
        assert!(last_words(output, 1).starts_with("\t[ERROR Port-6444]: Port 6444 is in use"));
        assert_eq!(last_words("", 3), "ended with status 3");
        assert_eq!(last_words("a\nb\nc\n", 1), "b\nc");
    }
}
