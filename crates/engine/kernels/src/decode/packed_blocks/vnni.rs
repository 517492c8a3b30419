//! 512-bit vectors; one instruction takes 64 products.
#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::{
    __m512, __m512i, _mm_cvtsi32_si128, _mm_load_si128, _mm256_load_si256, _mm512_and_si512,
    _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32, _mm512_cvtph_ps,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_load_si512, _mm512_mul_ps,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_sll_epi16,
    _mm512_srl_epi16, _mm512_srli_epi16, _mm512_store_ps, _mm512_ternarylogic_epi32,
};

use super::{
    BlockPanel, CHUNK, LANE, Lane, Layout, Line, PANEL, Q8Row, QUAD, QUADS, chunk_line, delta_line,
};

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
pub(super) fn tile<L: Layout, const ROWS: usize>(
    panel: BlockPanel<'_>,
    rows: [Q8Row<'_>; ROWS],
    tile: Option<&mut [[Lane; 2]; ROWS]>,
) {
    let Some(tile) = tile else { return };
    panel.check::<L>(&rows);
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for chunk in 0..panel.chunks {
        // SAFETY: the panel and the rows have this chunk, as was checked.
        unsafe {
            let lines = panel.lines.as_ptr().add(chunk_line::<L>(chunk));
            let deltas = panel.lines.as_ptr().add(delta_line::<L>(chunk));
            for part in 0..L::PARTS {
                let mut integers = [[_mm512_set1_epi32(0); 2]; ROWS];
                if L::OFFSET != 0 {
                    for (row, integers) in rows.iter().zip(&mut integers) {
                        let [first, second] = *row.sums.get_unchecked(chunk);
                        let sum = match (L::PARTS, part) {
                            (1, _) => first + second,
                            (_, 0) => first,
                            _ => second,
                        };
                        *integers = [_mm512_set1_epi32(-L::OFFSET * sum); 2];
                    }
                }
                let pairs = QUADS / 2 / L::PARTS;
                for pair in part * pairs..(part + 1) * pairs {
                    let weights = two_quads::<L>(lines, pair);
                    for (at, halves) in weights.into_iter().enumerate() {
                        let input = chunk * CHUNK + (2 * pair + at) * QUAD;
                        for (row, integers) in rows.iter().zip(&mut integers) {
                            let four = row.quants.as_ptr().add(input);
                            let four = _mm512_set1_epi32(four.cast::<i32>().read_unaligned());
                            integers[0] = _mm512_dpbusd_epi32(integers[0], halves[0], four);
                            integers[1] = _mm512_dpbusd_epi32(integers[1], halves[1], four);
                        }
                    }
                }
                let scales = [0, 1].map(|half| scales::<L>(lines, deltas, part, half));
                for ((row, integers), sums) in rows.iter().zip(integers).zip(&mut sums) {
                    let scale = _mm512_set1_ps(*row.scales.get_unchecked(chunk));
                    for half in 0..2 {
                        let factor = _mm512_mul_ps(scales[half], scale);
                        let integers = _mm512_cvtepi32_ps(integers[half]);
                        sums[half] = _mm512_fmadd_ps(integers, factor, sums[half]);
                    }
                }
            }
            if L::DELTAS == 2 {
                let minimums = [0, 1].map(|half| minimums::<L>(lines, deltas, half));
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let total = _mm512_set1_ps(*row.totals.get_unchecked(chunk));
                    for half in 0..2 {
                        sums[half] = _mm512_fnmadd_ps(minimums[half], total, sums[half]);
                    }
                }
            }
        }
    }
    for (tile, sums) in tile.iter_mut().zip(sums) {
        for (lane, sum) in tile.iter_mut().zip(sums) {
            // SAFETY: lanes are 64-byte aligned.
            unsafe { _mm512_store_ps(lane.0.as_mut_ptr(), sum) };
        }
    }
}

/// The weights of eight inputs: by four inputs, then by half of the panel.
///
/// # Safety
/// `lines` are those of a chunk.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
unsafe fn two_quads<L: Layout>(lines: *const Line, pair: usize) -> [[__m512i; 2]; 2] {
    // SAFETY: as the caller promises; lines are 64-byte aligned.
    let line = |at: usize| unsafe { _mm512_load_si512(lines.add(at).cast()) };
    if !L::NIBBLES {
        return [[line(4 * pair), line(4 * pair + 1)], [line(4 * pair + 2), line(4 * pair + 3)]];
    }
    let low_bits = _mm512_set1_epi8(15);
    let packed = [line(2 * pair), line(2 * pair + 1)];
    let first = packed.map(|line| _mm512_and_si512(line, low_bits));
    let second = packed.map(|line| _mm512_and_si512(_mm512_srli_epi16::<4>(line), low_bits));
    if L::HIGH_BITS == 0 {
        return [first, second];
    }
    let (high, first_bit) = if L::HIGH_BITS == 1 {
        ([line(8), line(9)], 2 * pair)
    } else {
        ([line(8 + pair / 2 * 2), line(9 + pair / 2 * 2)], pair % 2 * 4)
    };
    let with_high = |low: [__m512i; 2], from: usize| {
        [0, 1].map(|half| joined::<L>(low[half], high[half], from))
    };
    [with_high(first, first_bit), with_high(second, first_bit + L::HIGH_BITS)]
}

/// Puts the high bits that begin at bit `from` above the four low bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
fn joined<L: Layout>(low: __m512i, high: __m512i, from: usize) -> __m512i {
    let mask = _mm512_set1_epi8(if L::HIGH_BITS == 1 { 0x10 } else { 0x30 });
    let high = if from <= 4 {
        _mm512_sll_epi16(high, _mm_cvtsi32_si128(4 - from as i32))
    } else {
        _mm512_srl_epi16(high, _mm_cvtsi32_si128(from as i32 - 4))
    };
    // low | (high & mask)
    _mm512_ternarylogic_epi32::<0xF8>(low, high, mask)
}

/// The scales of a half's outputs.
///
/// # Safety
/// `lines` and `deltas` are those of a chunk.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
unsafe fn scales<L: Layout>(
    lines: *const Line,
    deltas: *const Line,
    part: usize,
    half: usize,
) -> __m512 {
    // SAFETY: as the caller promises.
    unsafe {
        let line = lines.add(L::QUANT_LINES);
        if L::DELTAS == 0 {
            return halves(line, half);
        }
        let bytes = line.cast::<u8>().add(part * PANEL + half * LANE);
        let bytes = _mm_load_si128(bytes.cast());
        let integers =
            if L::PARTS == 2 { _mm512_cvtepi8_epi32(bytes) } else { _mm512_cvtepu8_epi32(bytes) };
        _mm512_mul_ps(halves(deltas, half), _mm512_cvtepi32_ps(integers))
    }
}

/// The minimums of a half's outputs.
///
/// # Safety
/// `lines` and `deltas` are those of a chunk of a format that has them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
unsafe fn minimums<L: Layout>(lines: *const Line, deltas: *const Line, half: usize) -> __m512 {
    // SAFETY: as the caller promises.
    unsafe {
        let bytes = lines.add(L::QUANT_LINES).cast::<u8>().add(PANEL + half * LANE);
        let integers = _mm512_cvtepu8_epi32(_mm_load_si128(bytes.cast()));
        _mm512_mul_ps(halves(deltas.add(1), half), _mm512_cvtepi32_ps(integers))
    }
}

/// Half a line of numbers of 16 bits.
///
/// # Safety
/// `line` can be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
unsafe fn halves(line: *const Line, half: usize) -> __m512 {
    // SAFETY: as the caller promises; half a line is 32-byte aligned.
    _mm512_cvtph_ps(unsafe { _mm256_load_si256(line.cast::<u8>().add(32 * half).cast()) })
}
