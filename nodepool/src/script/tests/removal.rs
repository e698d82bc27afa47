//! What ends a router, and what a reset leaves alone.

use super::*;

#[test]
fn a_router_that_has_stopped_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifests = folder.path().display().to_string();
    std::fs::write(folder.path().join("lb-vrrp.yaml"), "pod").expect("a file");
    let mut script = stop_router(["10.10.0.100".parse().expect("an address")].into_iter());
    let stubs = "ip() { echo '2: eth0 inet 10.10.0.11/24'; }\nlbnode() { return 1; }\n\
        systemctl() { return \"${inactive:-0}\"; }\n\
        ctr() { [ \"$4\" = ls ] && echo c1 || echo \"ctr $*\"; }\n";
    script.body =
        format!("{stubs}{}", script.body).replace("/etc/kubernetes/manifests", &manifests);
    let ran = run(&script, folder.path(), 0);
    assert_eq!(
        (ran.status, ran.output.as_str()),
        (0, "the router has stopped\n")
    );
    let mut alone = script.clone();
    alone.body = format!("inactive=3\n{}", script.body);
    let ran = run(&alone, folder.path(), 0);
    assert_eq!(
        (ran.status, ran.output.as_str()),
        (
            0,
            "ctr -n k8s.io tasks kill -s TERM c1\nthe router has stopped\n"
        ),
        "nobody else ends it"
    );
    assert!(!folder.path().join("lb-vrrp.yaml").exists());
    // One that keeps its address: the test does not wait as long as an operator would.
    script.body = script
        .body
        .replace("10.10.0.11/24", "10.10.0.100/32")
        .replace("-ge 450", "-ge 2");
    let ran = run(&script, folder.path(), 0);
    assert_eq!(ran.status, 1, "{}", ran.output);
    assert!(
        ran.output.contains("does the kubelet run?"),
        "{}",
        ran.output
    );
}

/// The last part of a reset, on a folder with volumes that a stub unmounts.
#[test]
fn data_in_volumes_outlives_a_reset() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().canonicalize().expect("a path");
    let (kubelet, mounts) = (at.join("kubelet"), at.join("mounts"));
    let table = format!(
        "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 {k} xfs rw 0 0\nnfs:/a {k}/pods/1/a\\040b nfs rw 0 0\n\
         tmpfs {k}/pods/1 tmpfs rw 0 0\ntmpfs {k}2/x tmpfs rw 0 0\n",
        k = kubelet.display()
    );
    let whole = reset(std::iter::empty()).body;
    let (_, part) = whole.split_once("\n# Volumes of pods").expect("a part");
    let fits = |body: &str| {
        body.replace("/var/lib/kubelet", &kubelet.display().to_string())
            .replace("/proc/self/mounts", &mounts.display().to_string())
    };
    let try_with = |umount: &str| {
        std::fs::create_dir_all(kubelet.join("pods/1/a b")).expect("a folder");
        std::fs::write(kubelet.join("pods/1/a b/data"), "theirs").expect("a file");
        std::fs::write(&mounts, &table).expect("a table");
        let stubs = format!("note() {{ echo \"$*\"; }}\ntimeout() {{ shift 2; {umount}; }}\n#");
        let script = Script::change("reset", format!("{stubs}{}", fits(part)));
        let ran = run(&script, folder.path(), 0);
        assert_eq!(ran.status, 0, "{}", ran.output);
        ran.output.replace(&kubelet.display().to_string(), "K")
    };
    let busy = try_with("return 32");
    assert_eq!(
        busy,
        "cannot unmount K/pods/1/a b\ncannot unmount K/pods/1\n"
    );
    assert!(kubelet.join("pods/1/a b/data").exists(), "it is kept");
    let mut look = leftovers(std::iter::empty());
    let from = look.body.find("kubelet=").expect("a part");
    let until = look
        .body
        .find("if systemctl is-active -q containerd")
        .expect("its end");
    look.body = fits(&look.body[from..until]);
    let left = run(&look, folder.path(), 0).output;
    assert_eq!(left.lines().count(), 2, "{left}");
    assert!(left.starts_with("mount "), "{left}");

    let done = try_with(&format!(
        "echo \"$1\"; grep -v kubelet/ {m} >{m}.new; mv {m}.new {m}",
        m = mounts.display()
    ));
    assert_eq!(done, "K/pods/1/a b\nK/pods/1\n", "deepest first");
    assert_eq!(names(&kubelet), Vec::<String>::new());
}
