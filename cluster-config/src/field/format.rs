//! Formats of texts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::meant::{is_placeholder, meant};
use crate::net::{IpRange, RangeError};

/// Format of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Any text but the empty one.
    Text,
    /// Any text.
    Anything,
    /// DNS label (RFC 1123).
    Label,
    /// Key of a Kubernetes label.
    LabelKey,
    /// Value of a Kubernetes label.
    LabelValue,
    /// IPv4 address.
    Ipv4,
    /// IPv6 address.
    Ipv6,
    /// CIDR of either family.
    Cidr,
    /// CIDR, `a-b` or a single address of either family.
    Range,
    /// DNS name or address.
    San,
    /// Name of a network interface.
    Interface,
    /// Name of a network interface or `/regex/`.
    InterfacePattern,
    /// `1.2.3` or `1.2.3-gke.4`.
    Version,
    /// Name of a Unix user.
    User,
    /// `http://…` or `https://…`.
    Url,
    /// Path of a private SSH key.
    PrivateKeyPath,
}

/// What is wrong with a text, and how to mend it.
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) hint: String,
}

fn complaint(message: impl Into<String>, hint: impl Into<String>) -> Complaint {
    Complaint {
        message: message.into(),
        hint: hint.into(),
    }
}

impl Format {
    /// Whether an unquoted number or truth value can be nothing but a mistake.
    pub(crate) const fn is_literal_text(self) -> bool {
        !matches!(self, Self::Ipv4 | Self::Ipv6 | Self::Cidr | Self::Range)
    }

    /// What is expected, in words.
    pub(crate) const fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::Anything => "text",
            Self::Label => "a name of lower-case letters, digits and `-`",
            Self::LabelKey => "a Kubernetes label key",
            Self::LabelValue => "a Kubernetes label value",
            Self::Ipv4 => "an IPv4 address",
            Self::Ipv6 => "an IPv6 address",
            Self::Cidr => "a CIDR such as `10.0.0.0/16`",
            Self::Range => "a CIDR, `start-end` or an address",
            Self::San => "a DNS name or an IP address",
            Self::Interface => "the name of a network interface",
            Self::InterfacePattern => "the name of a network interface or `/regex/`",
            Self::Version => "a version such as `1.33.0`",
            Self::User => "the name of a user",
            Self::Url => "a URL such as `http://proxy.example:3128`",
            Self::PrivateKeyPath => "the path of a private SSH key",
        }
    }

    /// Pattern for JSON Schema, where one exists.
    pub(crate) const fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Anything => None,
            Self::Text | Self::Version | Self::Url | Self::PrivateKeyPath => Some("\\S"),
            Self::Label => Some("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"),
            Self::LabelKey => {
                Some("^([-a-z0-9.]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
            }
            Self::LabelValue => Some("^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"),
            Self::Ipv4 => Some(IPV4),
            Self::Ipv6 => Some("^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$"),
            Self::Cidr => Some("^[0-9A-Fa-f:.]+/[0-9]{1,3}$"),
            Self::Range => Some("^[0-9A-Fa-f:.]+(/[0-9]{1,3}|-[0-9A-Fa-f:.]+)?$"),
            Self::San => Some("^(\\*\\.)?[-A-Za-z0-9_.:]+$"),
            Self::Interface => Some("^[^\\s/:]{1,15}$"),
            Self::InterfacePattern => Some("^([^\\s/:]{1,15}|/[\\s\\S]+/)$"),
            Self::User => Some("^[a-z_][-a-z0-9_.]{0,31}$"),
        }
    }

    /// Judges a text.
    pub(crate) fn check(self, text: &str) -> Result<(), Complaint> {
        let wrong = |hint: &str| {
            Err(complaint(
                format!("`{text}` is not {}", self.expected()),
                hint,
            ))
        };
        match self {
            Self::Anything => Ok(()),
            Self::Text if text.trim().is_empty() => Err(complaint(
                "the text is empty",
                "write a value or remove the key",
            )),
            Self::Text => Ok(()),
            Self::Label if is_label(text) => Ok(()),
            Self::Label => wrong(
                "use 1 to 63 lower-case letters, digits and `-`; begin and end with a letter or digit",
            ),
            Self::LabelKey if is_label_key(text) => Ok(()),
            Self::LabelKey => wrong(
                "write `name` or `prefix.example/name`; the name has at most 63 letters, digits, `-`, `_`, `.`",
            ),
            Self::LabelValue if text.is_empty() || is_qualified(text) => Ok(()),
            Self::LabelValue => wrong(
                "use at most 63 letters, digits, `-`, `_`, `.`; begin and end with a letter or digit",
            ),
            Self::Ipv4 => text
                .parse::<Ipv4Addr>()
                .map(drop)
                .map_err(|_| address_complaint(text, self, "192.0.2.10")),
            Self::Ipv6 => text
                .parse::<Ipv6Addr>()
                .map(drop)
                .map_err(|_| address_complaint(text, self, "fd00::10")),
            Self::Cidr => match text.parse::<IpNet>() {
                Ok(_) if text.bytes().all(|b| b != b'+') => Ok(()),
                _ => range_complaint(text, self),
            },
            Self::Range => match text.parse::<IpRange>() {
                Ok(_) => Ok(()),
                Err(_) => range_complaint(text, self),
            },
            Self::San if text.parse::<IpAddr>().is_ok() || is_dns_name(text) => Ok(()),
            Self::San => wrong("write a name such as `api.example.com`, without scheme and port"),
            Self::Interface if is_interface(text) => Ok(()),
            Self::Interface => wrong("use at most 15 characters without blanks, `/` and `:`"),
            Self::InterfacePattern => interface_pattern(text),
            Self::Version if is_version(text) => Ok(()),
            Self::Version => wrong("write it as `1.33.0` or `1.33.0-gke.799`"),
            Self::User if is_user(text) => Ok(()),
            Self::User => wrong("use a login name of the nodes, such as `root` or `ubuntu`"),
            Self::Url => match text.split_once("://") {
                Some(("http" | "https", rest))
                    if !rest.is_empty() && !text.contains(char::is_whitespace) =>
                {
                    Ok(())
                }
                _ => wrong("begin with `http://` or `https://`, then the host"),
            },
            Self::PrivateKeyPath if text.trim().is_empty() => Err(complaint(
                "the path is empty",
                "name the private key, or remove the line",
            )),
            Self::PrivateKeyPath if text.ends_with(".pub") => Err(complaint(
                format!("`{text}` is a public key by its name"),
                format!("name the private key: `{}`", text.trim_end_matches(".pub")),
            )),
            Self::PrivateKeyPath => Ok(()),
        }
    }
}

const IPV4: &str = "^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$";

fn address_complaint(text: &str, format: Format, example: &str) -> Complaint {
    let message = format!("`{text}` is not {}", format.expected());
    if is_placeholder(text) {
        return complaint(
            message,
            format!("put an address in its place, such as `{example}`"),
        );
    }
    let fits = |text: &str| match format {
        Format::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
        _ => text.parse::<Ipv4Addr>().is_ok(),
    };
    if let Some(meant) = meant(text, fits) {
        return complaint(format!("{message}: {}", meant.why), meant.hint);
    }
    let hint = match crate::net::parse_address(text) {
        Ok(IpAddr::V4(_)) => "this is an IPv4 address: IPv6 is needed here".to_owned(),
        Ok(IpAddr::V6(_)) => "this is an IPv6 address: only IPv4 is possible here".to_owned(),
        Err(RangeError::LeadingZero(_)) => {
            "write the octets without leading zeros: some programs take them for octal".to_owned()
        }
        Err(_) if text.contains('/') => {
            format!("write the address without prefix, such as `{example}`")
        }
        Err(_) => format!("write an address such as `{example}`"),
    };
    complaint(message, hint)
}

fn range_complaint(text: &str, format: Format) -> Result<(), Complaint> {
    let message = format!("`{text}` is not {}", format.expected());
    if is_placeholder(text) {
        let hint = "put addresses in its place, such as `192.0.2.10-192.0.2.19`";
        return Err(complaint(message, hint));
    }
    let fits = |text: &str| match format {
        Format::Cidr => text.parse::<IpNet>().is_ok(),
        _ => text.parse::<IpRange>().is_ok(),
    };
    if let Some(meant) = meant(text, fits) {
        return Err(complaint(format!("{message}: {}", meant.why), meant.hint));
    }
    let why = match text.parse::<IpRange>() {
        // A single address where a CIDR is needed.
        Ok(range) => {
            let hint = match range.as_net() {
                Some(net) if !text.contains('/') => format!("write `{net}`"),
                _ => "write a CIDR such as `10.0.0.0/16`".to_owned(),
            };
            return Err(complaint(message, hint));
        }
        Err(why) => why,
    };
    let hint = match &why {
        RangeError::Blank => "remove the blanks".to_owned(),
        RangeError::Reversed => match text.split_once('-') {
            Some((first, last)) => format!("write `{last}-{first}`"),
            None => "begin with the lower address".to_owned(),
        },
        RangeError::MixedFamilies => "write one range for IPv4 and one for IPv6".to_owned(),
        RangeError::Prefix(_) => {
            "use a prefix length up to 32 for IPv4 and up to 128 for IPv6".to_owned()
        }
        RangeError::LeadingZero(_) => {
            "write the octets without leading zeros: some programs take them for octal".to_owned()
        }
        RangeError::Address(_) if format == Format::Cidr => {
            "write a CIDR such as `10.0.0.0/16`".to_owned()
        }
        RangeError::Address(_) => {
            "write a CIDR (`192.0.2.0/28`) or `start-end` with two whole addresses (`192.0.2.10-192.0.2.19`)"
                .to_owned()
        }
    };
    Err(complaint(format!("{message}: {why}"), hint))
}

fn interface_pattern(text: &str) -> Result<(), Complaint> {
    let pattern = text
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'));
    match pattern {
        Some("") => Err(complaint(
            "the pattern is empty",
            "write a pattern such as `/^eth[0-9]+$/`",
        )),
        Some(pattern) => regex_syntax::parse(pattern).map(drop).map_err(|error| {
            let why = match error {
                regex_syntax::Error::Parse(error) => error.kind().to_string(),
                regex_syntax::Error::Translate(error) => error.kind().to_string(),
                _ => "not understood".to_owned(),
            };
            complaint(
                format!("`{text}` is not a regular expression: {why}"),
                "mend the pattern, or write the interface's name without slashes",
            )
        }),
        None if is_interface(text) => Ok(()),
        None => Err(complaint(
            format!("`{text}` is not {}", Format::InterfacePattern.expected()),
            "use at most 15 characters without blanks, `/` and `:`, or a pattern between slashes",
        )),
    }
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_qualified(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
        && edge(bytes.first())
        && edge(bytes.last())
}

fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => {
            prefix.len() <= 253 && prefix.split('.').all(is_label) && is_qualified(name)
        }
        None => is_qualified(text),
    }
}

fn is_dns_name(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let name = name.strip_suffix('.').unwrap_or(name);
    (1..=253).contains(&name.len())
        && name
            .split('.')
            .all(|part| is_label(&part.to_ascii_lowercase()))
        // Digits and dots only is a mistyped address.
        && !name.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn is_interface(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && !matches!(text, "." | "..")
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'/' && b != b':')
}

fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (core, build) = match text.split_once("-gke.") {
        Some((core, build)) => (core, Some(build)),
        None => (text, None),
    };
    let number =
        |part: &str| (1..=6).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let parts = core.split('.').count();
    core.split('.').all(number) && (2..=3).contains(&parts) && build.is_none_or(number)
}

fn is_user(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
}
