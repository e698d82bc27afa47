//! `lbctl render`: every file that would land on the nodes, for reading and for GitOps.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::cluster_file;
use super::software::Artefacts;
use crate::cli;
use crate::core::desired::{Desired, Machine};
use crate::core::facts::{Facts, PackageManager};
use crate::core::from_config;
use crate::error::Failure;
use crate::manifest::kubeadm::{self, Allowances, JoinSecrets};
use crate::manifest::packages::{Key, repository};
use crate::manifest::{self, NodeFile, cni, containerd, kubelet};
use crate::script;
use crate::ui::Ui;

/// Stands for what only a run makes; it is no valid secret.
const SECRET: &str = "made-by-create";
/// Beside the machines: what belongs to all of them.
const CLUSTER: &str = "cluster";

pub(super) fn run(args: &cli::Render, ui: Ui) -> Result<(), Failure> {
    let cluster = cluster_file::cluster(&args.file, ui)?;
    let desired = from_config::desired(&cluster);
    let artefacts = Artefacts::load(&args.software)?;
    let mut written = 0;
    for (name, files) in machines(&desired, &artefacts) {
        for file in files {
            write(
                &args
                    .directory
                    .join(&name)
                    .join(file.path.trim_start_matches('/')),
                &file,
            )?;
            written += 1;
        }
    }
    for file in data_plane(&desired, &artefacts) {
        write(&args.directory.join(CLUSTER).join(&file.path), &file)?;
        written += 1;
    }
    ui.result(&format!(
        "{written} files in {}\n",
        args.directory.display()
    ))
}

/// What is applied through the API.
fn data_plane(desired: &Desired, artefacts: &Artefacts) -> Vec<NodeFile> {
    let data_plane = &desired.data_plane;
    if data_plane.nodes.is_empty() {
        return Vec::new();
    }
    let digest = &artefacts.lbnode.image.digest;
    let programs = manifest::data_plane::programs(data_plane, digest);
    let pools = manifest::data_plane::pools(data_plane);
    let mut files = vec![NodeFile::public("bundled-lb.yaml", programs)];
    files.extend(pools.map(|text| NodeFile::public("pools.yaml", text)));
    files
}

fn write(path: &Path, file: &NodeFile) -> Result<(), Failure> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder
        .and_then(|()| std::fs::write(path, &file.content))
        .map_err(|error| Failure::failed(format!("cannot write `{}`: {error}", path.display())))
}

/// Files by machine. What only the machine itself can tell is assumed: systemd, cgroup v2, apt, host name = address.
pub(super) fn machines(
    desired: &Desired,
    artefacts: &Artefacts,
) -> BTreeMap<String, Vec<NodeFile>> {
    let machines = desired.machines.iter();
    machines
        .map(|machine| {
            (
                machine.address.to_string(),
                files(desired, machine, artefacts),
            )
        })
        .collect()
}

fn files(desired: &Desired, machine: &Machine, artefacts: &Artefacts) -> Vec<NodeFile> {
    let bundle = artefacts.bundle.as_ref();
    let mut files = vec![
        containerd::file(&containerd::Settings {
            version: None,
            pause_image: bundle.map(|bundle| bundle.pause_image.as_str()),
            cni_directory: "/opt/cni/bin",
            restrict_oom_score: false,
        }),
        manifest::sysctl(),
    ];
    if bundle.is_some() {
        files.push(kubelet::unit("/usr/local/bin/kubelet"));
        files.push(kubelet::drop_in("/usr/local/bin/kubelet"));
    }
    let packages = artefacts.packages.as_ref();
    if let Some(packages) = packages.filter(|_| desired.add_package_repo) {
        let repository = repository(packages, PackageManager::Apt);
        files.push(repository.source);
        if let Key::File(key) = repository.key {
            files.push(key);
        }
    }
    if artefacts.cni.is_none() {
        files.extend(network(desired, machine));
    }
    files.extend(manifest::load_balancer_configs(machine));
    files.extend(manifest::load_balancer_pods(
        machine,
        &artefacts.lbnode.image.digest,
    ));
    if machine.is_dedicated_balancer() {
        // Until it joins; the CA's certificate beside them comes from the first control plane.
        files.push(kubelet::standalone_config(false));
        files.push(kubelet::standalone_drop_in());
    }
    files.push(kubeadm_file(desired, machine, artefacts));
    files
}

fn kubeadm_file(desired: &Desired, machine: &Machine, artefacts: &Artefacts) -> NodeFile {
    let software = artefacts.kubernetes("stable-1");
    let facts = Facts {
        hostname: machine.address.to_string(),
        cgroup: 2,
        kernel_config: true,
        conntrack_writable: true,
        ..Facts::default()
    };
    let secrets = JoinSecrets {
        token: SECRET.to_owned(),
        certificate_key: SECRET.to_owned(),
    };
    let first = desired.control_planes().next().map(|first| first.address);
    if first == Some(machine.address) {
        let text = kubeadm::init(
            desired,
            machine,
            &facts,
            &software,
            Allowances::default(),
            &secrets,
        );
        NodeFile::private("/kubeadm/init.yaml", text)
    } else {
        let text = kubeadm::join(desired, machine, &facts, &secrets, script::DISCOVERY);
        NodeFile::private("/kubeadm/join.yaml", text)
    }
}

/// Kubernetes gives pod ranges to nodes as they come; this shows the order of the file.
fn network(desired: &Desired, machine: &Machine) -> Vec<NodeFile> {
    let ranges = |index: usize| -> Vec<IpNet> {
        desired
            .pod_cidrs
            .iter()
            .filter_map(|cidr| node_range(*cidr, index))
            .collect()
    };
    let position = |address: IpAddr| desired.machines.iter().position(|m| m.address == address);
    let own = position(machine.address).unwrap_or_default();
    let peers = desired
        .machines
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != own);
    let peers = peers
        .map(|(index, peer)| (peer.node_ip, ranges(index)))
        .collect();
    vec![cni::conflist(&ranges(own)), cni::routes(&peers)]
}

/// Kubernetes' default sizes: /24 of IPv4, /64 of IPv6.
fn node_range(cidr: IpNet, index: usize) -> Option<IpNet> {
    let length = if cidr.addr().is_ipv4() { 24 } else { 64 };
    cidr.subnets(length.max(cidr.prefix_len())).ok()?.nth(index)
}
