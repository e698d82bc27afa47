//! The texts that can run anywhere are run, in a folder of their own instead of `/var/lib/lbctl` and `/run`.

mod certificates;
mod others;
mod packages;
mod removal;
mod snapshot;
mod standing;
mod takeover;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::manifest::NodeFile;
use crate::remote::{Input, command_line};

struct Ran {
    status: i32,
    output: String,
}

/// Runs a script as a machine would, `cut` bytes of its input missing; programs in the folder's `bin` come first.
fn run(script: &Script, folder: &Path, cut: usize) -> Ran {
    let line = command_line(&wrapped(script, true));
    let state = folder.join("state").display().to_string();
    let line = line
        .replace("/var/lib/lbctl", &state)
        .replace("/run/lbctl", &folder.join("run").display().to_string())
        .replace("/run/lock", &folder.join("lock").display().to_string())
        .replace(
            "PATH=/usr/local/sbin",
            &format!("PATH={}/bin:/usr/local/sbin", folder.display()),
        );
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(line)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let bytes = match &script.input {
        Input::Bytes(bytes) => bytes.to_vec(),
        Input::None | Input::File(_) => Vec::new(),
    };
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(&bytes[..bytes.len() - cut]).ok();
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = [output.stdout, output.stderr].concat();
    Ran {
        status: output.status.code().unwrap_or(-1),
        output: String::from_utf8_lossy(&text).into_owned(),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

#[test]
fn a_file_is_written_whole_with_its_mode_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("etc/it's here.yaml");
    let file = NodeFile::private(path.display().to_string(), "secret: 'x'\n$HOME `id`\n");
    let script = put_file(&file);

    let cut = run(&script, folder.path(), 3);
    assert_eq!(cut.status, 65, "{}", cut.output);
    assert!(cut.output.contains("not written"), "{}", cut.output);
    assert!(!path.exists());
    assert_eq!(
        names(&folder.path().join("etc")),
        Vec::<String>::new(),
        "no remains"
    );

    let whole = run(&script, folder.path(), 0);
    assert_eq!(whole.status, 0, "{}", whole.output);
    assert_eq!(
        std::fs::read_to_string(&path).expect("it exists"),
        file.content
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&path).expect("it exists").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        names(&folder.path().join("run")),
        Vec::<String>::new(),
        "no output is left"
    );
}

#[test]
fn what_was_there_before_is_kept_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, "theirs").expect("a file");
    for content in ["ours 1", "ours 2"] {
        let file = NodeFile::public(path.display().to_string(), content);
        assert_eq!(run(&put_file(&file), folder.path(), 0).status, 0);
    }
    let kept = folder
        .path()
        .join(format!("state/original{}", path.display()));
    assert_eq!(std::fs::read_to_string(kept).expect("it is kept"), "theirs");
    let ledger = std::fs::read_to_string(folder.path().join("state/ledger")).expect("a ledger");
    assert_eq!(ledger, format!("file {}\n", path.display()));
}

#[test]
fn the_report_of_a_real_machine_is_understood_and_knows_sums_without_reading() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("f").display().to_string();
    let file = NodeFile::public(path.clone(), "content");
    assert_eq!(run(&put_file(&file), folder.path(), 0).status, 0);
    let report = run(
        &facts(false, [path.as_str(), "/nowhere"].into_iter()),
        folder.path(),
        0,
    );
    let facts_of = |report: &Ran| {
        crate::core::facts::Facts::parse(&report.output)
            .unwrap_or_else(|failure| panic!("{failure}: {}", report.output))
    };
    let facts_read = facts_of(&report);
    assert_eq!(facts_read.files[&path].sha256, file.sha256());
    assert!(facts_read.ledger && !facts_read.files.contains_key("/nowhere"));
    assert!(facts_read.programs.contains_key("sha256sum"));

    // Same size, another time: it is read again.
    std::fs::write(&path, "CONTENT").expect("edited");
    let edited = facts_of(&run(
        &facts(false, [path.as_str()].into_iter()),
        folder.path(),
        0,
    ));
    assert_eq!(
        edited.files[&path].sha256,
        crate::digest::sha256(b"CONTENT")
    );
}

#[test]
fn further_names_are_the_same_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kube").display().to_string();
    let link = folder.path().join("bin/kubelet").display().to_string();
    assert_eq!(
        run(
            &put_file(&NodeFile::public(path.clone(), "kube")),
            folder.path(),
            0
        )
        .status,
        0
    );
    for _ in 0..2 {
        let linked = run(
            &hard_link(&path, std::slice::from_ref(&link)),
            folder.path(),
            0,
        );
        assert_eq!(linked.status, 0, "{}", linked.output);
    }
    let inode =
        |path: &str| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).expect("a file"));
    assert_eq!(inode(&path), inode(&link));
    let ledger = std::fs::read_to_string(folder.path().join("state/ledger")).expect("a ledger");
    assert_eq!(ledger, format!("file {path}\nfile {link}\n"));
}

#[test]
fn the_lock_is_for_one_and_says_who_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(folder.path().join("lock")).expect("a folder");
    let mut holder = Command::new("sh")
        .arg("-c")
        .arg(
            command_line(&wrapped(&hold_lock("ann (pid 1)"), true))
                .replace(
                    "/run/lbctl",
                    &folder.path().join("run").display().to_string(),
                )
                .replace(
                    "/run/lock",
                    &folder.path().join("lock").display().to_string(),
                ),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let mut line = [0; 6];
    let mut stdout = holder.stdout.take().expect("it is piped");
    std::io::Read::read_exact(&mut stdout, &mut line).expect("it says ready");
    assert_eq!(&line, b"ready\n");

    let second = run(&hold_lock("bob"), folder.path(), 0);
    assert_eq!(
        (second.status, second.output.trim()),
        (LOCK_TAKEN, "ann (pid 1)")
    );

    // The first one is gone, however it went.
    drop(holder.stdin.take());
    holder.wait().expect("it ends");
    let third = run(&hold_lock("bob"), folder.path(), 0);
    assert_eq!((third.status, third.output.as_str()), (0, "ready\n"));
}

#[test]
fn a_step_that_ends_badly_shows_its_words_and_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = Script::change("x", "set -e; echo one; echo two >&2; exit 3");
    let ran = run(&script, folder.path(), 0);
    assert_eq!((ran.status, ran.output.as_str()), (3, "one\ntwo\n"));
    let unknown = Script::change("x", "no-such-program-here");
    assert_eq!(run(&unknown, folder.path(), 0).status, 126);
}

#[test]
fn another_user_than_root_goes_through_sudo_without_a_password() {
    let words = wrapped(&Script::query("x", "id -u").arg("a b"), false);
    assert_eq!(words[..3], ["sudo", "-n", "--"]);
    assert_eq!(words.last().map(String::as_str), Some("a b"));
}

/// `lbnode` for these tests: says how it was called.
const PROGRAM: &[u8] = b"#!/bin/sh\necho \"{\\\"words\\\":\\\"$*\\\"}\"\n";

fn line_in(folder: &Path, script: &Script) -> String {
    let run = folder.join("run").display().to_string();
    command_line(&wrapped(script, true))
        .replace("/run/lbctl", &run)
        .replace("/var/tmp", &run)
        .replace("/root", &run)
}

#[test]
fn a_program_for_probes_is_there_as_long_as_its_script() {
    let folder = tempfile::tempdir().expect("a folder");
    let sum = crate::digest::sha256(PROGRAM);
    let size = PROGRAM.len() as u64;
    let bring = bring_probe("r1", "unused".into(), &sum, size);
    let begin = |cut: usize| {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(line_in(folder.path(), &bring))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin
            .write_all(&PROGRAM[..PROGRAM.len() - cut])
            .expect("it listens");
        (child, stdin)
    };
    let (mut child, stdin) = begin(0);
    let mut ready = [0; 6];
    let mut stdout = child.stdout.take().expect("it is piped");
    std::io::Read::read_exact(&mut stdout, &mut ready).expect("it says ready");
    assert_eq!(&ready, b"ready\n");

    let words = ["vip", "--address", "10.0.0.1"].map(str::to_owned);
    let ask = |run: &str| {
        let line = line_in(folder.path(), &probe("probe-vip", run, &words));
        let output = Command::new("sh").arg("-c").arg(line).output();
        output.expect("sh runs")
    };
    let answer = ask("r1");
    assert_eq!(
        String::from_utf8_lossy(&answer.stdout),
        "{\"words\":\"probe vip --address 10.0.0.1\"}\n"
    );
    let stranger = ask("r2");
    assert_eq!(stranger.status.code(), Some(69));

    // The caller is gone, however it went.
    drop(stdin);
    child.wait().expect("it ends");
    assert!(!folder.path().join("run").exists(), "nothing is left");
    assert_eq!(ask("r1").status.code(), Some(69));

    let (child, stdin) = begin(3);
    drop(stdin);
    let cut = child.wait_with_output().expect("it ends");
    assert_eq!(cut.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&cut.stderr).contains("did not arrive whole"));
    assert!(!folder.path().join("run").exists(), "nothing is left");
}

#[test]
fn a_program_for_probes_goes_when_its_script_is_ended_by_a_signal() {
    let folder = tempfile::tempdir().expect("a folder");
    let bring = bring_probe("r1", "unused".into(), "", 0);
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!("exec {}", line_in(folder.path(), &bring)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let stdin = child.stdin.take().expect("it is piped");
    let mut ready = [0; 6];
    let mut stdout = child.stdout.take().expect("it is piped");
    std::io::Read::read_exact(&mut stdout, &mut ready).expect("it says ready");
    assert!(folder.path().join("run/lbctl-probe-r1/lbnode").is_symlink());
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(killed.expect("kill runs").success());
    drop(stdin);
    child.wait().expect("it ends");
    assert!(!folder.path().join("run").exists(), "nothing is left");
}

/// A unit that runs: what systemd says of it as it was, and what is done by the script.
#[test]
fn a_unit_that_runs_is_changed_without_an_interruption() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display();
    std::fs::create_dir(folder.path().join("state")).expect("a folder");
    let unit = "[Service]\nExecStart=true\nExecStart=ip -4 route replace 10.244.1.0/24 via 10.10.0.12\n\
        ExecStop=-ip -4 route del 10.244.1.0/24 via 10.10.0.12\n";
    std::fs::write(folder.path().join("routes.service"), unit).expect("a file");
    let stubs = format!(
        "ip() {{ echo \"ip $*\" >>{at}/calls; }}\n\
         systemctl() {{\n\
         [ \"$1\" != show ] || {{\n\
         echo '{{ path=/usr/sbin/ip ; argv[]=ip -4 route del 10.244.1.0/24 via 10.10.0.12 ; ignore_errors=yes ; pid=0 }}'\n\
         echo '{{ path=/usr/sbin/ip ; argv[]=ip -4 route del 10.244.2.0/24 via 10.10.0.13 ; ignore_errors=yes ; pid=0 }}'\n\
         }}\n\
         echo \"systemctl $1\" >>{at}/calls; }}\n"
    );
    let mut script = start_unit("routes.service");
    script.body = format!("{stubs}{}", script.body).replace("/etc/systemd/system", &at.to_string());
    let ran = run(&script, folder.path(), 0);
    assert_eq!(ran.status, 0, "{}", ran.output);
    let calls = std::fs::read_to_string(folder.path().join("calls")).expect("calls");
    assert_eq!(
        calls.lines().collect::<Vec<_>>(),
        [
            "systemctl show",
            "systemctl daemon-reload",
            "systemctl enable",
            "systemctl is-active",
            "ip -4 route replace 10.244.1.0/24 via 10.10.0.12",
            "ip -4 route del 10.244.2.0/24 via 10.10.0.13",
        ]
    );
}

#[test]
fn settings_are_printed_with_the_name_of_their_file() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("vrrp.yaml"), "a: 1\nb: |\n  c\n").expect("a file");
    let mut script = read_settings();
    script.body = script
        .body
        .replace("/etc/lbnode", &folder.path().display().to_string())
        .replace("lbnode version", "echo 'lbnode 0.1.0 (commit a, x)'");
    let ran = run(&script, folder.path(), 0);
    assert_eq!(
        (ran.status, ran.output.as_str()),
        (
            0,
            "vrrp|a: 1\nvrrp|b: |\nvrrp|  c\nlbnode|lbnode 0.1.0 (commit a, x)\n"
        )
    );
}
