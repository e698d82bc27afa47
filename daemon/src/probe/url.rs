//! Addresses of pages: `http://IP:PORT/PATH` and `https://IP:PORT/PATH`.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// A page at an address. Names are refused: a probe must not depend on name resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeUrl {
    https: bool,
    target: SocketAddr,
    path: String,
}

impl ProbeUrl {
    /// Whether the page is asked for over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whom to ask.
    #[must_use]
    pub fn target(&self) -> SocketAddr {
        self.target
    }

    /// What to ask for, with the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for ProbeUrl {
    type Err = ProbeUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| ProbeUrlError {
            text: text.to_owned(),
            reason,
        };
        let (https, rest) = if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else {
            return Err(refuse("it starts with neither `http://` nor `https://`"));
        };
        let (authority, path) = rest
            .find('/')
            .map_or((rest, "/"), |slash| rest.split_at(slash));
        let target = authority.parse().map_err(|_| {
            refuse("an IP address with a port is needed (names are not resolved), like `127.0.0.1:11000` or `[::1]:11000`")
        })?;
        if !path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            return Err(refuse("the path holds a character that must be escaped"));
        }
        Ok(Self {
            https,
            target,
            path: path.to_owned(),
        })
    }
}

impl fmt::Display for ProbeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.target, self.path)
    }
}

/// Why a text is not the address of a page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot be asked: {reason}")]
pub struct ProbeUrlError {
    text: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_and_schemes_come_back_as_written() {
        for text in [
            "http://127.0.0.1:11000/livez",
            "https://127.0.0.1:11443/readyz?verbose",
            "http://[fd00::11]:11000/",
        ] {
            let url: ProbeUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), text);
            assert_eq!(url.is_https(), text.starts_with("https"));
        }
        let bare: ProbeUrl = "http://10.10.0.11:11000".parse().unwrap();
        assert_eq!(bare.path(), "/");
        assert_eq!(bare.target(), "10.10.0.11:11000".parse().unwrap());
    }

    #[test]
    fn names_other_schemes_and_unescaped_paths_are_refused() {
        for (text, reason) in [
            ("http://localhost:1/", "names are not resolved"),
            ("http://127.0.0.1/", "with a port"),
            ("ftp://127.0.0.1:1/", "neither"),
            ("http://127.0.0.1:1/a b", "escaped"),
            ("http://127.0.0.1:1/a\r\nx: y", "escaped"),
            ("", "neither"),
        ] {
            let error = text.parse::<ProbeUrl>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
