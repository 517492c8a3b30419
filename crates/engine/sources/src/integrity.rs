//! What a source promises about a file's bytes, and the proof.

use crate::error::{Result, SourceError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISO_HDLC, CRC_64_NVME, Crc, Table};
use md5::Md5;
use pelton_ids::{Digest, Hasher};
use sha1::{Digest as _, Sha1};

static CRC32: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);
static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_NVME);

/// A file's checksum as its source gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// SHA-256 of the content: files in Git LFS, blobs of a Pelton registry.
    Sha256(Digest),
    /// Git's name of the content: SHA-1 of `blob SIZE\0` and the content.
    GitBlob([u8; 20]),
    /// MD5: S3's ETag of an object that was uploaded in one piece.
    Md5([u8; 16]),
    /// CRC-32, which S3 keeps where the uploader sent it.
    Crc32(u32),
    /// CRC-64/NVME, which S3 computes for every new object.
    Crc64(u64),
    /// Its length alone.
    Length,
}

impl Integrity {
    /// What is compared.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::GitBlob(_) => "Git blob id",
            Self::Md5(_) => "MD5",
            Self::Crc32(_) => "CRC-32",
            Self::Crc64(_) => "CRC-64",
            Self::Length => "length",
        }
    }

    /// Git's 40 hexadecimal digits.
    pub(crate) fn git_blob(hexadecimal: &str) -> Option<Self> {
        let mut bytes = [0; 20];
        hex::decode_to_slice(hexadecimal, &mut bytes).ok()?;
        Some(Self::GitBlob(bytes))
    }

    /// 32 hexadecimal digits.
    pub(crate) fn md5(hexadecimal: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(hexadecimal, &mut bytes).ok()?;
        Some(Self::Md5(bytes))
    }

    /// S3's `x-amz-checksum-sha256`.
    pub(crate) fn sha256_base64(text: &str) -> Option<Self> {
        Some(Self::Sha256(Digest::from_bytes(decode(text)?)))
    }

    /// S3's `x-amz-checksum-crc32`.
    pub(crate) fn crc32_base64(text: &str) -> Option<Self> {
        Some(Self::Crc32(u32::from_be_bytes(decode(text)?)))
    }

    /// S3's `x-amz-checksum-crc64nvme`.
    pub(crate) fn crc64_base64(text: &str) -> Option<Self> {
        Some(Self::Crc64(u64::from_be_bytes(decode(text)?)))
    }

    fn value(&self) -> String {
        match self {
            Self::Sha256(digest) => digest.hex(),
            Self::GitBlob(bytes) => hex::encode(bytes),
            Self::Md5(bytes) => hex::encode(bytes),
            Self::Crc32(value) => format!("{value:08x}"),
            Self::Crc64(value) => format!("{value:016x}"),
            Self::Length => String::new(),
        }
    }

    /// A name for a file's partial download: another promise has another name.
    pub(crate) fn partial_name(&self, path: &str, version: Option<&str>, size: u64) -> String {
        let what = format!("{path}\n{}\n{}\n{size}", self.value(), version.unwrap_or_default());
        Digest::of(what.as_bytes()).hex()
    }
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Computes a file's checksum piece by piece.
pub(crate) enum Verifier {
    Sha256(Hasher),
    GitBlob(Sha1),
    Md5(Md5),
    Crc32(crc::Digest<'static, u32, Table<16>>),
    Crc64(crc::Digest<'static, u64, Table<16>>),
    Length,
}

impl Verifier {
    /// For a file of `size` bytes.
    pub(crate) fn new(promised: Integrity, size: u64) -> Self {
        match promised {
            Integrity::Sha256(_) => Self::Sha256(Hasher::default()),
            Integrity::GitBlob(_) => {
                Self::GitBlob(Sha1::new().chain_update(format!("blob {size}\0")))
            }
            Integrity::Md5(_) => Self::Md5(Md5::new()),
            Integrity::Crc32(_) => Self::Crc32(CRC32.digest()),
            Integrity::Crc64(_) => Self::Crc64(CRC64.digest()),
            Integrity::Length => Self::Length,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitBlob(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Crc32(digest) => digest.update(bytes),
            Self::Crc64(digest) => digest.update(bytes),
            Self::Length => {}
        }
    }

    /// Compares with what was promised of the file at `path`.
    pub(crate) fn finish(self, promised: Integrity, path: &str) -> Result<()> {
        let found = match self {
            Self::Sha256(hasher) => Integrity::Sha256(hasher.finish()),
            Self::GitBlob(hasher) => Integrity::GitBlob(hasher.finalize().into()),
            Self::Md5(hasher) => Integrity::Md5(hasher.finalize().into()),
            Self::Crc32(digest) => Integrity::Crc32(digest.finalize()),
            Self::Crc64(digest) => Integrity::Crc64(digest.finalize()),
            Self::Length => Integrity::Length,
        };
        if found == promised {
            return Ok(());
        }
        Err(SourceError::Mismatch {
            path: path.into(),
            check: promised.name(),
            expected: promised.value(),
            found: found.value(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `git hash-object`, `md5sum` and the catalogs' check strings.
    #[test]
    fn checksums_are_those_of_other_programs() {
        let check = |promised: Integrity, content: &str| {
            let mut verifier = Verifier::new(promised, content.len() as u64);
            for piece in content.as_bytes().chunks(4) {
                verifier.update(piece);
            }
            verifier.finish(promised, "a").is_ok()
        };
        let promises = [
            Integrity::git_blob("c57eff55ebc0c54973903af5f72bac72762cf4f4").unwrap(),
            Integrity::md5("ed076287532e86365e841e92bfc50d8c").unwrap(),
            Integrity::Sha256(Digest::of(b"Hello World!")),
        ];
        for promise in promises {
            assert!(check(promise, "Hello World!"), "{promise:?}");
            assert!(!check(promise, "Hello World?"), "{promise:?}");
        }
        assert!(check(Integrity::Crc32(0xcbf4_3926), "123456789"));
        assert!(check(Integrity::Crc64(0xae8b_1486_0a79_9888), "123456789"));
        assert_eq!(Integrity::crc32_base64("y/Q5Jg=="), Some(Integrity::Crc32(0xcbf4_3926)));
        assert_eq!(Integrity::crc32_base64("y/Q5Jg==-2"), None);
        assert_eq!(Integrity::git_blob("b45e"), None);
        let empty = Integrity::git_blob("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391").unwrap();
        assert!(check(empty, ""));
    }
}
