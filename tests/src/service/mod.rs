//! Services of `type: LoadBalancer` on a cluster: their pods, their faults, and what clients see of them.

mod case;
mod clients;
mod contestant;
mod control;
mod crowd;
mod fault;
mod idle;
mod measure;
mod signal;
mod trial;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::cluster::Cluster;
use crate::roster::{Machine, Place};
use crate::{bundle, patience};

pub use case::Case;
pub use clients::Audience;
pub use contestant::Contestant;
pub use fault::Fault;
pub use measure::{Amount, run};
pub use trial::{Setting, Trial, expose_away_from_its_node, second_cable_cut, trial, trial_of};

/// The pool of the example with three control planes, without the address that is kept for the ingress.
pub const POOL: RangeInclusive<Ipv4Addr> =
    Ipv4Addr::new(10, 10, 0, 201)..=Ipv4Addr::new(10, 10, 0, 239);

/// The image that serves.
const IMAGE: &str = "lab.invalid/agnhost:1";

/// So long anything may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// So long kube-proxy may take to hear of a Service.
const KNOWN: Duration = Duration::from_secs(90);

/// A Service and its pods, which answer on port 80: `/hostname`, `/clientip` and more over TCP, `echo …` over UDP.
#[derive(Debug)]
pub struct Web<'a> {
    cluster: &'a Cluster<'a>,
    name: String,
    traffic: &'static str,
}

impl<'a> Web<'a> {
    /// One with this traffic policy, `Cluster` or `Local`; neither the Service nor a pod is there yet.
    ///
    /// Its name is of its own: after a fault the endpoints of a Service that was deleted stay for many seconds, and one of
    /// the same name would inherit them.
    pub fn new(cluster: &'a Cluster<'a>, name: &str, traffic: &'static str) -> Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{name}{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        bring_images(cluster, &cluster.machines)?;
        let web = Self {
            cluster,
            name,
            traffic,
        };
        // What an earlier run has left.
        web.remove()?;
        Ok(web)
    }

    /// Its name; its pods have it as the label `app`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates the Service.
    pub fn expose(&self) -> Result<()> {
        let Self { name, traffic, .. } = self;
        self.cluster.apply(&format!(
            "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  type: LoadBalancer
  externalTrafficPolicy: {traffic}
  selector: {{app: {name}}}
  ports:
    - {{name: web, port: 80, targetPort: 8080}}
    - {{name: echo, port: 80, protocol: UDP, targetPort: 8081}}
"
        ))
    }

    /// A pod on each of these machines, and none elsewhere. Once ready it stays so: on a loaded host a probe that is late
    /// would take the endpoints away.
    pub fn run_on(&self, machines: &[Machine]) -> Result<()> {
        let name = &self.name;
        self.remove_pods()?;
        for machine in machines {
            let pod = self.pod(*machine);
            self.cluster.apply(&format!(
                "apiVersion: v1
kind: Pod
metadata: {{name: {pod}, namespace: default, labels: {{app: {name}}}}}
spec:
  nodeName: {machine}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  tolerations: [{{operator: Exists}}]
  containers:
    - name: web
      image: {IMAGE}
      imagePullPolicy: Never
      args: [netexec, --http-port=8080, --udp-port=8081]
      startupProbe: {{httpGet: {{path: /hostname, port: 8080}}, periodSeconds: 1, failureThreshold: 60}}
"
            ))?;
            let pod = format!("pod/{pod}");
            patience::until("a pod is ready", LIMIT, LOOK, || {
                let words = ["wait", "--for=condition=Ready", &pod, "--timeout=9s"];
                Ok(self.cluster.kubectl(&words).ok().map(drop))
            })?;
        }
        Ok(())
    }

    /// Takes its pod away from a machine, if there is one.
    pub fn leave(&self, machine: Machine) -> Result<()> {
        let pod = self.pod(machine);
        let words = [
            "delete",
            "pod",
            &pod,
            "--grace-period=0",
            "--force",
            "--ignore-not-found",
        ];
        self.cluster.kubectl(&words).map(drop)
    }

    /// The name of its pod on a machine, which the pod itself tells as its host's.
    pub fn pod(&self, machine: Machine) -> String {
        format!("{}-{machine}", self.name)
    }

    /// Its address, as soon as it has one and every node's kube-proxy knows it: with the policy `Cluster`, translates it for both ports.
    ///
    /// Nobody may connect before: at a node whose kube-proxy does not know the address the SYN ends, and the client waits for a
    /// second before it sends another (where nothing guards, as with MetalLB, it goes on untranslated, and whoever has the same port gets no
    /// answer for two minutes). After a cut cable it takes up to 45 s until kube-proxy finds that its watch is dead.
    pub fn address(&self) -> Result<Ipv4Addr> {
        let address = self.assigned()?;
        let words = ["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"];
        for node in self.cluster.kubectl(&words)?.split_whitespace() {
            let machine = node.parse()?;
            let look = self.known(address);
            let what = format!("kube-proxy of {machine} knows {address} of {}", self.name);
            patience::until(&what, KNOWN, LOOK, || {
                Ok(self.cluster.lab.ssh_ok(machine, &look).ok().map(drop))
            })?;
        }
        Ok(address)
    }

    /// A command line that succeeds on a node whose kube-proxy knows the address as this Service's: it may have been another's before.
    fn known(&self, address: Ipv4Addr) -> String {
        let address = address.to_string().replace('.', "[.]");
        let name = &self.name;
        if self.traffic == "Cluster" {
            // That there is no endpoint is known before there is one.
            let verdict = format!("{address} [^,]*goto external-[^,]*default/{name}/");
            format!("test $(nft list table ip kube-proxy | grep -oE '{verdict}' | wc -l) -eq 2")
        } else {
            format!("nft list table ip kube-proxy | grep -qE '{address} [^,]*default/{name}[/:]'")
        }
    }

    /// Its address, as soon as it has one.
    pub fn assigned(&self) -> Result<Ipv4Addr> {
        let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
        patience::until("the Service has an address", LIMIT, LOOK, || {
            let words = ["get", "service", &self.name, "-o", path];
            let text = self.cluster.kubectl(&words)?;
            Ok(text.parse().ok())
        })
        .with_context(|| {
            let words = ["describe", "service", &self.name];
            self.cluster.kubectl(&words).unwrap_or_default()
        })
    }

    /// Deletes the Service and its pods, and what the nodes remember of connections to its address.
    ///
    /// After a fault a node may not have seen how a connection ended. It remembers it for minutes; when another Service has the
    /// address by then, and a client the port, it sends that client to a pod that is gone.
    pub fn remove(&self) -> Result<()> {
        let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
        let words = [
            "get",
            "service",
            &self.name,
            "--ignore-not-found",
            "-o",
            path,
        ];
        let address = self.cluster.kubectl(&words)?.parse::<Ipv4Addr>().ok();
        let words = ["delete", "service", &self.name, "--ignore-not-found"];
        self.cluster.kubectl(&words)?;
        self.remove_pods()?;
        for machine in &self.cluster.machines {
            let Some(address) = address else { break };
            // Of a machine without power nothing is left to forget, and one without a connection to forget says so by an error.
            let forget = format!("conntrack -D --dst {address}");
            let _ = self.cluster.lab.ssh_ok(*machine, &forget);
        }
        Ok(())
    }

    fn remove_pods(&self) -> Result<()> {
        let label = format!("app={}", self.name);
        let words = [
            "delete",
            "pods",
            "-l",
            &label,
            "--grace-period=0",
            "--force",
        ];
        self.cluster.kubectl(&words).map(drop)
    }
}

/// Deletes every Service that wants an address, and the pods behind them: what broke off has left them.
pub fn remove_all(cluster: &Cluster<'_>) -> Result<()> {
    let path = r#"jsonpath={range .items[?(@.spec.type=="LoadBalancer")]}{.metadata.name} {end}"#;
    let names = cluster.kubectl(&["get", "services", "-o", path])?;
    let names: Vec<&str> = names.split_whitespace().collect();
    if !names.is_empty() {
        let delete = ["delete", "services", "--wait=false"];
        cluster.kubectl(&[delete.as_slice(), names.as_slice()].concat())?;
    }
    let pods = ["delete", "pods", "-l", "app", "--grace-period=0", "--force"];
    cluster.kubectl(&pods).map(drop)
}

/// Brings the image that serves to machines that do not have it.
pub fn bring_images(cluster: &Cluster<'_>, machines: &[Machine]) -> Result<()> {
    let there = format!("ctr -n k8s.io images ls -q name=={IMAGE}");
    for machine in machines {
        if cluster.lab.ssh_ok(*machine, &there)?.trim().is_empty() {
            cluster
                .lab
                .import_images(*machine, &bundle::test_images()?)?;
        }
    }
    Ok(())
}

/// The body of the answer that a client behind the router gets on a connection of its own.
pub fn get(cluster: &Cluster<'_>, address: Ipv4Addr, path: &str) -> Result<String> {
    let patience = Duration::from_millis(500);
    let text = cluster.lab.within(Place::Outside, || {
        let target = SocketAddr::from((address, 80));
        let mut stream = TcpStream::connect_timeout(&target, patience)?;
        stream.set_read_timeout(Some(patience))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })?;
    ensure!(text.starts_with("HTTP/1.1 200"), "it answers {text:?}");
    let (_, body) = text.split_once("\r\n\r\n").context("a body")?;
    Ok(body.trim().to_owned())
}
