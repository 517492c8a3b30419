//! Secrets that cannot be printed, and key hashing. Cannot reach I/O.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize;

/// A value that prints as `[redacted]` and is wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redacted<T: Zeroize>(T);

impl<T: Zeroize> Redacted<T> {
    /// Hides `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The hidden value: call it only where the secret is used.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Redacted<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Redacted<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

impl<T: Zeroize> Serialize for Redacted<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("[redacted]")
    }
}

impl<'de, T: Zeroize + Deserialize<'de>> Deserialize<'de> for Redacted<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Self)
    }
}

/// What starts every API key, so that scanners recognise a leaked one.
pub const API_KEY_PREFIX: &str = "pk_";

/// An API key's secret made from 32 random bytes: `pk_` and 43 letters.
#[must_use]
pub fn api_key_from_random(random: [u8; 32]) -> Redacted<String> {
    Redacted::new(format!("{API_KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}

/// The stored form of an API key: the SHA-256 of its text, in hexadecimal.
///
/// A plain hash is enough since the key carries 256 random bits.
#[must_use]
pub fn api_key_hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Whether two hashes are equal, in time that does not depend on where they differ.
#[must_use]
pub fn hashes_equal(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_printed() {
        let key = api_key_from_random([7; 32]);
        assert_eq!(format!("{key:?}"), "[redacted]");
        assert!(key.expose().starts_with("pk_") && key.expose().len() == 46);
    }

    #[test]
    fn hash_comparison() {
        let hash = api_key_hash("pk_a");
        assert!(hashes_equal(&hash, &api_key_hash("pk_a")));
        assert!(!hashes_equal(&hash, &api_key_hash("pk_b")));
    }
}
