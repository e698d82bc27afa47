//! One scripted machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use nodepool::core::desired::Desired;
use nodepool::digest::sha256;
use nodepool::remote::{Input, Output, Script};

#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    pub(crate) hostname: String,
    pub(crate) address: Option<IpAddr>,
    /// Path → mode and checksum.
    pub(crate) files: BTreeMap<String, (String, String)>,
    /// Texts of the settings and of the static pods.
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) images: BTreeMap<String, String>,
    pub(crate) ledger: bool,
    pub(crate) ip_forward: bool,
    pub(crate) kubelet_enabled: bool,
    pub(crate) units: BTreeSet<String>,
    /// Checksums of files as their services read them.
    pub(crate) loaded: BTreeMap<String, String>,
    /// Configuration that containerd runs with: checksum.
    pub(crate) containerd_runs: Option<String>,
    pub(crate) pki: bool,
    /// How many were made here.
    made_authorities: u32,
    /// A CA that was made before the cluster.
    pub(crate) authority: Option<String>,
    /// The kubelet runs static pods without a cluster.
    pub(crate) stands_alone: bool,
    /// A join was begun by which it would not stand alone any more.
    pub(crate) handing_over: bool,
    pub(crate) member: Option<(String, String)>,
    pub(crate) swap: bool,
    pub(crate) disk_full: bool,
    pub(crate) arch: Option<&'static str>,
    /// `address:port program pid`.
    pub(crate) listeners: Vec<String>,
    /// What is in its logs.
    pub(crate) says: String,
    /// More lines of its report.
    pub(crate) further: Vec<String>,
    /// Its package manager, with which everything of Kubernetes and containerd is to come.
    pub(crate) manager: Option<&'static str>,
    /// What that has installed.
    pub(crate) packages: BTreeSet<String>,
    /// An installation was begun.
    pub(crate) installing: bool,
    /// What it says of its certificates.
    pub(crate) certificates: String,
}

const STANDALONE: &str = "/etc/lbnode/kubelet.yaml";
const DROP_IN: &str = "/etc/systemd/system/kubelet.service.d/20-lbctl-standalone.conf";
const CA: &str = "/etc/lbnode/ca.crt";
const VRRP: &str = "/etc/kubernetes/manifests/lb-vrrp.yaml";
const PROXY: &str = "/etc/kubernetes/manifests/lb-proxy.yaml";
pub(super) const CONTAINERD: &str = "/etc/containerd/config.toml";

impl Machine {
    pub(crate) fn bare(hostname: &str, address: IpAddr) -> Self {
        Self {
            hostname: hostname.to_owned(),
            address: Some(address),
            ..Self::default()
        }
    }

    /// SSH has a network of its own when this is not the machine's address.
    pub(crate) fn reached_at(mut self, address: IpAddr) -> Self {
        if self.address != Some(address) {
            self.further.push(format!("address=eth1 {address}/24"));
        }
        self
    }

    pub(crate) fn is_member(&self) -> bool {
        self.member.is_some()
    }

    pub(crate) fn role(&self) -> String {
        self.member
            .as_ref()
            .map(|member| member.1.clone())
            .unwrap_or_default()
    }

    pub(crate) fn answer(&self, script: &Script) -> Output {
        let stdout = match script.id {
            "facts" => self.facts(),
            "read-settings" => self.settings(),
            "read-certificates" => self.certificates.clone(),
            "leftovers" => String::new(),
            "snapshot" => self.snapshot(&script.args[0]),
            "read-authority" => self.authority.clone().expect("a CA was made"),
            "read-etcd-credentials" if self.is_member() => "Q0E=\nQ0E=\nQ0E=\n".to_owned(),
            "read-admin-conf" if self.is_member() || self.pki => {
                "clusters: [{cluster: {certificate-authority-data: Q0E=, server: x}}]\nusers: [{user: {client-key-data: S0VZLURBVEE=}}]\n".to_owned()
            }
            other => return failed(&format!("not understood: {other}")),
        };
        Output {
            status: 0,
            stdout,
            stderr: String::new(),
        }
    }

    fn snapshot(&self, mark: &str) -> String {
        let (name, says) = (&self.hostname, &self.says);
        format!(
            "\n{mark} system\nthe machine {name}\n\n{mark} logs/kubelet.log\n{says}\n\n{mark} end\n"
        )
    }

    fn settings(&self) -> String {
        let mut lines = String::new();
        for name in ["vrrp", "proxy"] {
            let text = self.texts.get(&format!("/etc/lbnode/{name}.yaml"));
            for line in text.into_iter().flat_map(|text| text.lines()) {
                lines.push_str(&format!("{name}|{line}\n"));
            }
        }
        lines.push_str("lbnode|lbnode 0.1.0 (commit a, x)\n");
        lines
    }

    /// Does what the script does; `half`: the power goes in the middle.
    pub(crate) fn change(&mut self, script: &Script, half: bool, desired: &Desired) -> Output {
        let args = &script.args;
        let input = match &script.input {
            Input::None => Vec::new(),
            Input::Bytes(bytes) => bytes.to_vec(),
            Input::File(path) => std::fs::read(path).expect("the file is there"),
        };
        match script.id {
            "put-file" => {
                assert_eq!(sha256(&input), args[2], "what is sent is what was promised");
                self.ledger = true;
                if self.disk_full {
                    return failed("cat: write error: No space left on device");
                }
                if !half {
                    self.files.insert(
                        args[0].clone(),
                        (args[1].trim_start_matches('0').to_owned(), args[2].clone()),
                    );
                    if ["/etc/lbnode/", "/etc/kubernetes/"]
                        .iter()
                        .any(|of| args[0].starts_with(of))
                    {
                        let text = String::from_utf8(input).expect("text");
                        self.texts.insert(args[0].clone(), text);
                    }
                }
            }
            "fetch-package-key" if !half => {
                self.ledger = true;
                let fact = ("644".to_owned(), sha256(args[1].as_bytes()));
                self.files.insert(args[2].clone(), fact);
            }
            "install-packages" => {
                assert_eq!(Some(args[0].as_str()), self.manager);
                self.ledger = true;
                self.installing = half;
                let all = args.len() - 1;
                for name in args.iter().skip(1).take(if half { all / 2 } else { all }) {
                    let end = name.find(['=', '|']).unwrap_or(name.len());
                    self.packages.insert(name[..end].to_owned());
                }
            }
            "hard-link" => {
                let file = self
                    .files
                    .get(&args[0])
                    .cloned()
                    .expect("linked after it was copied");
                let links = if half { &args[1..2] } else { &args[1..] };
                for link in links {
                    self.files.insert(link.clone(), file.clone());
                }
            }
            "restart-containerd" if !half => {
                self.containerd_runs = self.files.get(CONTAINERD).map(|(_, sum)| sum.clone());
                self.read(&[CONTAINERD]);
            }
            "load-sysctl" => self.ip_forward |= !half,
            "import-images" if !half => {
                assert!(
                    self.containerd_runs.is_some(),
                    "containerd has its configuration first"
                );
                for name in args {
                    // An archive of `lbnode` in these tests begins with the digest of its image, as a line.
                    let digest = if name.contains("lbnode") {
                        let text = std::str::from_utf8(&input).expect("text");
                        text.lines().next().expect("a digest").to_owned()
                    } else {
                        "sha256:k".to_owned()
                    };
                    self.images.insert(name.clone(), digest);
                }
            }
            "enable-kubelet" => {
                self.kubelet_enabled = true;
                if !half {
                    let unit = "/etc/systemd/system/kubelet.service";
                    self.read(&[unit, &format!("{unit}.d/10-kubeadm.conf")]);
                }
            }
            "clean-kubeadm" if self.handing_over => {
                // Its pods never stopped.
                self.pki = half && self.pki;
                self.stands_alone = true;
                self.handing_over = half;
                let drop_in = nodepool::manifest::kubelet::standalone_drop_in();
                let fact = (drop_in.mode.to_owned(), drop_in.sha256());
                self.files.insert(DROP_IN.to_owned(), fact);
            }
            "clean-kubeadm" => {
                self.authority = self.authority.take().filter(|_| half);
                self.member = None;
                let gone = |path: &String| path.starts_with("/etc/kubernetes/manifests/");
                self.files.retain(|path, _| !gone(path));
                self.texts.retain(|path, _| !gone(path));
                self.pki = half && self.pki;
            }
            "kubeadm-init" | "kubeadm-join" => {
                return self.kubeadm(script, &input, half, desired);
            }
            "upload-certs" => {}
            "make-authority" if !half => {
                let made = self.made_authorities;
                self.made_authorities += 1;
                let old = self.authority.take();
                self.authority = old.or_else(|| Some(format!("CA {made} of {}\n", self.hostname)));
            }
            "stop-balancer" => {
                for name in ["lb-vrrp", "lb-proxy"] {
                    let manifest = format!("/etc/kubernetes/manifests/{name}.yaml");
                    self.files.remove(&manifest);
                    self.texts.remove(&manifest);
                }
            }
            "stand-alone" => {
                for path in [STANDALONE, DROP_IN, CA, VRRP, PROXY] {
                    assert!(self.files.contains_key(path), "{path} is missing");
                }
                self.stands_alone = true;
                self.kubelet_enabled = true;
                if !half {
                    self.read(&[STANDALONE, DROP_IN]);
                }
            }
            "adopt" if !half => self.member = Some((args[0].clone(), args[1].clone())),
            "stop-others" => self.stop_others(args, half),
            "keep-to-address" if !half => {
                self.drop_lines("api_server=");
                self.further
                    .push(format!("api_server={} {}", args[1], args[0]));
                self.listeners
                    .retain(|line| !line.contains(" kube-apiserver "));
                self.listeners
                    .push(format!("{}:{} kube-apiserver 8", args[0], args[1]));
            }
            // Halfway the manifest is gone and the router runs on.
            "stop-router" => {
                let manifest = "/etc/kubernetes/manifests/lb-vrrp.yaml";
                self.files.remove(manifest);
                self.texts.remove(manifest);
            }
            "reset" if !half => {
                assert!(
                    !self
                        .files
                        .contains_key("/etc/kubernetes/manifests/lb-vrrp.yaml"),
                    "its router was stopped before"
                );
                let address = self.address.expect("a machine has an address");
                let network = |line: &String| line.starts_with("address=");
                let further = self.further.iter().filter(|line| network(line));
                *self = Self {
                    further: further.cloned().collect(),
                    manager: self.manager,
                    ..Self::bare(&self.hostname, address)
                };
            }
            "start-unit" if !half => {
                self.units.insert(args[0].clone());
                self.read(&[&format!("/etc/systemd/system/{}", args[0])]);
            }
            _ if half => {}
            other => return failed(&format!("not understood: {other}")),
        }
        Output {
            status: 0,
            stdout: format!("{} done", script.id),
            stderr: String::new(),
        }
    }

    fn read(&mut self, paths: &[&str]) {
        for path in paths {
            if let Some((_, sum)) = self.files.get(*path) {
                self.loaded.insert((*path).to_owned(), sum.clone());
            }
        }
    }

    fn kubeadm(&mut self, script: &Script, input: &[u8], half: bool, desired: &Desired) -> Output {
        let (vip, cluster) = (desired.vip, &desired.name);
        let text = String::from_utf8(input.to_vec()).expect("the configuration is text");
        assert!(text.contains("kubeadm.k8s.io/v1beta4") && text.contains(&self.hostname));
        assert!(
            text.contains(&vip.to_string()),
            "the virtual IP is the endpoint"
        );
        let machine = desired.machines.iter();
        let mut machine = machine.filter(|machine| Some(machine.node_ip) == self.address);
        let machine = machine.next().expect("a machine of the file");
        let proxy = "/etc/kubernetes/manifests/lb-proxy.yaml";
        assert_eq!(
            self.files.contains_key(proxy),
            machine.load_balancer.is_some()
        );
        if self.stands_alone {
            self.stands_alone = false;
            self.handing_over = true;
            self.files.remove(DROP_IN);
        }
        if self.pki {
            return failed("error: file /etc/kubernetes/pki/ca.crt already exists");
        }
        self.pki = true;
        if !half {
            let role = if script.id == "kubeadm-init" {
                "control-plane"
            } else {
                &script.args[3]
            };
            self.member = Some((cluster.clone(), role.to_owned()));
            if self.handing_over {
                self.handing_over = false;
                self.files.remove(STANDALONE);
            }
        }
        // A careless kubeadm: everything it was given is in its output.
        Output {
            status: 0,
            stdout: format!("{text}\nkubeadm join {vip}:443 --token zyxwvu.0123456789abcdef"),
            stderr: String::new(),
        }
    }
}

fn failed(words: &str) -> Output {
    Output {
        status: 1,
        stdout: String::new(),
        stderr: words.to_owned(),
    }
}
