//! Intervals and tests: Wilson, McNemar, bootstrap. Pure functions.
