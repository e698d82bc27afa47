//! Addresses for Services: from the cluster file's pool to a client behind the router, and through the owner's death.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::figures::milliseconds;
use lab_tests::prober::Plan;
use lab_tests::roster::OUTSIDE;
use lab_tests::{Machine, Place, patience};

use crate::runner::{Context, Scenario};
use crate::shared::{apply, import_test_images};

/// On the shared cluster.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_service_gets_an_address_of_the_file_and_answers_behind_the_router",
        run: a_service_answers,
    },
    Scenario {
        name: "a_power_cut_of_a_services_node_costs_clients_a_second_at_most",
        run: |context| fault_costs(context, Fault::PowerCut, Duration::from_secs(1)),
    },
    Scenario {
        name: "a_cut_cable_of_a_services_node_costs_clients_a_second_at_most",
        run: |context| fault_costs(context, Fault::CableCut, Duration::from_secs(1)),
    },
    Scenario {
        name: "a_killed_speaker_costs_clients_a_second_at_most",
        run: |context| fault_costs(context, Fault::SpeakerKilled, Duration::from_secs(1)),
    },
    Scenario {
        name: "a_speaker_that_ends_in_order_costs_clients_nothing",
        run: |context| fault_costs(context, Fault::SpeakerEnded, Duration::ZERO),
    },
    Scenario {
        name: "local_traffic_shows_the_clients_address_and_follows_the_pod",
        run: local_traffic_follows_the_pod,
    },
];

/// The pool of the example, without the address that is kept for the ingress.
const POOL: std::ops::RangeInclusive<Ipv4Addr> =
    Ipv4Addr::new(10, 10, 0, 201)..=Ipv4Addr::new(10, 10, 0, 239);
const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

fn a_service_answers(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    cluster.settle()?;
    let web = Web::new(cluster, "answers", "Cluster")?;
    web.run_on(&cluster.machines[..2])?;
    let begin = now();
    web.expose()?;
    let address = web.address()?;
    let addressed = begin.elapsed();
    let body = patience::until("a client behind the router gets in", LIMIT, LOOK, || {
        Ok(get(cluster, address, "/hostname").ok())
    })?;
    println!(
        "     {address} after {:.0} ms, the first answer after {:.0} ms (kubectl included)",
        milliseconds(addressed),
        milliseconds(begin.elapsed())
    );
    ensure!(POOL.contains(&address), "{address} is not of the pool");
    ensure!(body.contains("answers"), "it says {body:?}");
    let owner = cluster.lab.arp_owner(address)?;
    ensure!(owner.is_some(), "nobody answers ARP for {address}");
    let pinged = cluster
        .lab
        .command_in(Place::Outside, "ping")
        .args(["-c", "1", "-W", "2", &address.to_string()])
        .output()?;
    ensure!(pinged.status.success(), "{address} does not answer a ping");
    web.remove()?;
    patience::until("nobody answers for it any more", LIMIT, LOOK, || {
        Ok(cluster.lab.arp_answers(address)?.is_empty().then_some(()))
    })
}

/// What happens to the node that has the address, or to its speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No power.
    PowerCut,
    /// No network.
    CableCut,
    /// Its speaker is gone at once.
    SpeakerKilled,
    /// Its speaker says goodbye.
    SpeakerEnded,
}

impl Fault {
    fn inflict(self, cluster: &Cluster<'_>, machine: Machine) -> Result<()> {
        let signal = |signal: &str| {
            let command = format!(
                "for p in $(pidof lbnode); do tr '\\0' ' ' </proc/$p/cmdline | grep -q '^/lbnode speaker ' && kill -{signal} $p; done; true"
            );
            cluster.lab.ssh_ok(machine, &command).map(drop)
        };
        match self {
            Self::PowerCut => cluster.lab.kill(machine),
            Self::CableCut => cluster.lab.cut(machine),
            Self::SpeakerKilled => signal("KILL"),
            Self::SpeakerEnded => signal("TERM"),
        }
    }

    fn undo(self, cluster: &Cluster<'_>, machine: Machine) -> Result<()> {
        match self {
            Self::PowerCut => cluster.lab.start(machine),
            Self::CableCut => cluster.lab.heal(machine),
            Self::SpeakerKilled | Self::SpeakerEnded => Ok(()),
        }
    }
}

/// The pods are on the other nodes: it is the address that fails, not the Service behind it.
fn fault_costs(context: &Context, fault: Fault, limit: Duration) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    fault_on(cluster, fault, limit, if context.full { 3 } else { 1 })
}

/// On any cluster, some times.
pub(crate) fn fault_on(
    cluster: &Cluster<'_>,
    fault: Fault,
    limit: Duration,
    times: usize,
) -> Result<()> {
    for _ in 0..times {
        cluster.settle()?;
        let web = Web::new(cluster, "outlives", "Cluster")?;
        web.expose()?;
        let address = web.address()?;
        let victim = patience::until("a node has the address", LIMIT, LOOK, || {
            cluster.lab.arp_owner(address)
        })?;
        let others: Vec<Machine> = cluster
            .machines
            .iter()
            .copied()
            .filter(|machine| *machine != victim)
            .collect();
        web.run_on(&others)?;
        let plan = Plan::connect(SocketAddr::from((address, 80)));
        let client = cluster.prober(plan)?;
        ensure!(
            client.wait_for_calm(Duration::from_secs(3), LIMIT),
            "{address} on {victim}: connections fail before the fault: {:?}",
            client.finish()?.reasons()
        );
        let instant = now();
        fault.inflict(cluster, victim)?;
        let calm = client.wait_for_calm(Duration::from_secs(5), LIMIT);
        let report = client.finish()?;
        let successor = cluster.lab.arp_owner(address);
        fault.undo(cluster, victim)?;
        let last = report.last_failure(instant);
        println!(
            "     {fault:?}: {victim} -> {}: last failure after {:.0} ms, longest gap {:.0} ms, {} of {} failed, client at most {:.0} ms late",
            successor?.map_or_else(|| "nobody".to_owned(), |machine| machine.to_string()),
            milliseconds(last),
            milliseconds(report.longest_gap()),
            report.failed(),
            report.attempts().len(),
            milliseconds(report.lateness()),
        );
        ensure!(calm, "connections go on failing: {:?}", report.reasons());
        ensure!(
            last <= limit,
            "last failure after {:.0} ms, at most {:.0} allowed: {:?}",
            milliseconds(last),
            milliseconds(limit),
            report.reasons()
        );
        web.remove()?;
    }
    Ok(())
}

fn local_traffic_follows_the_pod(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    cluster.settle()?;
    let web = Web::new(cluster, "local", "Local")?;
    web.expose()?;
    let address = web.address()?;
    ensure!(
        cluster.lab.arp_answers(address)?.is_empty(),
        "{address} is answered for without an endpoint"
    );
    for machine in &cluster.machines {
        web.run_on(&[*machine])?;
        let what = format!("{address} is on {machine}, where its pod is");
        patience::until(&what, LIMIT, LOOK, || {
            Ok((cluster.lab.arp_owner(address)? == Some(*machine)).then_some(()))
        })?;
        let body = patience::until("a client behind the router gets in", LIMIT, LOOK, || {
            Ok(get(cluster, address, "/clientip").ok())
        })?;
        ensure!(
            body.ends_with(|end: char| end.is_ascii_digit())
                && body.contains(&format!("{OUTSIDE}:")),
            "the pod saw {body:?} instead of {OUTSIDE}"
        );
    }
    web.remove()
}

/// A Service and its pods.
struct Web<'a> {
    cluster: &'a Cluster<'a>,
    name: String,
    traffic: &'static str,
}

impl<'a> Web<'a> {
    /// Its name is of its own: after a fault the endpoints of a Service that was deleted stay for many seconds, and one of
    /// the same name would inherit them.
    fn new(cluster: &'a Cluster<'a>, name: &str, traffic: &'static str) -> Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{name}{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        for machine in &cluster.machines {
            import_test_images(cluster.lab, *machine)?;
        }
        let web = Self {
            cluster,
            name,
            traffic,
        };
        // What an earlier run has left.
        web.remove()?;
        Ok(web)
    }

    fn expose(&self) -> Result<()> {
        let Self { name, traffic, .. } = self;
        apply(
            self.cluster,
            &format!(
                "apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  type: LoadBalancer
  externalTrafficPolicy: {traffic}
  selector: {{app: {name}}}
  ports: [{{port: 80, targetPort: 8080}}]
"
            ),
        )
    }

    /// A pod on each of these machines, and none elsewhere. Once ready it stays so: on a loaded host a probe that is late
    /// would take the endpoints away.
    fn run_on(&self, machines: &[Machine]) -> Result<()> {
        let name = &self.name;
        self.remove_pods()?;
        for (number, machine) in machines.iter().enumerate() {
            apply(
                self.cluster,
                &format!(
                    "apiVersion: v1
kind: Pod
metadata: {{name: {name}-{number}, namespace: default, labels: {{app: {name}}}}}
spec:
  nodeName: {machine}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  tolerations: [{{operator: Exists}}]
  containers:
    - name: web
      image: lab.invalid/agnhost:1
      imagePullPolicy: Never
      args: [netexec, --http-port=8080]
      startupProbe: {{httpGet: {{path: /hostname, port: 8080}}, periodSeconds: 1, failureThreshold: 60}}
"
                ),
            )?;
            let pod = format!("pod/{name}-{number}");
            patience::until("a pod is ready", LIMIT, LOOK, || {
                let words = ["wait", "--for=condition=Ready", &pod, "--timeout=9s"];
                Ok(self.cluster.kubectl(&words).ok().map(drop))
            })?;
        }
        Ok(())
    }

    fn address(&self) -> Result<Ipv4Addr> {
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

    fn remove(&self) -> Result<()> {
        let words = ["delete", "service", &self.name, "--ignore-not-found"];
        self.cluster.kubectl(&words)?;
        self.remove_pods()
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

/// The body of a client's answer from behind the router.
fn get(cluster: &Cluster<'_>, address: Ipv4Addr, path: &str) -> Result<String> {
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

#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn now() -> Instant {
    Instant::now()
}
