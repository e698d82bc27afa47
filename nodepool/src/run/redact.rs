//! Keeps secrets out of logs and messages: those of this run by value, others by their form.

use crate::manifest::kubeadm::JoinSecrets;

/// How a web token begins, and PEM in base64: `{"`, `-----BEGIN`.
const BLOBS: [&str; 2] = ["eyJ", "LS0tLS1CRUdJTi"];

/// Replaces secrets in text.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    values: Vec<String>,
}

const HIDDEN: &str = "(hidden)";
/// YAML and JSON keys whose values are secret wherever they appear.
const SECRET_KEYS: [&str; 9] = [
    "client-key-data",
    "client-certificate-data",
    "certificate-authority-data",
    "Authorization",
    "token-secret",
    "certificateKey",
    "tlsBootstrapToken",
    "password",
    "token",
];

impl Redactor {
    /// Knows the secrets of this run.
    pub fn new(secrets: Option<&JoinSecrets>) -> Self {
        let values = secrets.map(|secrets| {
            vec![
                secrets.token.clone(),
                secrets.token_parts().1.to_owned(),
                secrets.certificate_key.clone(),
            ]
        });
        Self {
            values: values.unwrap_or_default(),
        }
    }

    /// The text without secrets.
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            text = text.replace(value, HIDDEN);
        }
        let mut clean = String::with_capacity(text.len());
        let mut in_key = false;
        for line in text.split_inclusive('\n') {
            if line.contains("-----BEGIN ") {
                in_key = true;
                clean.push_str(HIDDEN);
                clean.push('\n');
            }
            if !in_key {
                clean.push_str(&line_without_secrets(&without_quoted(line)));
            }
            if line.contains("-----END ") {
                in_key = false;
            }
        }
        clean
    }
}

/// Hides `"token":"…"` wherever it stands in a line, also where JSON is quoted inside of JSON.
fn without_quoted(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    loop {
        let values = SECRET_KEYS.iter().filter_map(|key| quoted_value(rest, key));
        let Some((begin, end)) = values.min() else {
            clean.push_str(rest);
            return clean;
        };
        clean.push_str(&rest[..begin]);
        clean.push_str(HIDDEN);
        rest = &rest[end..];
    }
}

/// Where the first quoted value of this key begins and ends.
fn quoted_value(line: &str, key: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = line[from..].find(key) {
        let after = from + found + key.len();
        from = after;
        let tail = line[after..].trim_start_matches('\\');
        let Some(tail) = tail.strip_prefix('"') else {
            continue;
        };
        let Some(tail) = tail.trim_start().strip_prefix(':') else {
            continue;
        };
        let tail = tail.trim_start().trim_start_matches('\\');
        let Some(value) = tail.strip_prefix('"') else {
            continue;
        };
        let begin = line.len() - value.len();
        let length = value.find(['"', '\\']).unwrap_or(value.len());
        if length > 0 && !value.starts_with(HIDDEN) {
            return Some((begin, begin + length));
        }
    }
    None
}

fn line_without_secrets(line: &str) -> String {
    for key in SECRET_KEYS {
        // At the beginning of a line, after indentation, quotes or a list dash.
        let trimmed = line.trim_start_matches([' ', '\t', '-', '"', '{', '\'']);
        let rest = trimmed
            .strip_prefix(key)
            .map(|rest| rest.trim_start_matches(['"', '\'']));
        if let Some(value) = rest.and_then(|rest| rest.strip_prefix(':'))
            && !value.trim().is_empty()
            && !value.contains(HIDDEN)
        {
            let head = &line[..line.len() - value.len()];
            let end = if line.ends_with('\n') { "\n" } else { "" };
            return format!("{head} {HIDDEN}{end}");
        }
    }
    let mut clean = String::with_capacity(line.len());
    let mut word = String::new();
    let mut before = String::new();
    for c in line.chars().chain(std::iter::once('\0')) {
        let blob = BLOBS.iter().any(|begin| word.starts_with(begin));
        if c.is_ascii_alphanumeric() || c == '.' || (blob && "-_+/=".contains(c)) {
            word.push(c);
            continue;
        }
        if secret_word(&word, &before) {
            clean.push_str(HIDDEN);
        } else {
            clean.push_str(&word);
        }
        if c != '\0' {
            clean.push(c);
        }
        if !word.is_empty() {
            before = std::mem::take(&mut word);
        }
    }
    clean
}

/// A bootstrap token, a web token, PEM in base64, or 32 bytes in hex that are no checksum.
fn secret_word(word: &str, before: &str) -> bool {
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if BLOBS.iter().any(|begin| word.starts_with(begin)) {
        return true;
    }
    let token = word.split_once('.').is_some_and(|(id, secret)| {
        id.len() == 6 && secret.len() == 16 && id.chars().chain(secret.chars()).all(lower)
    });
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let key = word.len() == 64 && word.chars().all(hex) && before != "sha256";
    token || key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_by_value_and_by_form() {
        let key = "0f".repeat(32);
        let secrets = JoinSecrets {
            token: "abcdef.0123456789abcdef".to_owned(),
            certificate_key: key.clone(),
        };
        let text = format!(
            "kubeadm join 10.10.0.100:443 --token zyxwvu.9876543210zyxwvu --certificate-key {}\n\
             using abcdef.0123456789abcdef and {key}\n\
             client-key-data: LS0tLS1CRUdJTiBSU0E=\n\
             \x20 - token: plain\n\
             -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter\n",
            "ab".repeat(32)
        );
        let clean = Redactor::new(Some(&secrets)).clean(&text);
        for secret in [
            "9876543210",
            "0123456789abcdef",
            key.as_str(),
            &"ab".repeat(32),
            "LS0t",
            "plain",
            "MIIE",
        ] {
            assert!(!clean.contains(secret), "{secret} in {clean}");
        }
        assert!(clean.contains("kubeadm join 10.10.0.100:443 --token (hidden)"));
        assert!(clean.ends_with("(hidden)\nafter\n"), "{clean}");
    }

    #[test]
    fn web_tokens_and_certificates_are_hidden_in_the_middle_of_a_line() {
        let text = "got {\"a\":1,\"token\":\"eyJhbGci.eyJpc3Mi-x_y.c2ln-_s\"} for x\n\
             ca: LS0tLS1CRUdJTiBDRVJU+a/b=\n\
             -----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\nafter\n";
        assert_eq!(
            Redactor::default().clean(text),
            "got {\"a\":1,\"token\":\"(hidden)\"} for x\nca: (hidden)\n(hidden)\nafter\n"
        );
    }

    #[test]
    fn quoted_secrets_are_hidden_wherever_they_stand() {
        let text = r#"a {"x":"y","password" : "p1","token":"t1"} {\"token\":\"t2\",\"b\":\"c\"} token "z" here"#;
        assert_eq!(
            Redactor::default().clean(text),
            r#"a {"x":"y","password" : "(hidden)","token":"(hidden)"} {\"token\":\"(hidden)\",\"b\":\"c\"} token "z" here"#
        );
    }

    #[test]
    fn checksums_and_ordinary_words_stay() {
        let sum = "cd".repeat(32);
        let text = format!(
            "imported sha256:{sum}\nwrote /x, sha256 {sum}\nk8s.gcr.io etcd.yaml 10.10.0.11\n"
        );
        assert_eq!(Redactor::default().clean(&text), text);
    }
}
