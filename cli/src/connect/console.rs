//! Where lines come from and go to: a terminal with line editing, or standard input and output.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use rustyline_async::{Readline, ReadlineEvent, SharedWriter};
use tokio::sync::mpsc;

/// What stands before the line that is edited.
const PROMPT: &str = "> ";

/// The user's side.
pub(super) enum Console {
    /// Lines are edited, and what is shown appears above them.
    Terminal {
        editor: Box<Readline>,
        writer: SharedWriter,
    },
    /// Lines of standard input, as they are.
    Lines(mpsc::Receiver<io::Result<String>>),
    /// No input.
    Output,
}

/// What the user does.
pub(super) enum Input {
    Line(String),
    /// Ctrl-D, or the end of the file.
    End,
    /// Ctrl-C while a line is edited.
    Interrupted,
}

impl Console {
    /// Only shows.
    pub(super) const fn output() -> Self {
        Self::Output
    }

    /// Reads standard input, and edits lines if that is a terminal.
    pub(super) fn open() -> anyhow::Result<Self> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(Self::Lines(standard_input()));
        }
        let (editor, writer) =
            Readline::new(PROMPT.to_owned()).context("failed to use the terminal")?;
        let editor = Box::new(editor);
        Ok(Self::Terminal { editor, writer })
    }

    pub(super) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal { .. })
    }

    /// The next line. May be cancelled.
    pub(super) async fn next(&mut self) -> anyhow::Result<Input> {
        match self {
            Self::Output => Ok(Input::End),
            Self::Lines(lines) => match lines.recv().await {
                Some(line) => Ok(Input::Line(line.context("failed to read standard input")?)),
                None => Ok(Input::End),
            },
            Self::Terminal { editor, .. } => {
                let event = editor.readline().await;
                match event.context("failed to read from the terminal")? {
                    ReadlineEvent::Line(line) => {
                        editor.add_history_entry(line.clone());
                        Ok(Input::Line(line))
                    }
                    ReadlineEvent::Eof => Ok(Input::End),
                    ReadlineEvent::Interrupted => Ok(Input::Interrupted),
                }
            }
        }
    }

    /// Shows a line. The program goes on when standard output is closed (`| head`).
    pub(super) fn show(&mut self, line: &str) {
        match self {
            Self::Terminal { editor, writer } => {
                let line = escaped(line);
                if writeln!(writer, "{line}").is_err() {
                    // More lines wait to be shown than it keeps.
                    let _ = editor.flush();
                    let _ = writer.write(b"");
                }
            }
            Self::Lines(_) | Self::Output => {
                let _ = writeln!(io::stdout().lock(), "{line}");
            }
        }
    }

    /// Shows what is not yet on the terminal. Afterwards it is as it was before.
    pub(super) fn close(&mut self) {
        if let Self::Terminal { editor, .. } = self {
            let _ = editor.flush();
        }
        *self = Self::Output;
    }
}

/// A server must not move the cursor or change the terminal.
fn escaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for letter in line.chars() {
        match letter {
            '\n' | '\t' => text.push(letter),
            _ if letter.is_control() => text.extend(letter.escape_default()),
            _ => text.push(letter),
        }
    }
    text
}

/// Lines of standard input. Reading cannot be cancelled, so a thread of its own does it until the process
/// ends.
fn standard_input() -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_does_not_change_the_terminal() {
        assert_eq!(
            escaped("< grüße\u{1b}[2J\r\n\tx"),
            "< grüße\\u{1b}[2J\\r\n\tx"
        );
    }
}
