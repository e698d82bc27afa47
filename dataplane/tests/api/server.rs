//! A real API server and its etcd on loopback, for one test.

use std::{
    env,
    ffi::OsStr,
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use dataplane::k8s::client::connect;
use kube::Client;
use tempfile::TempDir;

use crate::CONTROLLER;

const CONTROLLER_TOKEN: &str = "another";

/// Both processes; they end with it.
pub(crate) struct Server {
    pub(crate) folder: TempDir,
    place: Place,
    port: u16,
    processes: Vec<Child>,
}

/// Where the processes run and where the server listens.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Network namespace; `None`: the one of the test.
    pub(crate) namespace: Option<String>,
    /// Address of the server.
    pub(crate) address: &'static str,
}

impl Place {
    /// A command in the namespace.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(namespace) = &self.namespace else {
            return Command::new(program);
        };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program);
        command
    }
}

/// The program that is all of Kubernetes, by the name it is called with.
fn program() -> PathBuf {
    if let Some(path) = env::var_os("BUNDLED_LB_KUBE") {
        return path.into();
    }
    let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
    let bundles = fs::read_dir(home.join(".cache/bundled-lb"));
    bundles
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin/kube"))
        .find(|path| path.exists())
        .expect("no Kubernetes here: run `cargo xtask test api`, which makes it, or set BUNDLED_LB_KUBE to the bundle's bin/kube")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

impl Server {
    /// Starts both.
    pub(crate) fn start() -> Self {
        Self::start_in(Place {
            namespace: None,
            address: "127.0.0.1",
        })
    }

    /// The same at another place.
    pub(crate) fn start_in(place: Place) -> Self {
        let kube = program();
        let folder = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver", "kubectl"] {
            symlink(&kube, folder.path().join(name)).unwrap();
        }
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(folder.path().join("sa.key"), key.serialize_pem()).unwrap();
        fs::write(folder.path().join("sa.pub"), key.public_key_pem()).unwrap();
        fs::write(
            folder.path().join("tokens"),
            format!(
                "secret,admin,admin,system:masters\n\
                 {CONTROLLER_TOKEN},{CONTROLLER},controller,\"system:serviceaccounts\"\n"
            ),
        )
        .unwrap();
        let port = free_port();
        let address = place.address;
        let mut server = Self {
            folder,
            place,
            port,
            processes: Vec::new(),
        };
        let (client, peer) = (free_port(), free_port());
        let (client, peer) = (
            format!("http://127.0.0.1:{client}"),
            format!("http://127.0.0.1:{peer}"),
        );
        server.spawn(
            "etcd",
            &[
                "--data-dir=etcd-data",
                &format!("--listen-client-urls={client}"),
                &format!("--advertise-client-urls={client}"),
                &format!("--listen-peer-urls={peer}"),
                &format!("--initial-advertise-peer-urls={peer}"),
                &format!("--initial-cluster=default={peer}"),
                "--unsafe-no-fsync",
            ],
        );
        server.spawn(
            "kube-apiserver",
            &[
                &format!("--etcd-servers={client}"),
                &format!("--secure-port={port}"),
                &format!("--bind-address={address}"),
                &format!("--advertise-address={address}"),
                "--cert-dir=certificates",
                "--service-account-issuer=https://kubernetes.invalid",
                "--service-account-key-file=sa.pub",
                "--service-account-signing-key-file=sa.key",
                "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112",
                "--token-auth-file=tokens",
                "--authorization-mode=RBAC",
            ],
        );
        server.write_kubeconfig("admin", None);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !server.kubectl(&["get", "--raw=/readyz"]).status.success() {
            let ended = server.processes.iter_mut().any(|one| {
                let ended = one.try_wait();
                ended.is_ok_and(|status| status.is_some())
            });
            assert!(
                !ended && Instant::now() < deadline,
                "the API server did not start: {}",
                server.log("kube-apiserver")
            );
            thread::sleep(Duration::from_millis(200));
        }
        server
    }

    fn spawn(&mut self, name: &str, args: &[&str]) {
        let log = fs::File::create(self.folder.path().join(format!("{name}.log"))).unwrap();
        let process = self
            .place
            .command(self.folder.path().join(name))
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.processes.push(process);
    }

    fn log(&self, name: &str) -> String {
        let text =
            fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// A kubeconfig for the controller, or for the administrator, who may act as somebody else.
    pub(crate) fn write_kubeconfig(&self, name: &str, act_as: Option<&str>) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.conf"));
        let (address, port) = (self.place.address, self.port);
        let (token, act_as) = match act_as {
            None => ("secret", String::new()),
            // What it has in a cluster: to act as somebody costs the server time with each request.
            Some(CONTROLLER) => (CONTROLLER_TOKEN, String::new()),
            Some(user) => ("secret", format!("    as: {user}\n")),
        };
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters:\n- name: c\n  cluster:\n    server: https://{address}:{port}\n    insecure-skip-tls-verify: true\n\
             users:\n- name: u\n  user:\n    token: {token}\n{act_as}\
             contexts:\n- name: c\n  context: {{cluster: c, user: u}}\n"
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs kubectl as the administrator.
    pub(crate) fn kubectl(&self, args: &[&str]) -> Output {
        self.place
            .command(self.folder.path().join("kubectl"))
            .arg(format!(
                "--kubeconfig={}",
                self.folder.path().join("admin.conf").display()
            ))
            .args(args)
            .env("HOME", self.folder.path())
            .output()
            .unwrap()
    }

    /// The same, and it must succeed.
    pub(crate) fn must(&self, args: &[&str]) -> String {
        let output = self.kubectl(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kubectl {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned() + &said
    }

    /// Applies objects.
    pub(crate) fn apply(&self, yaml: &str) {
        let file = self.folder.path().join("apply.yaml");
        fs::write(&file, yaml).unwrap();
        self.must(&["apply", "-f", &file.display().to_string()]);
    }

    /// Waits until objects of the kinds that were just defined can be made.
    pub(crate) fn wait_for_kinds(&self) {
        let words = ["wait", "--for=condition=Established", "crd", "--all"];
        self.must(&[&words[..], &["--timeout=20s"]].concat());
    }

    /// A client for a kubeconfig.
    pub(crate) async fn client(path: &Path) -> Client {
        connect(Some(path)).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            // One that has ended already is what is wanted.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
