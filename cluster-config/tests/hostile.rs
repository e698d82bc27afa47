//! Input that was made to hurt: an answer within a second or so, never a crash.

use std::time::{Duration, Instant};

use cluster_config::{Code, load};

const SMALL: &str = include_str!("../../examples/three-control-planes.yaml");

#[test]
fn hostile_files_get_an_error_and_soon() {
    let million = 1 << 20;
    let deep_block: String = (0..1_500)
        .map(|level| format!("{:level$}a:\n", ""))
        .collect();
    let cases: Vec<(&str, String, Code)> = vec![
        ("10 MB of brackets", "[".repeat(10 * million), Code::Y07),
        ("brackets", "[".repeat(3 * million), Code::Y06),
        ("braces", "{a: ".repeat(million), Code::Y06),
        ("alternating", "[{a: ".repeat(million / 2), Code::Y06),
        ("indentation", deep_block, Code::Y06),
        ("dashes", "- ".repeat(million), Code::Y06),
        ("question marks", "? ".repeat(million), Code::Y06),
        (
            "many values",
            format!("a: [{}]", "x,".repeat(million)),
            Code::Y07,
        ),
        (
            "many keys",
            (0..200_000).map(|n| format!("k{n}: v\n")).collect(),
            Code::V01,
        ),
        ("many documents", "---\na: b\n".repeat(200_000), Code::F08),
        (
            "one long key",
            format!("{}: x", "k".repeat(3 * million)),
            Code::V02,
        ),
        (
            "one long value",
            format!("kind: {}", "k".repeat(3 * million)),
            Code::F08,
        ),
        ("laughing aliases", laughs(), Code::Y05),
        ("nul bytes", "\0".repeat(million), Code::V02),
        ("quotes", "\"".repeat(million), Code::V02),
        ("a file of tabs", "\t".repeat(million), Code::F08),
        ("comments", "# x\n".repeat(million), Code::F08),
        ("nothing", String::new(), Code::F08),
        ("anchors", "&a ".repeat(million), Code::V02),
        ("tags", "!a ".repeat(million), Code::V02),
        ("directives", "%YAML 1.2\n".repeat(million / 4), Code::Y08),
    ];
    for (name, text, code) in cases {
        let start = clock();
        let loaded = load(&text, "hostile.yaml");
        let took = clock() - start;
        let codes: Vec<&str> = loaded
            .diagnostics
            .iter()
            .map(|found| found.code.as_str())
            .take(5)
            .collect();
        assert!(codes.contains(&code.as_str()), "{name}: {codes:?}");
        assert!(loaded.cluster.is_none(), "{name}");
        assert!(loaded.diagnostics.len() <= 1_000, "{name}");
        // Generous: an unoptimised build on a busy machine.
        assert!(took < Duration::from_secs(20), "{name}: {took:?}");
    }
}

#[test]
fn many_of_everything_is_judged_in_less_than_quadratic_time() {
    let nodes: String = (0..100_000_u32)
        .map(|n| {
            format!(
                "      - address: 11.{}.{}.{}\n",
                n >> 16,
                (n >> 8) & 255,
                n & 255
            )
        })
        .collect();
    let many_nodes = SMALL.replace("      - address: 10.10.0.11\n", &nodes);
    let pools: String = (0..60_000_u32)
        .map(|n| format!("      - 12.{}.{}.{}/32\n", n >> 16, (n >> 8) & 255, n & 255))
        .collect();
    let many_ranges = SMALL.replace("      - 10.10.0.200-10.10.0.239\n", &pools);
    let same: String = "      - 10.10.0.200-10.10.0.239\n".repeat(50_000);
    let same_ranges = SMALL.replace("      - 10.10.0.200-10.10.0.239\n", &same);
    for (name, text) in [
        ("nodes", many_nodes),
        ("ranges", many_ranges),
        ("the same range", same_ranges),
    ] {
        let start = clock();
        let loaded = load(&text, "large.yaml");
        let took = clock() - start;
        assert!(!loaded.diagnostics.is_empty(), "{name}");
        assert!(took < Duration::from_secs(30), "{name}: {took:?}");
    }
}

#[test]
fn any_byte_removed_or_doubled_is_no_panic_and_every_place_lies_in_the_file() {
    for at in (0..SMALL.len()).filter(|at| SMALL.is_char_boundary(*at)) {
        let (before, after) = SMALL.split_at(at);
        let next = after.chars().next().map_or(0, char::len_utf8);
        for text in [
            before.to_owned(),
            format!("{before}{}", &after[next..]),
            format!("{before}{}{after}", &after[..next]),
            format!("{before}\t{after}"),
            format!("{before}\u{1F600}{after}"),
        ] {
            let lines = text.lines().count().max(1);
            for found in load(&text, "cut.yaml").diagnostics {
                assert!((1..=lines + 1).contains(&found.place.line), "{found:?}");
            }
        }
    }
}

fn laughs() -> String {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..30 {
        let refs = vec![format!("*a{}", n - 1); 10].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{refs}]\n"));
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "measures the check itself")]
fn clock() -> Instant {
    Instant::now()
}
