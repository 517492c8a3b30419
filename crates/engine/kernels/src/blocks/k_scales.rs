//! Eight scales and eight minimums of 6 bits in 12 bytes, as Q4_K and Q5_K have them.

/// Scale and minimum of a part.
pub(super) fn get(packed: &[u8], part: usize) -> (u8, u8) {
    if part < 4 {
        return (packed[part] & 63, packed[part + 4] & 63);
    }
    let low = packed[part + 4];
    (low & 15 | packed[part - 4] >> 6 << 4, low >> 4 | packed[part] >> 6 << 4)
}

/// Writes all of them; `packed` is 12 bytes.
pub(super) fn put(packed: &mut [u8], scales: [u8; 8], minimums: [u8; 8]) {
    for part in 0..4 {
        let (scale, minimum) = (scales[part + 4], minimums[part + 4]);
        packed[part] = scales[part] | scale >> 4 << 6;
        packed[part + 4] = minimums[part] | minimum >> 4 << 6;
        packed[part + 8] = scale & 15 | (minimum & 15) << 4;
    }
}
