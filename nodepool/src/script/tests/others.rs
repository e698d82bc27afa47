//! What a machine says of load balancers of others.

use super::*;
use crate::core::facts::{Facts, OtherBalancer};

/// As kube-vip writes it.
const KUBE_VIP: &str = include_str!("../../../../tests/src/lifecycle/kube-vip.yaml");

/// What is known where these are among the manifests.
fn known(manifests: &[(&str, &str)]) -> Vec<OtherBalancer> {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("manifests");
    std::fs::create_dir_all(&directory).expect("a folder");
    for (file, text) in manifests {
        std::fs::write(directory.join(file), text).expect("a file");
    }
    let mut script = facts(false, std::iter::empty());
    // The services of the machine that this runs on do not matter.
    script.body = format!("systemctl() {{ return 3; }}\n{}", script.body).replace(
        "/etc/kubernetes/manifests",
        &directory.display().to_string(),
    );
    let ran = run(&script, folder.path(), 0);
    let lines = ran.output.lines();
    let lines: Vec<&str> = lines.filter(|line| line.starts_with("other=")).collect();
    let report = format!("{}\nend=1\n", lines.join("\n"));
    Facts::parse(&report).expect("complete").others
}

/// What the only one is called, what it keeps, and whether it serves Services.
fn one(file: &str, text: &str) -> (String, String, bool) {
    let known = known(&[(file, text)]);
    assert_eq!(known.len(), 1, "{known:?}");
    let addresses: Vec<String> = known[0].addresses.iter().map(ToString::to_string).collect();
    let name = known[0].to_string();
    (name, addresses.join(" "), known[0].services)
}

#[test]
fn kube_vip_of_any_version_is_known_by_its_manifest() {
    // Before v0.9, and as its flag `--vip` still has it.
    let before = KUBE_VIP.replace("vip_subnet", "vip_cidr");
    let flag = before.replace("name: address", "name: vip_address");
    for text in [KUBE_VIP, &before, &flag] {
        let (name, addresses, services) = one("kube-vip.yaml", text);
        assert_eq!(name, "kube-vip (static pod kube-vip.yaml)");
        assert_eq!((addresses.as_str(), services), ("10.10.0.100", false));
    }
    let both = KUBE_VIP.replace("10.10.0.100", "10.10.0.100,fd00::100");
    assert_eq!(one("kube-vip.yaml", &both).1, "10.10.0.100 fd00::100");
}

#[test]
fn a_manifest_counts_as_it_does_for_the_kubelet() {
    // Kubespray's.
    let (name, addresses, _) = one("kube-vip.yml", KUBE_VIP);
    assert_eq!(name, "kube-vip (static pod kube-vip.yml)");
    assert_eq!(addresses, "10.10.0.100");
    assert!(known(&[(".kube-vip.yaml", KUBE_VIP)]).is_empty());
}

#[test]
fn a_variable_of_kube_vip_has_its_own_value_or_none() {
    let with = |env: &str| {
        let text = format!("    env:\n{env}    image: \"ghcr.io/kube-vip/kube-vip:v0.6.4\"\n");
        let (_, addresses, services) = one("kube-vip.yaml", &text);
        (addresses, services)
    };
    let is = |addresses: &str, services| (addresses.to_owned(), services);
    let older = "    - name: vip_address\n      value: 10.10.0.99\n";
    let newer = "    - name: \"address\"\n      value: '10.10.0.100' # the API\n";
    assert_eq!(with(&format!("{older}{newer}")), is("10.10.0.100", false));
    let empty = "    - name: address\n      value: \"\"\n";
    assert_eq!(with(&format!("{empty}{older}")), is("10.10.0.99", false));
    let none = "    - name: address\n    - name: bgp_peeraddress\n      value: 10.10.0.1\n";
    assert_eq!(with(none), is("", false));
    let named = "    - name: address\n      value: api.example.com\n";
    assert_eq!(with(named), is("", false));
    let services = "    - name: svc_enable\n      value: \"True\"\n";
    assert_eq!(with(services), is("", true));
}
