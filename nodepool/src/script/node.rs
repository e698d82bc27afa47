//! Scripts about machines: facts, files, images, kubeadm, the lock.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::text;
use crate::bundle::BundleImages;
use crate::core::facts::PackageManager;
use crate::manifest::NodeFile;
use crate::remote::{Input, Script};

/// Longest transfer and import of one archive.
const TRANSFER: Duration = Duration::from_secs(1800);
/// Longest kubeadm run.
const KUBEADM: Duration = Duration::from_secs(600);

/// The machine's report; `paths` are files whose checksums it holds, `installed` asks for the versions of
/// installed software, which takes a while.
pub fn facts<'a>(installed: bool, paths: impl Iterator<Item = &'a str>) -> Script {
    let script =
        Script::query("facts", text::FACTS).arg(if installed { "installed" } else { "bundled" });
    paths.fold(script, |script, path| script.arg(path))
}

/// Writes a file.
pub fn put_file(file: &NodeFile) -> Script {
    Script::change("put-file", text::PUT_FILE)
        .arg(&file.path)
        .arg(file.mode)
        .arg(file.sha256())
        .input(Input::Bytes(file.content.as_bytes().into()))
}

/// Copies a local file to `path`.
pub fn put_local(local: PathBuf, path: &str, mode: &str, sha256: &str) -> Script {
    Script::change("put-file", text::PUT_FILE)
        .arg(path)
        .arg(mode)
        .arg(sha256)
        .input(Input::File(local))
        .timeout(TRANSFER)
}

/// Makes `links` further names of `file`.
pub fn hard_link(file: &str, links: &[String]) -> Script {
    let script = Script::change("hard-link", text::HARD_LINK).arg(file);
    links.iter().fold(script, |script, link| script.arg(link))
}

/// Imports an image archive of a bundle.
pub fn import_images(local: PathBuf, images: &BundleImages) -> Script {
    let script = Script::change("import-images", text::IMPORT_IMAGES);
    let script = images
        .names
        .iter()
        .fold(script, |script, name| script.arg(name));
    script.input(Input::File(local)).timeout(TRANSFER)
}

/// Imports an image archive that is in memory.
pub fn import_image(name: &str, archive: Arc<[u8]>) -> Script {
    Script::change("import-images", text::IMPORT_IMAGES)
        .arg(name)
        .input(Input::Bytes(archive))
}

/// Fetches the key of a package repository to `path`.
pub fn fetch_package_key(manager: PackageManager, address: &str, path: &str) -> Script {
    Script::change("fetch-package-key", text::PACKAGES_KEY)
        .arg(manager.name())
        .arg(address)
        .arg(path)
}

/// Installs packages, each as `NAME`, `NAME|OTHER` or `NAME=VERSION`, and keeps them at their version.
pub fn install_packages(manager: PackageManager, packages: &[String]) -> Script {
    let script = Script::change("install-packages", text::PACKAGES_INSTALL)
        .arg(manager.name())
        .timeout(TRANSFER);
    packages
        .iter()
        .fold(script, |script, package| script.arg(package))
}

/// Restarts containerd and waits for it.
pub fn restart_containerd() -> Script {
    Script::change("restart-containerd", text::CONTAINERD_RESTART)
}

/// Loads a sysctl file.
pub fn load_sysctl(path: &str) -> Script {
    Script::change("load-sysctl", text::SYSCTL).arg(path)
}

/// Enables the kubelet.
pub fn enable_kubelet() -> Script {
    Script::change("enable-kubelet", text::KUBELET_ENABLE)
}

/// Enables and restarts a unit.
pub fn start_unit(unit: &str) -> Script {
    Script::change("start-unit", text::UNIT_START).arg(unit)
}

/// Has kubeadm make the cluster's CA.
pub fn make_authority(config: String) -> Script {
    Script::change("make-authority", text::MAKE_AUTHORITY)
        .arg(config.len().to_string())
        .input(Input::Bytes(config.into_bytes().into()))
        .timeout(KUBEADM)
}

/// The certificate of the cluster's CA.
pub fn read_authority() -> Script {
    Script::query("read-authority", "cat /etc/kubernetes/pki/ca.crt")
}

/// Starts a kubelet that runs static pods without a cluster, and waits for them.
pub fn stand_alone() -> Script {
    Script::change("stand-alone", text::STAND_ALONE)
}

/// Stops the API load balancer of a machine that has not joined.
pub fn stop_balancer() -> Script {
    Script::change("stop-balancer", text::STOP_BALANCER)
}

/// Takes back a kubeadm run that did not end well.
pub fn clean_kubeadm() -> Script {
    Script::change("clean-kubeadm", text::KUBEADM_CLEAN).timeout(KUBEADM)
}

/// `kubeadm init`.
pub fn kubeadm_init(config: String, cluster: &str) -> Script {
    Script::change("kubeadm-init", text::KUBEADM_INIT)
        .arg(config.len().to_string())
        .arg(cluster)
        .input(Input::Bytes(config.into_bytes().into()))
        .timeout(KUBEADM)
}

/// Where `kubeadm_join.sh` keeps the discovery kubeconfig while kubeadm runs.
pub const DISCOVERY: &str = "/run/lbctl/join/discovery.conf";

/// `kubeadm join`.
pub fn kubeadm_join(config: &str, discovery: &str, cluster: &str, role: &str) -> Script {
    Script::change("kubeadm-join", text::KUBEADM_JOIN)
        .arg(config.len().to_string())
        .arg(discovery.len().to_string())
        .arg(cluster)
        .arg(role)
        .input(Input::Bytes(
            [config, discovery].concat().into_bytes().into(),
        ))
        .timeout(KUBEADM)
}

/// Uploads the control plane's keys for joining control planes.
pub fn upload_certs(config: String) -> Script {
    Script::change("upload-certs", text::UPLOAD_CERTS)
        .arg(config.len().to_string())
        .input(Input::Bytes(config.into_bytes().into()))
        .timeout(KUBEADM)
}

/// The administrator's kubeconfig.
pub fn read_admin_conf() -> Script {
    Script::query("read-admin-conf", "cat /etc/kubernetes/admin.conf").secret_output()
}

/// What opens etcd: CA, certificate and key in base64, a line each.
pub fn read_etcd_credentials() -> Script {
    let body = "cd /etc/kubernetes/pki/etcd\nfor file in ca.crt healthcheck-client.crt healthcheck-client.key; do base64 -w 0 \"$file\" || exit 1; echo; done";
    Script::query("read-etcd-credentials", body).secret_output()
}

/// Holds the machine for this `lbctl`; `owner` is shown to another one. The wait covers a step that an earlier
/// `lbctl` left running.
pub fn hold_lock(owner: &str) -> Script {
    Script::query("hold-lock", text::HOLD_LOCK)
        .arg(owner)
        .timeout(KUBEADM + KUBEADM)
}

/// Status by which `hold_lock` says that somebody else holds the machine.
pub const LOCK_TAKEN: i32 = 75;

/// Takes everything of ours off the machine; prints what is left.
pub fn reset(vips: impl Iterator<Item = std::net::IpAddr>) -> Script {
    let script = Script::change("reset", text::RESET).timeout(KUBEADM);
    vips.fold(script, |script, vip| script.arg(vip.to_string()))
}

/// Stops the virtual router of a node that leaves.
pub fn stop_router(vips: impl Iterator<Item = std::net::IpAddr>) -> Script {
    let script = Script::change("stop-router", text::STOP_ROUTER);
    vips.fold(script, |script, vip| script.arg(vip.to_string()))
}

/// Says what of ours is left on the machine, one thing a line.
pub fn leftovers(vips: impl Iterator<Item = std::net::IpAddr>) -> Script {
    let script = Script::query("leftovers", text::LEFTOVERS);
    vips.fold(script, |script, vip| script.arg(vip.to_string()))
}
