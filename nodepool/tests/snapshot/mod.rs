//! `lbctl snapshot`: everything in one archive, whoever does not answer, and no secret.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::json;

use crate::site::Site;

const FILE: &str = include_str!("../../../examples/three-control-planes.yaml");

/// What must be nowhere in an archive, and how a careless program would say it.
const SECRETS: [(&str, &str); 9] = [
    (
        "MIIEowIBAAKC",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKC\n-----END RSA PRIVATE KEY-----",
    ),
    (
        "MIIC1zCCAb+g",
        "-----BEGIN CERTIFICATE-----\nMIIC1zCCAb+g\n-----END CERTIFICATE-----",
    ),
    (
        "0123456789abcdef",
        "I1122 kubeadm join 10.10.0.100:443 --token abcdef.0123456789abcdef",
    ),
    (
        "c0ffee",
        "--certificate-key c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff",
    ),
    (
        "b29wcw",
        r#"{"level":"info","token":"eyJhbGciOiJSUzI1NiIs.eyJpc3MiOiJr-dWJl.b29wcw_x"}"#,
    ),
    ("S0VZLURBVEE", "    client-key-data: S0VZLURBVEE="),
    (
        "LS0tLS1CRUdJTi",
        "ca LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t/+a=",
    ),
    ("hunter2", "    password: hunter2"),
    ("s3cr3t", "  \"token\": \"s3cr3t\","),
];

/// The files of an archive.
fn unpacked(archive: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(archive).expect("an archive");
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut files = BTreeMap::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let (_, path) = path.split_once('/').expect("a folder for all of it");
        let path = path.to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        assert!(files.insert(path.clone(), text).is_none(), "twice: {path}");
    }
    files
}

#[tokio::test(start_paused = true)]
async fn all_that_is_said_is_in_it_and_no_secret() {
    let site = Site::new(FILE);
    site.create().await.expect("the cluster is made");
    let careless: Vec<&str> = SECRETS.iter().map(|(_, words)| *words).collect();
    let careless = careless.join("\n");
    {
        let mut inner = site.inner();
        for machine in inner.machines.values_mut() {
            machine.says = careless.clone();
        }
        let object = json!({
            "metadata": {"name": "e", "annotations": {"note": careless}, "managedFields": []},
            "token": "s3cr3t",
            "message": careless,
        });
        inner.collected = vec![object];
        inner.dark.insert(IpAddr::from([10, 10, 0, 13]));
    }
    let taken = site.snapshot(&careless).await.expect("it is written");
    assert_eq!(taken.missing, ["10.10.0.13"]);
    let mode = std::fs::metadata(&taken.archive)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let files = unpacked(&taken.archive);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "README",
            "api/events.json",
            "cluster.yaml",
            "nodes/10.10.0.11/logs/kubelet.log",
            "nodes/10.10.0.11/system",
            "nodes/10.10.0.12/logs/kubelet.log",
            "nodes/10.10.0.12/system",
            "nodes/10.10.0.13/unreachable",
            "status",
            "status.json",
        ]
    );
    assert!(files["nodes/10.10.0.13/unreachable"].contains("No route to host"));
    assert!(files["nodes/10.10.0.11/system"].contains("the machine m0"));
    assert!(files["status"].contains("10.10.0.13"));
    for (name, text) in &files {
        for (secret, _) in SECRETS {
            assert!(!text.contains(secret), "{secret} is in {name}:\n{text}");
        }
    }
    // What the run itself has written down.
    let logs = site.logs();
    assert!(
        !logs.contains("hunter2") && !logs.contains("the machine m0"),
        "{logs}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_cluster_it_holds_what_there_is() {
    let site = Site::new(FILE);
    let taken = site.snapshot("").await.expect("it is written");
    assert_eq!(taken.missing, Vec::<String>::new());
    let files = unpacked(&taken.archive);
    assert!(files["api/unreachable"].contains("no kubeconfig"));
    assert_eq!(
        files
            .keys()
            .filter(|name| name.starts_with("nodes/"))
            .count(),
        6
    );
}
