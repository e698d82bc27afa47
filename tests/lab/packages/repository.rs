//! A package repository with Kubernetes for the machines: Debian packages of the lab's own bundle, signed, served by HTTP from
//! the operator's place.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab_tests::scenario::Skip;
use lab_tests::{Lab, Place};

/// The version that its packages of Kubernetes have, as the community's have theirs.
pub(super) const VERSION: &str = "1.36.3-1.1";
/// The operator's place on the machines' segment.
const OPERATOR: [u8; 4] = [10, 10, 0, 2];
/// The only large file; the other programs lead to it. The kubelet's processes are known by its name.
const KUBE: &str = "usr/bin/kubelet";

/// A repository that is served until it is dropped.
pub(super) struct Repository {
    directory: PathBuf,
    address: SocketAddr,
    over: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Repository {
    /// Builds it and begins to serve.
    ///
    /// # Errors
    /// A [`Skip`] when the host has no `gpg` or `dpkg-deb`; when something cannot be built.
    pub(super) fn start(lab: &Lab) -> Result<Self> {
        for program in ["gpg", "dpkg-deb"] {
            if Command::new(program).arg("--version").output().is_err() {
                return Err(Skip("packages are built with dpkg-deb and signed with gpg").into());
            }
        }
        let directory = lab.state_directory().join("repository");
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(directory.join("served"))?;
        let index = packages(lab, &directory)?;
        fs::write(directory.join("served/Packages"), index)?;
        make_key(&directory, "right")?;
        make_key(&directory, "wrong")?;
        sign(&directory)?;
        let listener = lab.within(Place::Operator, || {
            TcpListener::bind(SocketAddr::from((OPERATOR, 0))).context("cannot listen")
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let over = Arc::new(AtomicBool::new(false));
        let (served, ended) = (directory.join("served"), Arc::clone(&over));
        let serving = thread::spawn(move || serve(&listener, &served, &ended));
        Ok(Self {
            directory,
            address,
            over,
            serving: Some(serving),
        })
    }

    /// Its address.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The key that signs it.
    pub(super) fn key(&self) -> PathBuf {
        self.directory.join("right.asc")
    }

    /// A key that does not.
    pub(super) fn other_key(&self) -> PathBuf {
        self.directory.join("wrong.asc")
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(serving) = self.serving.take() {
            // It has nothing to say.
            let _ = serving.join();
        }
        for name in ["right", "wrong"] {
            let mut end = Command::new("gpgconf");
            end.arg("--homedir").arg(self.directory.join(name));
            let _ = end.args(["--kill", "gpg-agent"]).output();
        }
    }
}

/// Builds every package; the text of the index.
fn packages(lab: &Lab, directory: &Path) -> Result<String> {
    let root = |name: &str| directory.join("roots").join(name);
    let bundle = lab.kubernetes_bundle()?;
    put(&root("kubelet"), KUBE, &bundle.join("bin/kube"))?;
    for name in ["kubeadm", "kubectl"] {
        let link = root(name).join("usr/bin").join(name);
        fs::create_dir_all(link.parent().context("it has a parent")?)?;
        symlink(format!("/{KUBE}"), link)?;
    }
    write(
        &root("kubelet"),
        "usr/lib/systemd/system/kubelet.service",
        UNIT,
    )?;
    let drop_in = "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf";
    write(&root("kubeadm"), drop_in, DROP_IN)?;
    let crictl = "usr/bin/crictl";
    write(
        &root("cri-tools"),
        crictl,
        "#!/bin/sh\necho crictl version v1.36.0\n",
    )?;
    runnable(&root("cri-tools").join(crictl))?;
    containerd(&lab.base_tree()?, &root("containerd"))?;
    let kube = format!("kubelet (= {VERSION})");
    let described = [
        ("kubeadm", VERSION, format!("kubectl, cri-tools, {kube}")),
        ("kubelet", VERSION, "iptables".to_owned()),
        ("kubectl", VERSION, kube),
        ("cri-tools", "1.36.0-1.1", String::new()),
        ("containerd", "1.6.20-lab1", "runc".to_owned()),
    ];
    let mut index = String::new();
    for (name, version, depends) in described {
        let mut control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: lab <lab@lab.invalid>\n"
        );
        if !depends.is_empty() {
            control.push_str(&format!("Depends: {depends}\n"));
        }
        control.push_str(&format!("Description: {name} of the lab\n"));
        write(&root(name), "DEBIAN/control", &control)?;
        let file = format!("{name}_{version}_amd64.deb");
        let built = directory.join("served").join(&file);
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Znone", "--build"])
            .arg(root(name))
            .arg(&built))?;
        fs::remove_dir_all(root(name))?;
        let (sum, size) = (sha256(&built)?, fs::metadata(&built)?.len());
        index.push_str(&format!(
            "{control}Filename: {file}\nSize: {size}\nSHA256: {sum}\n\n"
        ));
    }
    Ok(index)
}

/// containerd's files and scripts, as Debian has installed them in the machines' tree.
fn containerd(tree: &Path, root: &Path) -> Result<()> {
    let info = tree.join("var/lib/dpkg/info");
    let list = fs::read_to_string(info.join("containerd.list"))?;
    for path in list.lines().map(|line| line.trim_start_matches('/')) {
        let from = tree.join(path);
        // What the tree leaves out, such as manuals, is left out here.
        match from.symlink_metadata() {
            Ok(file) if file.is_file() => put(root, path, &from)?,
            // Directories that the tree has moved, as /lib, are the package's own.
            Ok(file) if file.is_symlink() && !from.is_dir() => {
                let link = root.join(path);
                fs::create_dir_all(link.parent().context("it has a parent")?)?;
                symlink(fs::read_link(&from)?, link)?;
            }
            Ok(_) | Err(_) => {}
        }
    }
    for part in ["conffiles", "postinst", "prerm", "postrm"] {
        let from = info.join(format!("containerd.{part}"));
        put(root, &format!("DEBIAN/{part}"), &from)?;
    }
    Ok(())
}

/// A key pair without a passphrase, and its public half beside it.
fn make_key(directory: &Path, name: &str) -> Result<()> {
    let home = directory.join(name);
    fs::create_dir(&home)?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700))?;
    let user = format!("lab {name} <lab@lab.invalid>");
    run(gpg(&home).args([
        "--passphrase",
        "",
        "--quick-generate-key",
        &user,
        "ed25519",
        "sign",
        "never",
    ]))?;
    let public = directory.join(format!("{name}.asc"));
    run(gpg(&home)
        .arg("--output")
        .arg(public)
        .args(["--armor", "--export"]))
}

/// `InRelease`: what the index is, signed with the right key.
fn sign(directory: &Path) -> Result<()> {
    let served = directory.join("served");
    let index = served.join("Packages");
    let (sum, size) = (sha256(&index)?, fs::metadata(&index)?.len());
    let date = Command::new("date").args(["-R", "-u"]).output()?;
    let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
    let release = format!(
        "Origin: lab\nLabel: lab\nSuite: lab\nDate: {date}\nSHA256:\n {sum} {size} Packages\n"
    );
    let text = directory.join("Release");
    fs::write(&text, release)?;
    run(gpg(&directory.join("right"))
        .arg("--output")
        .arg(served.join("InRelease"))
        .arg("--clearsign")
        .arg(&text))
}

fn gpg(home: &Path) -> Command {
    let mut gpg = Command::new("gpg");
    gpg.arg("--homedir").arg(home);
    gpg.args(["--batch", "--yes", "--pinentry-mode", "loopback", "--quiet"]);
    gpg
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().context("it cannot be run")?;
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn sha256(file: &Path) -> Result<String> {
    let output = Command::new("sha256sum").arg(file).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match text.split_whitespace().next() {
        Some(sum) => Ok(sum.trim_start_matches('\\').to_owned()),
        None => bail!("{} has no checksum", file.display()),
    }
}

fn put(root: &Path, path: &str, from: &Path) -> Result<()> {
    let to = root.join(path);
    fs::create_dir_all(to.parent().context("it has a parent")?)?;
    fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn write(root: &Path, path: &str, text: &str) -> Result<()> {
    let to = root.join(path);
    fs::create_dir_all(to.parent().context("it has a parent")?)?;
    fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))
}

fn runnable(path: &Path) -> Result<()> {
    Ok(fs::set_permissions(
        path,
        fs::Permissions::from_mode(0o755),
    )?)
}

/// Serves until it is over, one after the other: one machine asks at a time.
fn serve(listener: &TcpListener, directory: &Path, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        match listener.accept() {
            // A client that goes away has seen enough.
            Ok((stream, _)) => drop(answer(&stream, directory)),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Answers what comes on one connection, in order, until the client closes it or says nothing for a while.
fn answer(mut stream: &TcpStream, directory: &Path) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    let mut waiting = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&waiting).into_owned();
        let Some((request, rest)) = text.split_once("\r\n\r\n") else {
            let read = stream.read(&mut chunk)?;
            if read == 0 || waiting.len() > 1 << 16 {
                return Ok(());
            }
            waiting.extend_from_slice(&chunk[..read]);
            continue;
        };
        waiting = rest.as_bytes().to_vec();
        give(&mut stream, directory, request)?;
    }
}

fn give(stream: &mut impl io::Write, directory: &Path, request: &str) -> io::Result<()> {
    let path = request.split_whitespace().nth(1).unwrap_or_default();
    let name = path.trim_start_matches(['/', '.']);
    let plain = !name.is_empty() && !name.contains('/');
    let file = File::open(directory.join(name)).ok().filter(|_| plain);
    let Some(mut file) = file else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let size = file.metadata()?.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    io::copy(&mut file, stream)?;
    stream.flush()
}

/// As in Kubernetes' own package.
const UNIT: &str = "[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
";

/// The same.
const DROP_IN: &str = r#"[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"#;
