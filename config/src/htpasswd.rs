//! Files of users as `htpasswd` writes them: one `NAME:HASH` a line. Pure.
//!
//! Kinds of hashes: bcrypt (`htpasswd -B`) and SHA-1 (`-s`, unsalted: for old files). The others
//! that tools know are either too weak (crypt, plain text) or tied to one system.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Highest cost of a bcrypt hash. Each step doubles the work of a check; 12 takes about a quarter
/// of a second. Whoever may send requests must not be able to occupy a gateway with one of them.
pub const MAX_BCRYPT_COST: u32 = 12;

/// The digits of bcrypt's salt and hash.
const BCRYPT_DIGITS: usize = 53;

/// A password's hash, and how it is compared.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// The whole text of a bcrypt hash, `$2y$COST$…`.
    Bcrypt(String),
    /// The SHA-1 of the password.
    Sha1([u8; 20]),
}

/// Never shows the hash.
impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bcrypt(_) => "Bcrypt",
            Self::Sha1(_) => "Sha1",
        })
    }
}

/// A line that names no user. It shows no part of the line, which may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct InvalidLine {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: LineProblem,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// There is no user in the file.
    #[error("the file has no users")]
    Empty,
    /// The line is not `NAME:HASH`.
    #[error("it must be NAME:HASH")]
    Form,
    /// The name occurred in an earlier line.
    #[error("the user occurs twice")]
    Repeated,
    /// The hash is of no supported kind.
    #[error("the hash is neither bcrypt ($2y$) nor {{SHA}}; make it with htpasswd -B")]
    Kind,
    /// The hash is of a supported kind, but not whole.
    #[error("the hash is damaged")]
    Damaged,
    /// The cost of the bcrypt hash is too high.
    #[error("the hash has bcrypt cost {0}, and at most {MAX_BCRYPT_COST} is supported")]
    Cost(u32),
}

/// Parses a file: the hash of each user. Empty lines and lines that begin with `#` are skipped.
///
/// # Errors
///
/// The first line that names no user, or a file without users.
pub fn parse(text: &str) -> Result<BTreeMap<String, PasswordHash>, InvalidLine> {
    let mut users = BTreeMap::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let invalid = |problem| InvalidLine {
            line: i + 1,
            problem,
        };
        let (name, hash) = line.split_once(':').ok_or(invalid(LineProblem::Form))?;
        if name.is_empty() || name.contains(char::is_control) {
            return Err(invalid(LineProblem::Form));
        }
        let hash = read(hash).map_err(invalid)?;
        if users.insert(name.to_owned(), hash).is_some() {
            return Err(invalid(LineProblem::Repeated));
        }
    }
    let empty = InvalidLine {
        line: 1,
        problem: LineProblem::Empty,
    };
    (!users.is_empty()).then_some(users).ok_or(empty)
}

fn read(hash: &str) -> Result<PasswordHash, LineProblem> {
    if let Some(digest) = hash.strip_prefix("{SHA}") {
        let bytes = STANDARD.decode(digest).map_err(|_| LineProblem::Damaged)?;
        let bytes = bytes.try_into().map_err(|_| LineProblem::Damaged)?;
        return Ok(PasswordHash::Sha1(bytes));
    }
    let kinds = ["$2y$", "$2a$", "$2b$"];
    let rest = kinds.iter().find_map(|kind| hash.strip_prefix(kind));
    let rest = rest.ok_or(LineProblem::Kind)?;
    let (cost, digits) = rest.split_once('$').ok_or(LineProblem::Damaged)?;
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let whole = cost.len() == 2 && digits.len() == BCRYPT_DIGITS && digits.bytes().all(is_digit);
    match cost.parse() {
        Ok(cost) if whole && cost > MAX_BCRYPT_COST => Err(LineProblem::Cost(cost)),
        Ok(4..) if whole => Ok(PasswordHash::Bcrypt(hash.to_owned())),
        _ => Err(LineProblem::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC";

    #[test]
    fn users_are_read_with_their_hashes() {
        let text =
            format!("# users\n\nalice:{BCRYPT}\r\nbob:{{SHA}}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n");
        let users = parse(&text).unwrap();
        assert_eq!(users["alice"], PasswordHash::Bcrypt(BCRYPT.to_owned()));
        assert!(matches!(users["bob"], PasswordHash::Sha1(_)));
        assert_eq!(users.len(), 2);
        assert!(!format!("{users:?}").contains("c4Wo"));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        use LineProblem as P;
        let costly = BCRYPT.replace("$05$", "$13$");
        for (text, line, problem) in [
            ("", 1, P::Empty),
            ("# nobody", 1, P::Empty),
            ("alice", 1, P::Form),
            (":{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", 1, P::Form),
            (
                "\n\nalice:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00",
                3,
                P::Kind,
            ),
            ("alice:rqXexS6ZhobKA", 1, P::Kind),
            ("alice:plain", 1, P::Kind),
            ("alice:{SSHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", 1, P::Kind),
            ("alice:{SHA}short", 1, P::Damaged),
            ("alice:$2y$05$short", 1, P::Damaged),
            ("alice:$2y$5$x", 1, P::Damaged),
            (
                "alice:$2y$03$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
                1,
                P::Damaged,
            ),
            (&format!("alice:{costly}"), 1, P::Cost(13)),
            (&format!("a:{BCRYPT}\na:{BCRYPT}"), 2, P::Repeated),
        ] {
            let found = parse(text).unwrap_err();
            assert_eq!((found.line, found.problem), (line, problem), "{text}");
            assert!(!found.to_string().contains("alice"), "{found}");
        }
    }
}
