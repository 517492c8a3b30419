//! Scores a target on held-out tasks, sample by sample. Reaches models only through a trait.
