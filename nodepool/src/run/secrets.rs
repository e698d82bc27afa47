//! Secrets of one run.

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::digest::hex;
use crate::error::Failure;
use crate::manifest::kubeadm::JoinSecrets;

/// Characters of a bootstrap token. 32 of the 36 that are allowed: a random byte then has no bias.
const TOKEN_ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A token and a certificate key that nobody has seen.
///
/// # Errors
/// When the system has no randomness to give.
pub fn new_join_secrets() -> Result<JoinSecrets, Failure> {
    let random = SystemRandom::new();
    let mut token = [0; 22];
    let mut key = [0; 32];
    random
        .fill(&mut token)
        .and_then(|()| random.fill(&mut key))
        .map_err(|_| Failure::failed("the system's random source does not answer"))?;
    let letters: String = token
        .iter()
        .map(|byte| char::from(TOKEN_ALPHABET[usize::from(byte % 32)]))
        .collect();
    let (id, secret) = letters.split_at(6);
    Ok(JoinSecrets {
        token: format!("{id}.{secret}"),
        certificate_key: hex(&key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_kubeadms_form_and_never_show_in_debug_output() {
        let secrets = new_join_secrets().expect("there is randomness");
        let (id, secret) = secrets.token_parts();
        assert_eq!(
            (id.len(), secret.len(), secrets.certificate_key.len()),
            (6, 16, 64)
        );
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        assert!(id.chars().chain(secret.chars()).all(allowed));
        let debug = format!("{secrets:?}");
        assert!(!debug.contains(secret) && !debug.contains(&secrets.certificate_key));
        assert_ne!(
            secrets.token,
            new_join_secrets().expect("there is randomness").token
        );
    }
}
