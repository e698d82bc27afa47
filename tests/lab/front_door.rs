//! The proxy in front of real API servers: what people leave open, what they ask for all at once, and a restart of every
//! API server in turn; and what the proxy's own process may do.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::prober::{Plan, Trust};
use lab_tests::{Machine, Place, patience, service};

use crate::kubectl::{Session, kubectl};
use crate::runner::{Context, Scenario};

/// On the shared cluster.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "the_proxy_is_not_root_and_has_one_capability",
        run: the_proxy_has_few_rights,
    },
    Scenario {
        name: "sessions_live_over_idle_time_beside_64_parallel_gets",
        run: sessions_live_over_idle_time,
    },
    Scenario {
        name: "a_graceful_restart_of_api_servers_fails_no_client",
        run: a_graceful_restart_fails_no_client,
    },
];

fn the_proxy_has_few_rights(context: &Context) -> Result<()> {
    const LOOK: &str = "for p in $(pidof lbnode); do \
         tr '\\0' ' ' </proc/$p/cmdline | grep -q '^/lbnode proxy ' || continue; \
         cat /proc/$p/status; grep ' / / ' /proc/$p/mountinfo; done";
    let cluster = &context.fixture()?.cluster;
    for machine in &cluster.machines {
        let seen = cluster.lab.ssh_ok(*machine, LOOK)?;
        for line in [
            "Uid:\t65534\t65534\t65534\t65534",
            "Gid:\t65534\t65534\t65534\t65534",
            // NET_BIND_SERVICE and nothing else.
            "CapPrm:\t0000000000000400",
            "CapEff:\t0000000000000400",
            "CapBnd:\t0000000000000400",
            "NoNewPrivs:\t1",
        ] {
            ensure!(
                seen.matches(line).count() == 1,
                "{machine}: `{line}` is not in\n{seen}"
            );
        }
        let root = seen.lines().find_map(|line| line.split(" / / ").nth(1));
        ensure!(
            root.is_some_and(|options| options.starts_with("ro,")),
            "{machine}: the root can be written to: {root:?}"
        );
    }
    // It listens on a port for which the capability is needed.
    ensure!(Cluster::endpoint().port() < 1024);
    Ok(())
}

/// Without a byte: one minute, or ten with `--full`.
///
/// What an unplanned move of the VIP costs sessions is another scenario's: a trial in which a starved machine lost the
/// VIP says nothing, and there is another one, three in all.
fn sessions_live_over_idle_time(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    let idle = Duration::from_secs(if context.full { 600 } else { 60 });
    service::bring_images(cluster, &cluster.machines[..1])?;
    let mut trials = 3;
    loop {
        let before = cluster.settle()?;
        let trial = sessions_live(cluster, idle);
        trials -= 1;
        let removed = cluster.kubectl(&[
            "delete",
            "pod/front-door",
            "configmap/front-door",
            "--grace-period=0",
            "--force",
            "--ignore-not-found",
        ]);
        let Err(error) = trial else {
            return removed.map(drop);
        };
        match cluster.settle() {
            Ok(after) if before != after && trials > 0 => {
                println!("     void: the VIP moved from {before} to {after}: {error:#}");
            }
            _ => return Err(error),
        }
    }
}

fn sessions_live(cluster: &Cluster<'_>, idle: Duration) -> Result<()> {
    let machine = cluster.machines[0];
    cluster.apply(&pod(machine, idle))?;
    let ready = [
        "wait",
        "--for=condition=Ready",
        "pod/front-door",
        "--timeout=60s",
    ];
    kubectl(cluster, &ready)?.wait_for_success()?;

    let mut logs = kubectl(cluster, &["logs", "-f", "front-door", "-c", "logs"])?;
    let exec = seldom(idle);
    let mut words = vec!["exec", "front-door", "-c", "web", "--", "/agnhost"];
    words.extend(exec.iter().map(String::as_str));
    let mut exec = kubectl(cluster, &words)?;
    let mut watch = kubectl(
        cluster,
        &["get", "configmap", "front-door", "--watch", "-o", "name"],
    )?;
    let mut forward = kubectl(cluster, &["port-forward", "pod/front-door", "18080:8080"])?;
    for session in [&mut logs, &mut exec, &mut watch, &mut forward] {
        session.says_more_than(0, Duration::from_secs(60))?;
    }
    let mut through = cluster.lab.within(Place::Operator, || {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 18080))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(stream)
    })?;
    get(&mut through)?;
    let before = [&logs, &exec, &watch].map(Session::lines);

    let begin = now();
    let errors = parallel_gets(cluster, 64)?;
    println!(
        "     64 parallel gets took {:.1} s",
        begin.elapsed().as_secs_f32()
    );
    ensure!(
        errors.is_empty(),
        "{} of 64 failed: {}",
        errors.len(),
        errors[0]
    );
    let mut sessions = [logs, exec, watch, forward];
    all_run(&mut sessions, cluster).context("after the gets")?;
    while begin.elapsed() < idle {
        std::thread::sleep(Duration::from_secs(1));
        all_run(&mut sessions, cluster).with_context(|| {
            format!(
                "{:.0} s after the gets began",
                begin.elapsed().as_secs_f32()
            )
        })?;
    }

    cluster.kubectl(&[
        "patch",
        "configmap",
        "front-door",
        "-p",
        r#"{"data":{"a":"b"}}"#,
    ])?;
    for (session, lines) in sessions.iter_mut().zip(before) {
        session.says_more_than(lines, Duration::from_secs(20))?;
    }
    get(&mut through).context("the forwarded connection")?;
    all_run(&mut sessions, cluster)
}

/// Each goes on; the end of one is told with what the cluster went through.
fn all_run(sessions: &mut [Session], cluster: &Cluster<'_>) -> Result<()> {
    for session in sessions {
        session.still_runs().with_context(|| through(cluster))?;
    }
    Ok(())
}

/// Restarts of the front door's parts on each machine, and who owns the VIP.
fn through(cluster: &Cluster<'_>) -> String {
    let mut said = format!("the VIP's owner: {:?}", cluster.owner());
    for machine in &cluster.machines {
        let ask = "crictl ps -a; tail -n 20 /var/log/pods/kube-system_lb-*/*/*.log";
        said += &format!(
            "\n-- {machine}\n{}",
            cluster
                .lab
                .ssh_ok(*machine, ask)
                .unwrap_or_else(|error| format!("{error:#}"))
        );
    }
    said
}

/// Of the VIP owner's API server; with `--full` of each in turn.
fn a_graceful_restart_fails_no_client(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    let owner = cluster.settle()?;
    let machines = if context.full {
        cluster.machines.clone()
    } else {
        vec![owner]
    };
    // As long as kubectl and client-go wait for a handshake: an API server that starts takes both processors of a small host.
    let plan = Plan::handshake(Cluster::endpoint(), Trust::Anybody).paced(10, 10_000);
    let handshakes = cluster.prober(plan)?;
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (restarted, errors) = std::thread::scope(|scope| {
        let gets: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| gets_until(cluster, &stop, &served)))
            .collect();
        let restarted = machines
            .iter()
            .try_for_each(|machine| restart(cluster, *machine));
        stop.store(true, SeqCst);
        let errors: Vec<String> = gets
            .into_iter()
            .flat_map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| vec!["it panicked".to_owned()])
            })
            .collect();
        (restarted, errors)
    });
    let report = handshakes.finish()?;
    println!(
        "     {} restarts; {} handshakes, {} failed, {} took more than 300 ms, the longest {:?}; {} gets, {} failed",
        machines.len(),
        report.attempts().len(),
        report.failed(),
        report.slower_than(Duration::from_millis(300)),
        report.longest(),
        served.load(SeqCst),
        errors.len()
    );
    restarted?;
    ensure!(report.failed() == 0, "handshakes: {:?}", report.reasons());
    ensure!(errors.is_empty(), "gets: {errors:?}");
    ensure!(served.load(SeqCst) > 5, "hardly anybody asked");
    Ok(())
}

/// Ends the API server's process in order, and waits until the next one is ready.
fn restart(cluster: &Cluster<'_>, machine: Machine) -> Result<()> {
    let process = || cluster.lab.ssh_ok(machine, "pidof kube-apiserver || true");
    let before = process()?;
    ensure!(!before.trim().is_empty(), "no API server runs on {machine}");
    cluster
        .lab
        .ssh_ok(machine, &format!("kill -TERM {}", before.trim()))?;
    let what = format!("another API server is ready on {machine}");
    let (limit, pause) = (Duration::from_secs(180), Duration::from_millis(500));
    patience::until(&what, limit, pause, || {
        let another = process()?;
        let ready =
            "curl -sk -o /dev/null -m 2 -w '%{http_code}' https://127.0.0.1:6444/readyz || true";
        let ready = another != before && cluster.lab.ssh_ok(machine, ready)? == "200";
        Ok(ready.then_some(()))
    })
}

/// What went wrong.
fn gets_until(cluster: &Cluster<'_>, stop: &AtomicBool, served: &AtomicUsize) -> Vec<String> {
    let mut errors = Vec::new();
    while !stop.load(SeqCst) {
        match cluster.kubectl(&["get", "nodes", "-o", "name"]) {
            Ok(_) => {
                served.fetch_add(1, SeqCst);
            }
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    errors
}

/// All at once; what went wrong.
fn parallel_gets(cluster: &Cluster<'_>, number: usize) -> Result<Vec<String>> {
    let sessions = (0..number)
        .map(|_| {
            kubectl(
                cluster,
                &["get", "nodes", "-o", "name", "--request-timeout=60s"],
            )
        })
        .collect::<Result<Vec<_>>>()?;
    let outcomes = sessions.into_iter().map(Session::wait_for_success);
    let errors = outcomes.filter_map(|outcome| outcome.err().map(|error| format!("{error:#}")));
    Ok(errors.collect())
}

/// Asks through a forwarded port; the connection stays open.
fn get(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"GET /hostname HTTP/1.1\r\nHost: web\r\n\r\n")?;
    let mut answer = [0; 1024];
    let read = stream.read(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..read]);
    ensure!(answer.starts_with("HTTP/1.1 200"), "it answers {answer:?}");
    Ok(())
}

/// Arguments for a program that says a line at once, and then one in half the idle time.
fn seldom(idle: Duration) -> [String; 3] {
    let pause = idle.as_secs() / 2;
    [
        "logs-generator".to_owned(),
        "--log-lines-total=20".to_owned(),
        format!("--run-duration={}s", 20 * pause),
    ]
}

fn pod(machine: Machine, idle: Duration) -> String {
    let logs = seldom(idle).join(", ");
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata: {{name: front-door, namespace: default}}
---
apiVersion: v1
kind: Pod
metadata: {{name: front-door, namespace: default}}
spec:
  nodeName: {machine}
  automountServiceAccountToken: false
  tolerations: [{{operator: Exists}}]
  containers:
    - name: web
      image: lab.invalid/agnhost:1
      imagePullPolicy: Never
      args: [netexec, --http-port=8080]
    - name: logs
      image: lab.invalid/agnhost:1
      imagePullPolicy: Never
      args: [{logs}]
"
    )
}

#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn now() -> Instant {
    Instant::now()
}
