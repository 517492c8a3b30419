//! Ends a text at the first stop text, wherever token borders fall, and holds back what might still
//! become one.

use std::ops::Range;

/// Watches one growing text.
#[derive(Debug)]
pub(crate) struct StopWatch {
    stops: Vec<String>,
    /// Text that may be sent: everything before this byte is safe.
    released: usize,
}

/// What can be done with the text so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// Bytes up to here are safe to send.
    SafeUpTo(usize),
    /// A stop text lies here; the text ends before it, or with it.
    StoppedAt(Range<usize>),
}

impl StopWatch {
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self { stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(), released: 0 }
    }

    /// Looks at the text after it has grown.
    pub(crate) fn look(&mut self, text: &str) -> Watched {
        if self.stops.is_empty() {
            return Watched::SafeUpTo(text.len());
        }
        // What was released cannot be part of a stop text: it would have been held back.
        let fresh = &text[self.released..];
        let found = self.stops.iter().filter_map(|stop| Some((fresh.find(stop)?, stop.len())));
        if let Some((at, length)) = found.min_by_key(|found| found.0) {
            let at = self.released + at;
            return Watched::StoppedAt(at..at + length);
        }
        let held = self.stops.iter().map(|stop| longest_overlap(fresh, stop)).max().unwrap_or(0);
        self.released = text.len() - held;
        Watched::SafeUpTo(self.released)
    }
}

/// Length of the longest end of `text` with which `stop` begins.
fn longest_overlap(text: &str, stop: &str) -> usize {
    stop.char_indices()
        .map(|(at, character)| at + character.len_utf8())
        .filter(|&length| length < stop.len() && text.ends_with(&stop[..length]))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{StopWatch, Watched};

    /// What is sent after each piece, and how it ends.
    fn watch(stops: &[&str], pieces: &[&str]) -> (Vec<String>, String, bool) {
        let mut watch = StopWatch::new(stops.iter().map(|&stop| stop.to_owned()).collect());
        let (mut text, mut sent, mut out) = (String::new(), 0, Vec::new());
        for piece in pieces {
            text.push_str(piece);
            match watch.look(&text) {
                Watched::SafeUpTo(end) => {
                    out.push(text[sent..end].to_owned());
                    sent = end;
                }
                Watched::StoppedAt(stop) => {
                    out.push(text[sent..stop.start].to_owned());
                    return (out, text[..stop.start].to_owned(), true);
                }
            }
        }
        (out, text, false)
    }

    #[test]
    fn a_stop_text_over_token_borders_is_cut_out() {
        let (sent, text, stopped) = watch(&["END"], &["ab E", "N", "D cd"]);
        assert_eq!(
            (sent, text.as_str(), stopped),
            (vec!["ab ".into(), "".into(), "".into()], "ab ", true)
        );
    }

    #[test]
    fn what_looked_like_a_stop_text_is_sent_once_it_is_none() {
        let (sent, _, stopped) = watch(&["END"], &["E", "N", "E", "ND"]);
        assert_eq!((sent, stopped), (vec!["".into(), "".into(), "EN".into(), "".into()], true));
        let (sent, _, stopped) = watch(&["aab"], &["a", "a", "a", "b"]);
        assert_eq!(sent.concat(), "a");
        assert!(stopped);
    }

    #[test]
    fn the_earliest_of_several_wins_and_none_means_all() {
        assert_eq!(watch(&["two", "one"], &["a one two"]).1, "a ");
        assert_eq!(watch(&["żó", "ł"], &["zaż", "ó", "ł"]).1, "za");
        assert_eq!(watch(&[""], &["a", "b"]).0, ["a", "b"]);
    }
}
