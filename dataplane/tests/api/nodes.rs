//! Two nodes of an API server on a segment: what they serve, and who answers for it.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use crate::{
    manifest,
    segment::Segment,
    server::{Place, Server},
};

/// Services with an address of either family.
pub(crate) const SERVICES: usize = 6;
const PATIENCE: Duration = Duration::from_secs(30);

/// The API server, and the kubeconfigs of controller and speakers; the addresses of the nodes are said by [`list`].
pub(crate) fn cluster(segment: &Segment) -> (Server, Vec<String>) {
    let server = Server::start_in(segment.place("c"));
    server.must(&["apply", "-f", &manifest()]);
    server.wait_for_kinds();
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
    for number in 0..SERVICES {
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
pub(crate) fn list(server: &Server) {
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
pub(crate) fn owners(server: &Server) -> Vec<(String, String)> {
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

pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Hardware addresses that answer for an address.
pub(crate) fn answering(place: &Place, address: &str) -> BTreeSet<String> {
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

/// Address, owner and term of its claim: whoever takes an address raises the term, even if nobody looked meanwhile.
pub(crate) fn claims(server: &Server) -> BTreeSet<(IpAddr, String, u64)> {
    let path = "jsonpath={range .items[*]}{.metadata.name}{range .status.addresses[*]} {.address}={.term}{end}\n{end}";
    let text = server.must(&["get", "speakers", "-o", path]);
    let mut claims = BTreeSet::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let node = words.next().unwrap_or_default();
        for word in words {
            let (address, term) = word.split_once('=').unwrap();
            claims.insert((
                address.parse().unwrap(),
                node.to_owned(),
                term.parse().unwrap(),
            ));
        }
    }
    claims
}

/// Waits until every address has an owner, half of them each node.
pub(crate) fn wait_for_halves(server: &Server) -> BTreeSet<(IpAddr, String, u64)> {
    wait_for(
        "every address is announced, half of them by each node",
        || {
            let claims = claims(server);
            let first = claims.iter().filter(|(_, node, _)| node == "n1").count();
            claims.len() == 2 * SERVICES && first == SERVICES
        },
    );
    claims(server)
}

/// Whether there is time for repetitions.
pub(crate) fn in_full() -> bool {
    env::var_os("LBNODE_TEST_FULL").is_some()
}
