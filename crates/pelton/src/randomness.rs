//! Random bytes from the operating system, for keys and tokens.

use std::io::Read as _;

/// The operating system's generator.
pub struct SystemRandom;

impl SystemRandom {
    /// 32 bytes that nobody can foresee.
    pub fn draw() -> std::io::Result<[u8; 32]> {
        let mut bytes = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl pelton_api::Random for SystemRandom {
    fn bytes(&self) -> std::io::Result<[u8; 32]> {
        Self::draw()
    }
}
