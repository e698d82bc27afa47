//! What a machine says of its certificates.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn certificates_are_printed_in_one_line_each_and_no_key_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = folder.path().join("pki");
    std::fs::create_dir_all(pki.join("etcd")).expect("a folder");
    let block =
        |kind: &str, body: &str| format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n");
    let both = block("PRIVATE KEY", "c2VjcmV0") + &block("CERTIFICATE", "Zmly\nc3Q=");
    let both = both + &block("CERTIFICATE", "c2Vjb25k");
    for (name, text) in [
        ("ca.crt", both.as_str()),
        ("ca.key", "c2VjcmV0"),
        ("etcd/ca.crt", ""),
    ] {
        let path = pki.join(name);
        std::fs::write(&path, text).expect("a file");
        let mode = Permissions::from_mode(0o644);
        std::fs::set_permissions(path, mode).expect("chmod");
    }
    let mut script = read_certificates();
    let at = |path: &Path| path.display().to_string();
    script.body = script
        .body
        .replace("/etc/kubernetes/pki", &at(&pki))
        .replace("/etc/lbnode", &at(&folder.path().join("none")));
    let ran = run(&script, folder.path(), 0);
    let expected = format!(
        "cert 644 {} Zmlyc3Q=\ncert 644 {} \n",
        at(&pki.join("ca.crt")),
        at(&pki.join("etcd/ca.crt"))
    );
    assert_eq!((ran.status, ran.output.as_str()), (0, expected.as_str()));
}
