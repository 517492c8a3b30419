//! 256-bit vectors: eight outputs at a time.
#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::{
    __m256, __m256i, _mm_cvtsi32_si128, _mm_load_si128, _mm_loadl_epi64, _mm256_abs_epi8,
    _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps,
    _mm256_cvtepu8_epi32, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps, _mm256_load_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_or_si256, _mm256_set1_epi8,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_sign_epi8,
    _mm256_sll_epi16, _mm256_srl_epi16, _mm256_srli_epi16, _mm256_store_ps, _mm256_xor_si256,
};

use super::{
    BlockPanel, CHUNK, Lane, Layout, Line, PANEL, Q8Row, QUAD, QUADS, chunk_line, delta_line,
};

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn tile<L: Layout, const ROWS: usize>(
    panel: BlockPanel<'_>,
    rows: [Q8Row<'_>; ROWS],
    tile: Option<&mut [[Lane; 2]; ROWS]>,
) {
    let Some(tile) = tile else { return };
    panel.check::<L>(&rows);
    for quarter in 0..4 {
        let mut sums = [_mm256_setzero_ps(); ROWS];
        for chunk in 0..panel.chunks {
            // SAFETY: the panel and the rows have this chunk, as was checked.
            unsafe { add_chunk::<L, ROWS>(panel, &rows, chunk, quarter, &mut sums) };
        }
        for (tile, sum) in tile.iter_mut().zip(sums) {
            let lane = &mut tile[quarter / 2].0[quarter % 2 * 8..];
            // SAFETY: half a lane is 32-byte aligned.
            unsafe { _mm256_store_ps(lane.as_mut_ptr(), sum) };
        }
    }
}

/// # Safety
/// The panel and the rows have this chunk.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn add_chunk<L: Layout, const ROWS: usize>(
    panel: BlockPanel<'_>,
    rows: &[Q8Row<'_>; ROWS],
    chunk: usize,
    quarter: usize,
    sums: &mut [__m256; ROWS],
) {
    // SAFETY: as the caller promises.
    unsafe {
        let lines = panel.lines.as_ptr().add(chunk_line::<L>(chunk));
        let deltas = panel.lines.as_ptr().add(delta_line::<L>(chunk));
        for part in 0..L::PARTS {
            let mut integers = [_mm256_set1_epi32(0); ROWS];
            if L::NIBBLES && L::OFFSET != 0 {
                for (row, integers) in rows.iter().zip(&mut integers) {
                    let [first, second] = *row.sums.get_unchecked(chunk);
                    let sum = match (L::PARTS, part) {
                        (1, _) => first + second,
                        (_, 0) => first,
                        _ => second,
                    };
                    *integers = _mm256_set1_epi32(-L::OFFSET * sum);
                }
            }
            let pairs = QUADS / 2 / L::PARTS;
            for pair in part * pairs..(part + 1) * pairs {
                let weights = two_quads::<L>(lines, pair, quarter);
                for (row, integers) in rows.iter().zip(&mut integers) {
                    let input = row.quants.as_ptr().add(chunk * CHUNK + 2 * pair * QUAD);
                    let fours =
                        [0, 1].map(|at| input.add(at * QUAD).cast::<i32>().read_unaligned());
                    *integers = _mm256_add_epi32(*integers, products::<L>(weights, fours));
                }
            }
            let scales = scales::<L>(lines, deltas, part, quarter);
            for ((row, integers), sum) in rows.iter().zip(integers).zip(&mut *sums) {
                let scale = _mm256_set1_ps(*row.scales.get_unchecked(chunk));
                let factor = _mm256_mul_ps(scales, scale);
                *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(integers), factor, *sum);
            }
        }
        if L::DELTAS == 2 {
            let minimums = minimums::<L>(lines, deltas, quarter);
            for (row, sum) in rows.iter().zip(sums) {
                let total = _mm256_set1_ps(*row.totals.get_unchecked(chunk));
                *sum = _mm256_fnmadd_ps(minimums, total, *sum);
            }
        }
    }
}

/// Of each output, the sum of eight inputs' products.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn products<L: Layout>(weights: [__m256i; 2], fours: [i32; 2]) -> __m256i {
    if L::NIBBLES {
        // Sums of four products of up to 6 and 8 bits fit 16.
        let pairs =
            [0, 1].map(|at| _mm256_maddubs_epi16(weights[at], _mm256_set1_epi32(fours[at])));
        let pairs = _mm256_add_epi16(pairs[0], pairs[1]);
        return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    }
    let [first, second] = [0, 1].map(|at| {
        // One factor must be unsigned: the weight's sign goes over to the activation.
        let weights = _mm256_xor_si256(weights[at], _mm256_set1_epi8(-128));
        let four = _mm256_sign_epi8(_mm256_set1_epi32(fours[at]), weights);
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), four);
        _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
    });
    _mm256_add_epi32(first, second)
}

/// The weights of eight inputs, by four.
///
/// # Safety
/// `lines` are those of a chunk.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn two_quads<L: Layout>(lines: *const Line, pair: usize, quarter: usize) -> [__m256i; 2] {
    let (half, offset) = (quarter / 2, quarter % 2 * 32);
    // SAFETY: as the caller promises; half a line is 32-byte aligned.
    let line = |at: usize| unsafe {
        _mm256_load_si256(lines.add(at + half).cast::<u8>().add(offset).cast())
    };
    if !L::NIBBLES {
        return [line(4 * pair), line(4 * pair + 2)];
    }
    let low_bits = _mm256_set1_epi8(15);
    let packed = line(2 * pair);
    let first = _mm256_and_si256(packed, low_bits);
    let second = _mm256_and_si256(_mm256_srli_epi16::<4>(packed), low_bits);
    if L::HIGH_BITS == 0 {
        return [first, second];
    }
    let (high, first_bit) = if L::HIGH_BITS == 1 {
        (line(8), 2 * pair)
    } else {
        (line(8 + pair / 2 * 2), pair % 2 * 4)
    };
    [joined::<L>(first, high, first_bit), joined::<L>(second, high, first_bit + L::HIGH_BITS)]
}

/// Puts the high bits that begin at bit `from` above the four low bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn joined<L: Layout>(low: __m256i, high: __m256i, from: usize) -> __m256i {
    let mask = _mm256_set1_epi8(if L::HIGH_BITS == 1 { 0x10 } else { 0x30 });
    let high = if from <= 4 {
        _mm256_sll_epi16(high, _mm_cvtsi32_si128(4 - from as i32))
    } else {
        _mm256_srl_epi16(high, _mm_cvtsi32_si128(from as i32 - 4))
    };
    _mm256_or_si256(low, _mm256_and_si256(high, mask))
}

/// The scales of a quarter's outputs.
///
/// # Safety
/// `lines` and `deltas` are those of a chunk.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn scales<L: Layout>(
    lines: *const Line,
    deltas: *const Line,
    part: usize,
    quarter: usize,
) -> __m256 {
    // SAFETY: as the caller promises.
    unsafe {
        let line = lines.add(L::QUANT_LINES);
        if L::DELTAS == 0 {
            return halves(line, quarter);
        }
        let bytes = line.cast::<u8>().add(part * PANEL + quarter * 8);
        let bytes = _mm_loadl_epi64(bytes.cast());
        let integers =
            if L::PARTS == 2 { _mm256_cvtepi8_epi32(bytes) } else { _mm256_cvtepu8_epi32(bytes) };
        _mm256_mul_ps(halves(deltas, quarter), _mm256_cvtepi32_ps(integers))
    }
}

/// The minimums of a quarter's outputs.
///
/// # Safety
/// `lines` and `deltas` are those of a chunk of a format that has them.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn minimums<L: Layout>(lines: *const Line, deltas: *const Line, quarter: usize) -> __m256 {
    // SAFETY: as the caller promises.
    unsafe {
        let bytes = lines.add(L::QUANT_LINES).cast::<u8>().add(PANEL + quarter * 8);
        let integers = _mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes.cast()));
        _mm256_mul_ps(halves(deltas.add(1), quarter), _mm256_cvtepi32_ps(integers))
    }
}

/// A quarter of a line of numbers of 16 bits.
///
/// # Safety
/// `line` can be read.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn halves(line: *const Line, quarter: usize) -> __m256 {
    // SAFETY: as the caller promises; a quarter of a line is 16-byte aligned.
    _mm256_cvtph_ps(unsafe { _mm_load_si128(line.cast::<u8>().add(16 * quarter).cast()) })
}
