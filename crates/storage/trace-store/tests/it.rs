//! The trace store through its public face: nothing acknowledged is lost or doubled, whatever fails.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod it {
    mod damage;
    mod kill;
    mod records;
    mod release_stats;
    mod sample;
    mod sealing;
    mod writing;
}
