//! Limits of open files: too low, usual, and as high as they go.

use std::net::TcpStream;
use std::process::Command;

use crate::kit::{Config, Proxy, Server, ask, connect, eventually, try_connect, who};

#[test]
fn h14_a_low_descriptor_limit_pauses_accepting_and_recovers() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())]).max_connections(40_000);
    let proxy = Proxy::launch(config, |command| limit(command, "100"));
    proxy.wait_for_state("a", "up");
    // Without a descriptor for its server a client is reset, maybe while it still connects.
    let mut clients: Vec<TcpStream> = (0..60)
        .filter_map(|_| try_connect(proxy.front()).ok())
        .collect();
    proxy.wait_until("accepting pauses", |status| {
        status["totals"]["acceptPausedResources"].as_u64() > Some(0)
            || status["totals"]["ended"]["out_of_resources"].as_u64() > Some(0)
    });
    let came = clients.len() as u64;
    clients.truncate(5);
    // Those who have left are still in the queue, and take descriptors while they are looked at.
    proxy.wait_until("everybody has come, and most have left", |s| {
        s["frontends"][0]["total"].as_u64() >= Some(came)
            && s["totals"]["sessions"].as_u64() <= Some(6)
    });
    assert_eq!(who(proxy.front()), "a");
}

#[test]
fn h14_a_usual_limit_gives_a_maximum_of_sessions_that_it_can_hold() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())]).max_connections(40_000);
    let mut proxy = Proxy::launch(config.clone(), |command| limit(command, "1024"));
    proxy.wait_for_state("a", "up");
    let said = |log: &str| log.matches("allows fewer sessions").count();
    assert_eq!(said(&proxy.log()), 1);
    assert_eq!(proxy.status()["totals"]["maxSessions"], 448);
    assert_eq!(proxy.metric("haproxy_process_max_connections"), 448);
    let mut clients: Vec<TcpStream> = (0..448).map(|_| connect(proxy.front())).collect();
    for client in &mut clients {
        assert_eq!(ask(client, "who"), "a");
    }
    // The next ones wait in the kernel's queue, and no descriptor is missing for those who are in.
    let mut next = connect(proxy.front());
    proxy.wait_until("accepting pauses", |status| {
        status["totals"]["acceptPausedFull"].as_u64() > Some(0)
    });
    let totals = &proxy.status()["totals"];
    assert_eq!(totals["acceptPausedResources"], 0);
    assert!(totals["ended"]["out_of_resources"].is_null(), "{totals}");
    clients.clear();
    assert_eq!(ask(&mut next, "who"), "a");
    proxy.reload(config.max_connections(300));
    assert_eq!(proxy.status()["totals"]["maxSessions"], 300);
}

#[test]
fn h14_a_high_limit_costs_no_memory() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())]).max_connections(200_000);
    let proxy = Proxy::launch(config, |command| {
        limit(command, "unlimited 2>/dev/null || ulimit -n $(ulimit -Hn)");
    });
    proxy.wait_for_state("a", "up");
    assert_eq!(who(proxy.front()), "a");
    eventually("its session is over", || {
        proxy.status()["totals"]["sessions"] == 0
    });
    let resident = proxy.resident();
    assert!(resident < 30 << 20, "{resident} bytes");
}

/// Starts the program with this limit of open files.
pub(crate) fn limit(command: &mut Command, limit: &str) {
    let exe = command.get_program().to_owned();
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut limited = Command::new("sh");
    limited
        .arg("-c")
        .arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\""))
        .arg(exe)
        .args(args);
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            limited.env(name, value);
        }
    }
    std::mem::swap(command, &mut limited);
}
