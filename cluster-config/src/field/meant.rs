//! What the author of a malformed address or range probably meant.

/// A guess that would be accepted, and why the text was not.
pub(super) struct Meant {
    pub(super) why: &'static str,
    pub(super) hint: String,
}

type Attempt = (&'static str, fn(&str) -> Option<String>);

/// Typical mistakes, each with its repair.
const ATTEMPTS: &[Attempt] = &[
    ("it has blanks", |text| Some(unspaced(text))),
    ("its dash is not the plain `-`", |text| {
        const DASHES: [char; 7] = [
            '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}',
        ];
        Some(unspaced(&text.replace(DASHES, "-")))
    }),
    ("its quotes are not plain ones", |text| {
        const QUOTES: [char; 8] = ['“', '”', '„', '‟', '‘', '’', '«', '»'];
        Some(text.trim_matches(QUOTES).to_owned())
    }),
    ("a comment needs a space before its `#`", |text| {
        Some(text.split_once('#')?.0.trim_end().to_owned())
    }),
    ("an address has no scheme", |text| {
        Some(text.split_once("://")?.1.trim_end_matches('/').to_owned())
    }),
    ("an address has no port", |text| {
        Some(text.rsplit_once(':')?.0.to_owned())
    }),
    ("its numbers are separated by commas", |text| {
        (!text.contains('.')).then(|| text.replace(',', "."))
    }),
    ("both ends of a range are whole addresses", |text| {
        let (first, last) = text.split_once('-')?;
        let (network, _) = first.rsplit_once('.')?;
        (!last.contains('.')).then(|| format!("{first}-{network}.{last}"))
    }),
];

/// Looks for a repair that fits.
pub(super) fn meant(text: &str, fits: impl Fn(&str) -> bool) -> Option<Meant> {
    // Longer than any address or range.
    if text.len() > 200 {
        return None;
    }
    let several: Vec<&str> = text.split(',').map(str::trim).collect();
    if several.len() > 1 && several.iter().all(|part| fits(part)) {
        let lines: Vec<String> = several.iter().map(|part| format!("`- {part}`")).collect();
        return Some(Meant {
            why: "several stand on one line",
            hint: format!("write each on a line of its own: {}", lines.join(", ")),
        });
    }
    ATTEMPTS.iter().find_map(|(why, repair)| {
        let repaired = repair(text).filter(|repaired| repaired != text && fits(repaired))?;
        Some(Meant {
            why,
            hint: format!("write `{repaired}`"),
        })
    })
}

/// Whether the text waits for somebody to fill it in.
pub(super) fn is_placeholder(text: &str) -> bool {
    let capitals = |text: &str| {
        text.len() > 2
            && text.starts_with(|c: char| c.is_ascii_uppercase())
            && text
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let marked = |open, close| text.starts_with(open) && text.ends_with(close);
    marked("${", "}")
        || marked("{{", "}}")
        || marked("<", ">")
        || marked("$(", ")")
        || text
            .strip_prefix('$')
            .unwrap_or(text)
            .split('-')
            .all(capitals)
}

fn unspaced(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::IpRange;

    #[test]
    fn typical_mistakes_are_repaired() {
        let range = |text: &str| text.parse::<IpRange>().is_ok();
        for (text, hint) in [
            (" 10.0.0.1", "write `10.0.0.1`"),
            ("10.0.0.1 - 10.0.0.9", "write `10.0.0.1-10.0.0.9`"),
            ("10.0.0.1–10.0.0.9", "write `10.0.0.1-10.0.0.9`"),
            ("10.0.0.1 — 10.0.0.9", "write `10.0.0.1-10.0.0.9`"),
            ("“10.0.0.1”", "write `10.0.0.1`"),
            ("10.0.0.1# api", "write `10.0.0.1`"),
            ("https://10.0.0.1/", "write `10.0.0.1`"),
            ("10.0.0.1:443", "write `10.0.0.1`"),
            ("10,0,0,1", "write `10.0.0.1`"),
            ("10.0.0.1-9", "write `10.0.0.1-10.0.0.9`"),
            (
                "10.0.0.1, 10.0.0.2",
                "write each on a line of its own: `- 10.0.0.1`, `- 10.0.0.2`",
            ),
        ] {
            let found = meant(text, range).map(|meant| meant.hint);
            assert_eq!(found.as_deref(), Some(hint), "{text}");
        }
        for text in ["", "10.0.0", "10.0.0.9-1", "10.0.0.256", "node-1", "::g"] {
            assert!(meant(text, range).is_none(), "{text}");
        }
    }

    #[test]
    fn placeholders_are_told_from_addresses() {
        for text in [
            "CONTROL_PLANE_VIP",
            "FIRST_ADDRESS-LAST_ADDRESS",
            "WORKER_1",
            "${VIP}",
            "$VIP",
            "{{ vip }}",
            "<vip>",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["10.0.0.1", "FD00::1", "fd00::1", "node-1", "", "-", "$"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
