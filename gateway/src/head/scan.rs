//! Finds the end of a head, and of its first line, while the head arrives.

/// How far a head has been read. It is told each byte once, in order, so a peer that sends byte by byte
/// causes no more work than one that sends all at once.
#[derive(Debug)]
pub(super) struct Scan {
    /// Bytes seen so far.
    position: usize,
    line: Line,
    /// What must stand at the beginning, behind empty lines.
    beginning: &'static [u8],
    /// Bytes of `beginning` that were found; `None`: something else stands there.
    found: Option<usize>,
    /// Behind the first space of the first line.
    target_start: Option<usize>,
    /// At the second space of the first line.
    target_end: Option<usize>,
    /// Behind the first line.
    line_end: Option<usize>,
}

/// Where in a line the scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Behind a line feed.
    Start,
    /// Behind a line feed and a carriage return.
    CarriageReturn,
    Inside,
}

impl Scan {
    /// Expects a head that starts with `beginning`.
    pub(super) fn new(beginning: &'static [u8]) -> Self {
        Self {
            position: 0,
            // An empty line in front of the head does not end it.
            line: Line::Inside,
            beginning,
            found: Some(0),
            target_start: None,
            target_end: None,
            line_end: None,
        }
    }

    /// Bytes seen so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Continues with the bytes behind [`Self::position`]. Gives the length of the head once its empty line
    /// is there, and stops behind it.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        loop {
            if self.is_inside_field() {
                let skipped = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                self.position += skipped;
                rest = &rest[skipped..];
            }
            let (&byte, behind) = rest.split_first()?;
            rest = behind;
            self.note_beginning(byte);
            if self.line_end.is_none() {
                self.note_first_line(byte);
            }
            self.position += 1;
            self.line = match (byte, self.line) {
                (b'\n', Line::Start | Line::CarriageReturn) => return Some(self.position),
                (b'\n', Line::Inside) => Line::Start,
                (b'\r', Line::Start) => Line::CarriageReturn,
                _ => Line::Inside,
            };
        }
    }

    /// Whether only the end of the line matters.
    fn is_inside_field(&self) -> bool {
        let beginning_is_known = self.found.is_none_or(|found| found == self.beginning.len());
        self.line == Line::Inside && self.line_end.is_some() && beginning_is_known
    }

    fn note_beginning(&mut self, byte: u8) {
        let Some(found) = self.found else { return };
        let Some(expected) = self.beginning.get(found) else {
            return;
        };
        let is_empty_line = found == 0 && matches!(byte, b'\r' | b'\n');
        if byte == *expected {
            self.found = Some(found + 1);
        } else if !is_empty_line {
            self.found = None;
        }
    }

    fn note_first_line(&mut self, byte: u8) {
        match byte {
            b'\n' => self.line_end = Some(self.position + 1),
            b' ' if self.target_start.is_none() => self.target_start = Some(self.position + 1),
            b' ' if self.target_end.is_none() => self.target_end = Some(self.position),
            _ => {}
        }
    }

    /// Does it start as expected, as far as it is here?
    pub(super) fn has_beginning(&self) -> bool {
        self.found.is_some()
    }

    /// Length of the first line in bytes with its line end, as far as it is here.
    pub(super) fn line_length(&self) -> usize {
        self.line_end.unwrap_or(self.position)
    }

    /// Length of the first line's second word in bytes, as far as it is here.
    pub(super) fn target_length(&self) -> usize {
        let end = self.target_end.unwrap_or(self.line_length());
        self.target_start.map_or(0, |start| end - start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` in pieces of `size` bytes; gives the end and how many bytes were looked at.
    fn scan(text: &[u8], size: usize) -> (Option<usize>, usize, Scan) {
        let mut scan = Scan::new(b"");
        let mut looked_at = 0;
        let mut here = 0;
        loop {
            here = text.len().min(here + size);
            let before = scan.position();
            let end = scan.advance(&text[before..here]);
            looked_at += scan.position() - before;
            if end.is_some() || here == text.len() {
                return (end, looked_at, scan);
            }
        }
    }

    #[test]
    fn each_byte_is_looked_at_once_however_it_comes() {
        let fields = "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(500);
        let head = format!("GET /a HTTP/1.1\r\n{fields}\r\n");
        let text = format!("{head}behind\r\n\r\n");
        for size in [1, 2, 3, 7, 4096, usize::MAX / 2] {
            let (end, looked_at, _) = scan(text.as_bytes(), size);
            assert_eq!((end, looked_at), (Some(head.len()), head.len()), "{size}");
        }
        let unfinished = &head.as_bytes()[..head.len() - 1];
        for size in [1, 5, 4096] {
            let (end, looked_at, _) = scan(unfinished, size);
            assert_eq!((end, looked_at), (None, unfinished.len()), "{size}");
        }
    }

    #[test]
    fn an_empty_line_ends_a_head() {
        for (text, expected) in [
            ("a\r\n\r\nb", Some(5)),
            ("a\n\nb", Some(3)),
            ("a\n\r\nb", Some(4)),
            ("a\r\n\n", Some(4)),
            ("a\r\n\rb\r\n\r\n", Some(9)),
            ("\r\na\r\n", None),
            ("\r\n\r\n", Some(4)),
            ("a\r\n\r", None),
        ] {
            for size in [1, 2, 100] {
                assert_eq!(scan(text.as_bytes(), size).0, expected, "{text:?} {size}");
            }
        }
    }

    #[test]
    fn line_and_target_are_measured_as_they_come() {
        for (text, line, target) in [
            ("", 0, 0),
            ("GET", 3, 0),
            ("GET /ab", 7, 3),
            ("GET /ab HT", 10, 3),
            ("GET /ab HTTP/1.1\r\nA: b c\r\n", 18, 3),
        ] {
            let (_, _, scan) = scan(text.as_bytes(), 1);
            let measured = (scan.line_length(), scan.target_length());
            assert_eq!(measured, (line, target), "{text:?}");
        }
    }

    #[test]
    fn another_beginning_is_seen_at_once() {
        for (text, expected) in [
            ("", true),
            ("HT", true),
            ("\r\n\nHTTP/1.1 200", true),
            ("HTTQ", false),
            ("SSH-2.0", false),
            ("H\r\n", false),
            ("\r\n", true),
        ] {
            let mut scan = Scan::new(b"HTTP/1.");
            scan.advance(text.as_bytes());
            assert_eq!(scan.has_beginning(), expected, "{text:?}");
        }
    }
}
