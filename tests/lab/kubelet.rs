//! A kubelet that belongs to no cluster: what a load-balancer machine runs before there is one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab_tests::{Lab, Machine, Place, bundle, patience};

use crate::runner::{Context, Scenario};

/// Run before clusters exist.
pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "a_lone_kubelet_runs_a_static_pod",
    run: a_lone_kubelet_runs_a_static_pod,
}];

const MACHINE: Machine = Machine::w(1);

fn a_lone_kubelet_runs_a_static_pod(context: &Context) -> Result<()> {
    let lab = context.lab;
    let software = lab.kubernetes_bundle()?;
    lab.up(&[MACHINE])?;
    let unified = lab.ssh(MACHINE, "test -e /sys/fs/cgroup/cgroup.controllers")?;
    let unified = unified.status.success();

    put(lab, "/etc/containerd/config.toml", &containerd(unified))?;
    lab.ssh_ok(MACHINE, "systemctl restart containerd")?;
    let import = "ctr -n k8s.io images import - >/dev/null";
    send(lab, &software.join("images/kubernetes.tar"), import)?;
    send(lab, &bundle::test_images()?, import)?;
    let said = lab.ssh_ok(
        MACHINE,
        "ctr -n k8s.io run --rm lab.invalid/kube-proxy:v1.36.3 try /usr/local/bin/kube-proxy --version",
    )?;
    ensure!(
        said.trim() == "Kubernetes v1.36.3",
        "a container says {said:?}"
    );

    let install = "cat >/usr/local/bin/kubelet && chmod 755 /usr/local/bin/kubelet";
    send(lab, &software.join("bin/kube"), install)?;
    put(lab, "/etc/kubernetes/kubelet.yaml", &kubelet(unified))?;
    put(lab, "/etc/kubernetes/manifests/web.yaml", POD)?;
    lab.ssh_ok(
        MACHINE,
        "systemd-run --quiet --unit=kubelet -p Restart=always -p RestartSec=1 \
         /usr/local/bin/kubelet --config=/etc/kubernetes/kubelet.yaml",
    )?;
    let web = SocketAddr::from((MACHINE.address(), 8080));
    let answer = patience::until(
        "the static pod answers",
        Duration::from_secs(300),
        Duration::from_millis(200),
        || {
            Ok(lab
                .within(Place::Client, move || get(web, "/hostname"))
                .ok())
        },
    )
    .with_context(|| {
        let log = lab.ssh_ok(MACHINE, "journalctl -u kubelet -n 5 --no-pager -o cat");
        format!("the kubelet says: {}", log.unwrap_or_default())
    })?;
    ensure!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with(&MACHINE.to_string()),
        "the static pod answers {answer:?}"
    );
    lab.discard(MACHINE)
}

/// A whole answer to a `GET`.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Writes a file on the machine.
fn put(lab: &Lab, path: &str, text: &str) -> Result<()> {
    let mut ssh = lab.ssh_command(MACHINE);
    ssh.arg(format!("mkdir -p $(dirname {path}) && cat >{path}"));
    let mut child = ssh.stdin(Stdio::piped()).spawn()?;
    child
        .stdin
        .take()
        .context("a pipe")?
        .write_all(text.as_bytes())?;
    ensure!(child.wait()?.success(), "cannot write {path} on {MACHINE}");
    Ok(())
}

/// Runs a command line on the machine with a file of the host as its input.
fn send(lab: &Lab, file: &Path, command_line: &str) -> Result<()> {
    let input = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let status = lab
        .ssh_command(MACHINE)
        .arg(command_line)
        .stdin(input)
        .status()?;
    ensure!(status.success(), "`{command_line}` failed on {MACHINE}");
    Ok(())
}

fn containerd(unified: bool) -> String {
    format!(
        r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "lab.invalid/pause:3.10.2"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = {unified}
"#
    )
}

fn kubelet(unified: bool) -> String {
    let (driver, fail_v1) = if unified {
        ("systemd", true)
    } else {
        ("cgroupfs", false)
    };
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1\n\
         kind: KubeletConfiguration\n\
         staticPodPath: /etc/kubernetes/manifests\n\
         containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n\
         cgroupDriver: {driver}\n\
         failCgroupV1: {fail_v1}\n\
         authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: false}}}}\n\
         authorization: {{mode: AlwaysAllow}}\n\
         address: 127.0.0.1\n\
         evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}}\n\
         imageGCHighThresholdPercent: 100\n"
    )
}

const POD: &str = "apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec:
  hostNetwork: true
  containers:
    - name: web
      image: lab.invalid/agnhost:1
      imagePullPolicy: Never
      args: [netexec, --http-port=8080]
";
