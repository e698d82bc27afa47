//! A segment of network namespaces: an API server and a client on a bridge, two nodes with speakers behind it.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime},
};

use dataplane::{controller, core::speaker::Timing, k8s::convert::Classes, speaker};

use crate::{
    manifest,
    server::{Place, Server},
};

const CLIENT: &str = "10.98.0.1";
const PATIENCE: Duration = Duration::from_secs(30);

/// How many segments were made: tests run side by side.
static MADE: AtomicU32 = AtomicU32::new(0);

/// The namespaces; they go with it.
struct Segment {
    prefix: String,
}

fn ip(args: &str) {
    let output = Command::new("ip").args(args.split(' ')).output().unwrap();
    assert!(
        output.status.success(),
        "ip {args}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Segment {
    fn new() -> Self {
        let segment = Self {
            prefix: format!("bl{}{}", std::process::id(), MADE.fetch_add(1, Relaxed)),
        };
        let client = segment.name("c");
        ip(&format!("netns add {client}"));
        ip(&format!("-n {client} link set lo up"));
        ip(&format!("-n {client} link add br0 type bridge"));
        ip(&format!("-n {client} addr add {CLIENT}/24 dev br0"));
        ip(&format!("-n {client} addr add fd98::1/64 dev br0 nodad"));
        ip(&format!("-n {client} link set br0 up"));
        for node in ["1", "2"] {
            let name = segment.name(node);
            ip(&format!("netns add {name}"));
            ip(&format!(
                "link add v{node} netns {client} type veth peer name eth0 netns {name}"
            ));
            ip(&format!("-n {client} link set v{node} master br0 up"));
            ip(&format!("-n {name} link set lo up"));
            ip(&format!("-n {name} addr add 10.98.0.1{node}/24 dev eth0"));
            ip(&format!(
                "-n {name} addr add fd98::1{node}/64 dev eth0 nodad"
            ));
            ip(&format!("-n {name} link set eth0 up"));
        }
        segment
    }

    fn name(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    fn place(&self, what: &str) -> Place {
        Place {
            namespace: Some(self.name(what)),
            address: CLIENT,
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        for what in ["c", "1", "2"] {
            // What was not made cannot be removed.
            let _ = Command::new("ip")
                .args(["netns", "del", &self.name(what)])
                .output();
        }
    }
}

/// A role in a process of its own: this test program, told by its environment what it is.
pub(crate) struct Role(Child);

impl Role {
    pub(crate) fn start(place: &Place, role: &str, node: &str, kubeconfig: &str) -> Self {
        let mut command = place.command(env::current_exe().unwrap());
        command.args(["segment::role", "--exact", "--nocapture"]);
        command
            .env("ROLE", role)
            .env("NODE", node)
            .env("CONF", kubeconfig);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn terminate(mut self) {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test by itself: what the processes of [`Role`] run.
#[test]
fn role() {
    let Ok(role) = env::var("ROLE") else { return };
    let (node, kubeconfig) = (
        env::var("NODE").unwrap(),
        Some(env::var_os("CONF").unwrap().into()),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = match role.as_str() {
        "controller" => runtime.block_on(controller::run(controller::Settings {
            kubeconfig,
            classes: Classes { class: None },
            metallb_namespace: "metallb-system".to_owned(),
            lease_namespace: "lb-system".to_owned(),
            key_namespace: "lb-system".to_owned(),
            admin: "127.0.0.1:0".parse().unwrap(),
        })),
        _ => runtime.block_on(speaker::run(speaker::Settings {
            kubeconfig,
            node,
            classes: Classes { class: None },
            metallb_namespace: "metallb-system".to_owned(),
            key_namespace: "lb-system".to_owned(),
            admin: "127.0.0.1:0".parse().unwrap(),
            port: 7946,
            timing: Timing {
                heartbeat: Duration::from_millis(200),
                patience: Duration::from_millis(800),
                refresh: Duration::from_secs(60),
            },
            hand_over_grace: Duration::from_secs(5),
        })),
    };
    result.unwrap();
}

/// Pings all the time and remembers when an answer came.
struct Pinger(Child);

impl Pinger {
    fn start(place: &Place, address: &str) -> Self {
        let mut command = place.command("ping");
        command.args(["-D", "-n", "-i", "0.01", "-W", "0.5", address]);
        Self(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    }

    /// When answers came, in seconds since 1970, and how many questions had none.
    fn stop(self) -> (Vec<f64>, u64) {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let times = text
            .lines()
            .filter_map(|line| line.strip_prefix('[')?.split_once(']')?.0.parse().ok());
        let summary = text
            .lines()
            .find(|line| line.contains("packets transmitted"))
            .expect("a summary");
        let numbers: Vec<u64> = summary
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        // The last question may still be on its way.
        (
            times.collect(),
            numbers[0].saturating_sub(numbers[1]).saturating_sub(1),
        )
    }
}

fn seconds() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

/// The API server, and the kubeconfigs of controller and speakers; the addresses of the nodes are said by [`list`].
fn cluster(segment: &Segment) -> (Server, Vec<String>) {
    let server = Server::start_in(segment.place("c"));
    server.must(&["apply", "-f", &manifest()]);
    server.must(&[
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=20s",
    ]);
    let mut objects = String::from(
        "apiVersion: bundledlb.io/v1\nkind: AddressPool\nmetadata: {name: front}\n\
         spec: {addresses: [10.98.0.100-10.98.0.120, 'fd98::100-fd98::120']}\n\
         ---\napiVersion: bundledlb.io/v1\nkind: L2Advertisement\nmetadata: {name: front}\nspec: {pools: [front]}\n",
    );
    for node in ["1", "2"] {
        let _ = write!(
            objects,
            "---\napiVersion: v1\nkind: Node\nmetadata:\n  name: n{node}\n  labels: {{baremetal.cluster.gke.io/lbnode: 'true'}}\n"
        );
    }
    for number in 0..6 {
        let _ = write!(
            objects,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{number}}}\n\
             spec: {{type: LoadBalancer, ipFamilyPolicy: RequireDualStack, ports: [{{port: 80}}]}}\n\
             ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: s{number}-1, labels: {{kubernetes.io/service-name: s{number}}}}}\n\
             addressType: IPv4\nendpoints: [{{addresses: [10.97.0.1], nodeName: n1}}]\nports: [{{port: 80}}]\n"
        );
    }
    server.apply(&objects);
    let names = ["lb-controller", "lb-speaker"].map(|name| {
        let user = format!("system:serviceaccount:lb-system:{name}");
        server
            .write_kubeconfig(name, Some(&user))
            .display()
            .to_string()
    });
    (server, names.to_vec())
}

/// Says where the nodes are: only then speakers list each other.
fn list(server: &Server) {
    for node in ["1", "2"] {
        let addresses = format!(
            r#"{{"status":{{"addresses":[{{"type":"InternalIP","address":"10.98.0.1{node}"}}]}}}}"#
        );
        let name = format!("n{node}");
        server.must(&[
            "patch",
            "node",
            &name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &addresses,
        ]);
    }
}

/// Address and owner, as the speakers report them.
fn owners(server: &Server) -> Vec<(String, String)> {
    let path = "jsonpath={range .items[*]}{.metadata.name}{range .status.addresses[*]} {.address}{end}\n{end}";
    let text = server.must(&["get", "speakers", "-o", path]);
    let mut owners = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let node = words.next().unwrap_or_default();
        owners.extend(words.map(|address| (address.to_owned(), node.to_owned())));
    }
    owners
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Hardware addresses that answer for an address.
fn answering(place: &Place, address: &str) -> BTreeSet<String> {
    let output = place
        .command("arping")
        .args(["-b", "-c", "3", "-w", "3", "-I", "br0", address])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let macs = text
        .split(['[', ']', ' ', '(', ')'])
        .filter(|word| word.split(':').count() == 6);
    macs.map(str::to_lowercase)
        .filter(|mac| mac != "ff:ff:ff:ff:ff:ff")
        .collect()
}

#[test]
fn two_nodes_share_hand_over_and_take_over() {
    let segment = Segment::new();
    let (server, conf) = cluster(&segment);
    list(&server);
    let [controller_conf, speaker_conf] = &conf[..] else {
        unreachable!()
    };
    let client = segment.place("c");
    let _controller = Role::start(&client, "controller", "", controller_conf);
    let speaker = |node: &str| {
        Role::start(
            &segment.place(node),
            "speaker",
            &format!("n{node}"),
            speaker_conf,
        )
    };
    let mut speakers = [Some(speaker("1")), Some(speaker("2"))];
    let services = [0, 1, 2, 3, 4, 5].map(|number| format!("s{number}"));
    let announced = || {
        let path =
            r#"jsonpath={.items[*].status.conditions[?(@.type=="bundledlb.io/Reachable")].status}"#;
        server
            .must(&["get", "services", "-o", path])
            .matches("True")
            .count()
    };
    wait_for("every Service is announced and reachable", || {
        announced() == services.len()
    });

    // Twelve addresses, six each; one answers for each, and the others are quiet.
    let owned = owners(&server);
    assert_eq!(owned.len(), 12, "{owned:?}");
    let first = owned.iter().filter(|(_, node)| node == "n1").count();
    assert_eq!(first, 6, "{owned:?}");
    for (address, _) in &owned {
        let reached = client
            .command("ping")
            .args(["-c", "1", "-W", "1", address])
            .output()
            .unwrap();
        assert!(reached.status.success(), "no echo from {address}");
        if !address.contains(':') {
            assert_eq!(answering(&client, address).len(), 1, "{address}");
        }
    }

    // A speaker that is killed: the other one has everything within a second.
    let one = |node: &str| {
        owned
            .iter()
            .find(|(address, owner)| owner == node && !address.contains(':'))
            .unwrap()
            .0
            .clone()
    };
    let address = one("n1");
    let pinger = Pinger::start(&client, &address);
    thread::sleep(Duration::from_secs(2));
    let killed = seconds();
    speakers[0].take().unwrap().kill();
    thread::sleep(Duration::from_secs(4));
    let (answers, _) = pinger.stop();
    let gap = answers
        .windows(2)
        .filter(|pair| pair[1] > killed)
        .map(|pair| pair[1] - pair[0])
        .fold(0.0, f64::max);
    let back = answers
        .windows(2)
        .filter(|pair| pair[1] - pair[0] > 0.05 && pair[1] > killed)
        .map(|pair| pair[1])
        .fold(0.0, f64::max);
    println!(
        "speaker killed: last failure {:.3} s after it, longest gap {gap:.3} s",
        back - killed
    );
    assert!(back - killed < 1.5, "{}", back - killed);
    wait_for("the other has all", || {
        owners(&server)
            .iter()
            .filter(|(_, node)| node == "n2")
            .count()
            == 12
    });

    // It comes back and takes nothing; then the owner of everything is asked to end, and not one ping is lost.
    speakers[0] = Some(speaker("1"));
    thread::sleep(Duration::from_secs(4));
    assert_eq!(answering(&client, &address).len(), 1);
    let pinger = Pinger::start(&client, &address);
    thread::sleep(Duration::from_secs(1));
    speakers[1].take().unwrap().terminate();
    thread::sleep(Duration::from_secs(2));
    let (answers, lost) = pinger.stop();
    println!(
        "speaker asked to end: {lost} of {} pings lost",
        answers.len()
    );
    assert_eq!(lost, 0);
}

#[test]
fn nodes_that_do_not_list_each_other_meet_all_the_same() {
    let segment = Segment::new();
    let (server, conf) = cluster(&segment);
    let [controller_conf, speaker_conf] = &conf[..] else {
        unreachable!()
    };
    let client = segment.place("c");
    let _controller = Role::start(&client, "controller", "", controller_conf);
    let speaker = |node: &str| {
        let name = format!("n{node}");
        Role::start(&segment.place(node), "speaker", &name, speaker_conf)
    };
    let _first = speaker("1");
    wait_for("the first has all", || owners(&server).len() == 12);
    let _second = speaker("2");
    wait_for("the second reports", || {
        let path = "jsonpath={.items[*].status.phase}";
        server.must(&["get", "speakers", "-o", path]) == "Serving Serving"
    });
    // Longer than a starting node waits for others before it takes what it believes to be nobody's.
    thread::sleep(Duration::from_secs(3));
    let owned = owners(&server);
    assert_eq!(owned.len(), 12, "{owned:?}");
    for (address, node) in &owned {
        assert_eq!(node, "n1", "{address}");
        if !address.contains(':') {
            assert_eq!(answering(&client, address).len(), 1, "{address}");
        }
    }
}
