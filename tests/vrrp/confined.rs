//! Our router with few rights.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab_tests::duel::arena::Arena;

use crate::runner::Scenario;
use crate::{Context, Skip};

pub(crate) const SCENARIOS: &[Scenario] = &[
    (
        "d11_runs_with_two_capabilities_and_no_root",
        two_capabilities,
    ),
    ("d11_what_its_file_permits_is_enough", permitted_by_its_file),
    ("d11_is_nice_where_realtime_is_refused", nice),
    ("x23_a_missing_capability_is_named", missing_capability),
];

const PATIENCE: Duration = Duration::from_secs(15);

/// The router as somebody who is not root, with these capabilities and no others.
fn confined(arena: &Arena, context: &Context, capabilities: &str, config: &str) -> Command {
    let mut command = arena.command("r0", "setpriv");
    let all = format!("-all{capabilities}");
    command.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--no-new-privs",
    ]);
    command.args([
        "--inh-caps",
        &all,
        "--ambient-caps",
        &all,
        "--bounding-set",
        &all,
    ]);
    command
        .arg(&context.lbnode)
        .args(["vrrp", "--log-format", "text", "--config", config]);
    command
}

fn written_config() -> Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new()?;
    let text = "apiVersion: lbnode.bundledlb.io/v1\nkind: VrrpConfig\nrouters:\n  - name: api\n    virtualRouterID: 77\n    priority: 100\n    sourceAddress: 10.98.0.1\n    peers: [10.98.0.2]\n    addresses: [10.98.0.100]\n    advertisementIntervalMillis: 100\n    garpRepeat: 5\n    garpRefreshSeconds: 60\nadmin: 127.0.0.1:11003\n";
    std::fs::write(file.path(), text)?;
    let mut readable = std::fs::metadata(file.path())?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut readable, 0o644);
    std::fs::set_permissions(file.path(), readable)?;
    Ok(file)
}

fn two_capabilities(context: &Context) -> Result<()> {
    let arena = Arena::build(1)?;
    let config = written_config()?;
    let config = config.path().to_string_lossy().into_owned();
    let mut command = confined(&arena, context, ",+net_admin,+net_raw", &config);
    let child = command.stderr(Stdio::piped()).spawn()?;
    let owned = arena.wait_for_owner(0, PATIENCE);
    let log = stopped(child)?;
    owned.with_context(|| log.clone())?;
    ensure!(
        log.contains("CAP_SYS_NICE is missing, or the cgroup"),
        "{log}"
    );
    ensure!(
        arena.owners()?.is_empty(),
        "the address is gone after the stop"
    );
    Ok(())
}

/// As a container runtime starts it in a pod: another user, no new privileges, two capabilities permitted and
/// none in effect. The file's own permission, as the image has it, carries them over.
fn permitted_by_its_file(context: &Context) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let copy = directory.path().join("lbnode");
    std::fs::copy(&context.lbnode, &copy)?;
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open)?;
    let permission = "cap_net_bind_service,cap_net_admin,cap_net_raw,cap_ipc_lock,cap_sys_nice=p";
    let set = Command::new("setcap").arg(permission).arg(&copy).output();
    if !set.is_ok_and(|output| output.status.success()) {
        return Err(Skip("files cannot have capabilities here").into());
    }
    let arena = Arena::build(1)?;
    let config = written_config()?;
    let mut command = arena.command("r0", "setpriv");
    command.args([
        "--no-new-privs",
        "--bounding-set",
        "-all,+net_admin,+net_raw,+setuid,+setgid",
        "capsh",
        "--keep=1",
        "--gid=65534",
        "--uid=65534",
        "--caps=cap_net_admin,cap_net_raw=p",
    ]);
    command.arg(format!("--shell={}", copy.display()));
    command
        .args(["--", "vrrp", "--log-format", "text", "--config"])
        .arg(config.path());
    let child = command.stderr(Stdio::piped()).spawn()?;
    let owned = arena.wait_for_owner(0, PATIENCE);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let log = stopped(child)?;
    owned.with_context(|| log.clone())?;
    let status = status?;
    for line in [
        "Uid:\t65534\t65534\t65534\t65534",
        "CapEff:\t0000000000003000",
        "NoNewPrivs:\t1",
    ] {
        ensure!(status.contains(line), "no `{line}` in {status}");
    }
    ensure!(arena.owners()?.is_empty(), "the address is still there");
    Ok(())
}

/// Ends it and gives its log.
fn stopped(mut child: Child) -> Result<String> {
    let killed = Command::new("kill").arg(child.id().to_string()).status()?;
    let status = child.wait()?;
    let mut log = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        std::io::Read::read_to_string(&mut stderr, &mut log)?;
    }
    ensure!(killed.success() && status.success(), "{status}: {log}");
    Ok(log)
}

/// Name, policy and nice level of the threads of a process and its children.
fn threads(process: u32) -> Result<Vec<(String, u32, i32)>> {
    let mut found = Vec::new();
    let children = format!("/proc/{process}/task/{process}/children");
    for child in std::fs::read_to_string(children)?.split_whitespace() {
        for task in std::fs::read_dir(format!("/proc/{child}/task"))? {
            let stat = std::fs::read_to_string(task?.path().join("stat"))?;
            let (name, rest) = stat.rsplit_once(')').context("no name")?;
            let name = name.split_once('(').context("no name")?.1.to_owned();
            let fields: Vec<&str> = rest.split_whitespace().collect();
            // Fields 19 and 41 of proc(5); the third is the first one here.
            found.push((name, fields[38].parse()?, fields[16].parse()?));
        }
    }
    Ok(found)
}

/// No SCHED_RR, but a limit that permits nice -20.
fn nice(context: &Context) -> Result<()> {
    const NORMAL: u32 = 0;
    if !Command::new("prlimit")
        .args(["--nice=40:40", "true"])
        .status()?
        .success()
    {
        return Err(Skip("limits cannot be raised here").into());
    }
    let arena = Arena::build(1)?;
    let config = written_config()?;
    let config = config.path().to_string_lossy().into_owned();
    let confined = confined(&arena, context, ",+net_admin,+net_raw", &config);
    let mut command = Command::new("prlimit");
    command.args(["--nice=40:40", "--rtprio=0:0"]);
    command
        .arg(confined.get_program())
        .args(confined.get_args());
    let child = command.stderr(Stdio::piped()).spawn()?;
    let owned = arena.wait_for_owner(0, PATIENCE);
    let threads = threads(child.id());
    let log = stopped(child)?;
    owned.with_context(|| log.clone())?;
    let threads = threads?;
    ensure!(
        log.contains("nice -20 instead: CAP_SYS_NICE is missing, or the cgroup"),
        "{log}"
    );
    for (name, expected) in [("router", -20), ("host", -20), ("lbnode", 0)] {
        let expected = (name.to_owned(), NORMAL, expected);
        ensure!(
            threads.contains(&expected),
            "{expected:?} is not among {threads:?}"
        );
    }
    Ok(())
}

fn missing_capability(context: &Context) -> Result<()> {
    let arena = Arena::build(1)?;
    let config = written_config()?;
    let config = config.path().to_string_lossy().into_owned();
    for (capabilities, missing) in [
        (",+net_raw", "needs CAP_NET_ADMIN:"),
        (",+net_admin", "needs CAP_NET_RAW:"),
    ] {
        let output = confined(&arena, context, capabilities, &config).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(1) && said.contains(missing),
            "{said}"
        );
    }
    Ok(())
}
