//! How long a large file takes: `cargo run --release -p cluster-config --example big_file [NODES [POOLS]]`.
//! Ends with 1 above 100 ms.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "measures and prints"
)]

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use cluster_config::{derive, load, render_text, summary};

const LIMIT_MILLIS: f64 = 100.0;

fn main() -> ExitCode {
    let mut sizes = std::env::args()
        .skip(1)
        .filter_map(|size| size.parse().ok());
    let nodes: u32 = sizes.next().unwrap_or(1_000);
    let pools: u32 = sizes.next().unwrap_or(200);
    let text = file(nodes, pools);
    let mut times: Vec<f64> = (0..21)
        .map(|_| {
            let start = Instant::now();
            let loaded = load(&text, "big.yaml");
            let took = start.elapsed().as_secs_f64() * 1_000.0;
            assert!(
                loaded.cluster.is_some(),
                "{}",
                render_text(&loaded.diagnostics, false)
            );
            took
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let loaded = load(&text, "big.yaml");
    println!(
        "{nodes} nodes, {pools} pools, {} KiB: checked in {:.2} ms (median of 21; {:.2} to {:.2}); {}",
        text.len() / 1024,
        times[10],
        times[0],
        times[20],
        summary(&loaded.diagnostics),
    );
    let Some(cluster) = loaded.cluster else {
        return ExitCode::FAILURE;
    };
    let start = Instant::now();
    let placement = derive::placement(&cluster);
    let carriers = placement.control_plane_load_balancers().count();
    println!(
        "placement of {} nodes, {carriers} with the VIP: {:.2} ms",
        placement.roles().len(),
        start.elapsed().as_secs_f64() * 1_000.0
    );
    if times[10] > LIMIT_MILLIS {
        println!("more than {LIMIT_MILLIS} ms");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Three control-plane nodes, three load balancer nodes, the rest in worker pools of 50.
fn file(nodes: u32, pools: u32) -> String {
    let mut text = String::from(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: cluster-big\n---\n\
         apiVersion: baremetal.cluster.gke.io/v1\nkind: Cluster\nmetadata:\n  name: big\n  namespace: cluster-big\n\
         spec:\n  type: user\n  controlPlane:\n    nodePoolSpec:\n      nodes:\n",
    );
    let address = |n: u32| format!("10.{}.{}.{}", n >> 16, (n >> 8) & 255, n & 255);
    for n in 1..=3 {
        let _ = writeln!(text, "      - address: {}", address(n));
    }
    text.push_str(
        "  clusterNetwork:\n    pods:\n      cidrBlocks:\n      - 172.16.0.0/12\n    services:\n      cidrBlocks:\n      - 192.168.0.0/16\n\
         \x20 loadBalancer:\n    mode: bundled\n    ports:\n      controlPlaneLBPort: 443\n    vips:\n      controlPlaneVIP: 10.0.0.100\n\
         \x20   nodePoolSpec:\n      nodes:\n",
    );
    for n in 4..=6 {
        let _ = writeln!(text, "      - address: {}", address(n));
    }
    text.push_str("    addressPools:\n");
    for n in 0..pools {
        let _ = writeln!(
            text,
            "    - name: pool-{n}\n      addresses:\n      - 10.0.{}.{}-10.0.{}.{}\n      - 10.0.{}.{}/30",
            128 + n / 16,
            n % 16 * 16,
            128 + n / 16,
            n % 16 * 16 + 9,
            128 + n / 16,
            n % 16 * 16 + 12,
        );
    }
    for n in 0..nodes.saturating_sub(6) {
        if n % 50 == 0 {
            let _ = write!(
                text,
                "---\napiVersion: baremetal.cluster.gke.io/v1\nkind: NodePool\nmetadata:\n  name: workers-{}\n  namespace: cluster-big\n\
                 spec:\n  clusterName: big\n  labels:\n    pool: workers-{}\n  nodes:\n",
                n / 50,
                n / 50
            );
        }
        let _ = writeln!(text, "  - address: {}", address(1_000 + n));
    }
    text
}
