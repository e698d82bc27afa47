//! Checks of the software of one machine: where it comes from, whether it is all there, and whether its versions go together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Check, Notes, Preflight, Reach};
use crate::bundle::Bundle;
use crate::core::facts::Facts;
use crate::core::skew::{self, Programs};
use crate::core::version::Version;
use crate::manifest::cni;
use crate::packages::Packages;

pub(super) fn check(preflight: &Preflight<'_>, notes: &mut Notes<'_>) {
    match (preflight.bundle, preflight.packages) {
        (Some(bundle), _) => of_bundle(bundle, notes),
        (None, Some(packages)) => of_packages(packages, notes),
        (None, None) => installed(notes),
    }
    lbnode(preflight, notes);
    plugins(preflight, notes);
    versions(preflight, notes);
}

/// What is on the machine already in other versions than those of the packages is not replaced.
fn of_packages(packages: &Packages, notes: &mut Notes<'_>) {
    let facts = notes.facts;
    if facts.member.is_some() {
        return;
    }
    let wanted = packages.version;
    let programs = [("kubeadm", &facts.kubeadm), ("kubelet", &facts.kubelet)];
    for (name, version) in programs {
        if let Some(version) = version
            && Version::parse(version) != Some(wanted)
        {
            notes.fail(
                Check::Kubeadm,
                format!("{name} {version} is installed, and packages of {wanted} are asked for"),
                format!("remove it from the machine, or pass `--kubernetes-version {version}`"),
            );
        }
    }
    let lacks = facts.kubeadm.is_none() || facts.kubelet.is_none();
    if facts.supply.manager.is_none() && lacks {
        notes.fail(
            Check::Kubeadm,
            "packages are asked for, and the machine has neither apt nor dnf",
            "pass the software with `--bundle DIR`, or install kubeadm and kubelet on the machine",
        );
    }
}

fn of_bundle(bundle: &Bundle, notes: &mut Notes<'_>) {
    let architecture = notes.facts.architecture.as_str();
    if bundle.architecture != architecture {
        notes.fail(
            Check::BundleArchitecture,
            format!(
                "the machine is {architecture}, the bundle `{}` is for {}",
                bundle.directory.display(),
                bundle.architecture
            ),
            format!("pass a bundle for {architecture} with `--bundle`"),
        );
    }
}

fn installed(notes: &mut Notes<'_>) {
    if notes.facts.kubeadm.is_none() || notes.facts.kubelet.is_none() {
        notes.fail(
            Check::Kubeadm,
            "neither a bundle is given nor are kubeadm and kubelet installed",
            "pass the software with `--bundle DIR`, have packages installed with `--kubernetes-version VERSION`, or install kubeadm and kubelet on the machine",
        );
    }
}

fn lbnode(preflight: &Preflight<'_>, notes: &mut Notes<'_>) {
    let architecture = notes.facts.architecture.as_str();
    let lbnode = preflight.lbnode;
    if lbnode.architecture != architecture {
        notes.fail(
            Check::LbnodeArchitecture,
            format!(
                "the machine is {architecture}, `{}` is for {}",
                lbnode.path.display(),
                lbnode.architecture
            ),
            format!("pass the node binary for {architecture} with `--lbnode`"),
        );
    }
}

fn plugins(preflight: &Preflight<'_>, notes: &mut Notes<'_>) {
    let bundle_has = |plugin: &&str| {
        preflight
            .bundle
            .is_some_and(|bundle| bundle.installs(&format!("/opt/cni/bin/{plugin}")))
    };
    if preflight.routed_network
        && notes.facts.cni_directory(&cni::PLUGINS).is_none()
        && !cni::PLUGINS.iter().all(bundle_has)
        && !are_coming(preflight, notes.facts)
    {
        notes.fail(
            Check::CniPlugins,
            format!(
                "the CNI plugins {} are not in /opt/cni/bin",
                cni::PLUGINS.join(", ")
            ),
            "install the distribution's package of CNI plugins, or use a bundle that has them",
        );
    }
}

/// What is missing is installed with packages.
pub(super) fn are_coming(preflight: &Preflight<'_>, facts: &Facts) -> bool {
    preflight.bundle.is_none() && preflight.packages.is_some() && facts.supply.manager.is_some()
}

fn versions(preflight: &Preflight<'_>, notes: &mut Notes<'_>) {
    let facts = notes.facts;
    // A member is as it is: what it has was judged when it joined.
    if facts.member.is_some() {
        return;
    }
    let coming = coming(preflight);
    let Some(cluster) = coming.or_else(|| first_installed(preflight)) else {
        return;
    };
    let programs = Programs::installed(facts);
    let programs = match coming {
        // Installed in another version: that is refused above, and said once.
        Some(version) => programs.with_kubernetes(version),
        None => programs,
    };
    let violations = programs.violations(cluster).into_iter();
    let (fatal, rest): (Vec<_>, Vec<_>) = violations.partition(|one| one.fatal);
    let words = |violations: Vec<skew::Violation>| {
        let words: Vec<String> = violations.into_iter().map(|one| one.what).collect();
        words.join("; ")
    };
    if !fatal.is_empty() {
        notes.fail(Check::VersionSkew, words(fatal), FIX);
    } else if !rest.is_empty() {
        notes.warn(Check::VersionSkew, words(rest), FIX);
    }
}

const FIX: &str = "install versions that go together (https://kubernetes.io/releases/version-skew-policy/), best the same on every machine";

/// The version that a bundle or packages bring.
fn coming(preflight: &Preflight<'_>) -> Option<Version> {
    let bundle = preflight.bundle;
    let bundled = bundle.and_then(|bundle| Version::parse(&bundle.kubernetes_version));
    bundled.or_else(|| {
        let packages = preflight.packages.filter(|_| bundle.is_none());
        packages.map(|packages| packages.version)
    })
}

/// Of what is installed, kubeadm on the first machine makes the cluster.
fn first_installed(preflight: &Preflight<'_>) -> Option<Version> {
    let mut facts = preflight.desired.machines.iter().filter_map(|machine| {
        match preflight.machines.get(&machine.address) {
            Some(Reach::Up(facts)) => facts.kubeadm.as_deref(),
            _ => None,
        }
    });
    facts.find_map(Version::parse)
}

/// Programs of a machine with their versions, as the machine tells them.
pub fn found(facts: &Facts) -> BTreeMap<&'static str, String> {
    let programs = [
        ("kubeadm", &facts.kubeadm),
        ("kubelet", &facts.kubelet),
        ("kubectl", &facts.supply.kubectl),
        ("containerd", &facts.containerd.version),
    ];
    let known = programs.into_iter();
    known
        .filter_map(|(name, version)| Some((name, version.clone()?)))
        .collect()
}

/// The same for people: who has the same is named in one line.
pub fn lines(machines: &BTreeMap<IpAddr, Reach>) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for reach in machines.values() {
        if let Reach::Up(facts) = reach {
            let programs = found(facts);
            let words = programs
                .iter()
                .map(|(name, version)| format!("{name} {version}"));
            let words: Vec<String> = words.collect();
            if !words.is_empty() {
                let group = groups.entry(words.join(", ")).or_default();
                group.push(&facts.hostname);
            }
        }
    }
    let line = |(words, names): (String, Vec<&str>)| format!("{}: {words}", names.join(", "));
    groups.into_iter().map(line).collect()
}
