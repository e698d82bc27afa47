//! X.509 certificates as far as a check needs them: until when they are valid (RFC 5280 §4.1.2.5).

use x509_parser::pem::parse_x509_pem;

/// A certificate file of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Where it is.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970 until which the first certificate in it is valid; `None`: it holds none that can be read.
    pub not_after: Option<i64>,
}

impl Certificate {
    /// Reads what `script::read_certificates` prints.
    pub fn parse_all(text: &str) -> Vec<Self> {
        text.lines().filter_map(Self::parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("cert ")?.splitn(3, ' ');
        let mode = u32::from_str_radix(words.next()?, 8).ok()?;
        let path = words.next()?.to_owned();
        let body = words.next().unwrap_or_default();
        let not_after = not_after(body.trim());
        Some(Self {
            path,
            mode,
            not_after,
        })
    }

    /// Whether a program that does not run as root can read it.
    pub fn is_public(&self) -> bool {
        self.mode & 0o004 != 0
    }
}

/// `notAfter` of a certificate in base64, in seconds since 1970.
fn not_after(body: &str) -> Option<i64> {
    let text = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    let (_, pem) = parse_x509_pem(text.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Some(certificate.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(year: i32) -> String {
        let mut params = rcgen::CertificateParams::new(vec!["api".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(year, 3, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let lines = pem.lines().filter(|line| !line.starts_with("-----"));
        lines.collect()
    }

    #[test]
    fn a_certificate_says_until_when_it_is_valid() {
        // `date -u -d 2027-03-01 +%s`; from 2050 on the time is written in another form.
        for (year, expected) in [(2027, 1_803_859_200), (2070, 3_160_857_600)] {
            assert_eq!(not_after(&body(year)), Some(expected), "{year}");
        }
    }

    #[test]
    fn a_certificate_that_is_cut_or_odd_is_none() {
        let whole = body(2027);
        for length in 0..whole.len() - 8 {
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
        assert_eq!(not_after("!"), None);
    }

    #[test]
    fn lines_of_a_machine_become_certificates() {
        let text =
            "cert 644 /etc/kubernetes/pki/ca.crt MAA=\nnoise\ncert 600 /etc/lbnode/ca.crt \n";
        let all = Certificate::parse_all(text);
        assert_eq!(all.len(), 2);
        assert!(all[0].is_public() && !all[1].is_public());
        assert_eq!((all[0].not_after, all[1].not_after), (None, None));
        assert_eq!(all[1].path, "/etc/lbnode/ca.crt");
    }
}
