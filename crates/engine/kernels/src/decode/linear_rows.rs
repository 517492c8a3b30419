//! Rows that linear operators read and write.

use std::marker::PhantomData;
use std::ops::Range;

/// Rows read by an operator: row `i` starts at `i · stride`.
#[derive(Debug, Clone, Copy)]
pub struct Strided<'a> {
    /// The floats, beginning with the first row.
    pub data: &'a [f32],
    /// Floats from one row to the next.
    pub stride: usize,
}

/// Rows written by an operator.
#[derive(Debug)]
pub struct StridedMut<'a> {
    /// The floats, beginning with the first row.
    pub data: &'a mut [f32],
    /// Floats from one row to the next.
    pub stride: usize,
}

/// Some columns of some rows, to write while others write other columns of the same rows.
#[derive(Debug)]
pub struct ColumnsMut<'a> {
    first: *mut f32,
    stride: usize,
    pub(super) rows: usize,
    pub(super) columns: Range<usize>,
    _rows: PhantomData<&'a mut [f32]>,
}

#[expect(unsafe_code, reason = "raw pointers are not Send by themselves")]
// SAFETY: no two of these reach the same float, as `StridedMut::split_columns` makes sure.
unsafe impl Send for ColumnsMut<'_> {}

impl<'a> StridedMut<'a> {
    /// Cuts the first `rows` rows at columns; `ranges` are in order and do not overlap.
    ///
    /// # Panics
    /// Where the ranges overlap or reach beyond the rows.
    pub fn split_columns(
        self,
        rows: usize,
        ranges: impl IntoIterator<Item = Range<usize>>,
    ) -> impl Iterator<Item = ColumnsMut<'a>> {
        let (first, stride, length) = (self.data.as_mut_ptr(), self.stride, self.data.len());
        let mut next = 0;
        ranges.into_iter().map(move |columns| {
            let ends = rows.saturating_sub(1) * stride + columns.end;
            assert!(next <= columns.start && columns.start <= columns.end, "columns overlap");
            assert!(columns.end <= stride || rows <= 1, "columns reach into the next row");
            assert!(rows == 0 || ends <= length, "output rows are missing");
            next = columns.end;
            ColumnsMut { first, stride, rows, columns, _rows: PhantomData }
        })
    }
}

impl ColumnsMut<'_> {
    /// `columns` of a row, counted as in the whole row.
    #[expect(unsafe_code, reason = "neighbors write the same rows")]
    pub(super) fn row(&mut self, row: usize, columns: Range<usize>) -> &mut [f32] {
        assert!(row < self.rows, "there is no such row");
        assert!(self.columns.start <= columns.start && columns.end <= self.columns.end);
        // SAFETY: the columns are this one's own, and were checked against the slice that they were cut from,
        // which is borrowed as long as `self` lives.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.first.add(row * self.stride + columns.start),
                columns.len(),
            )
        }
    }
}
