//! Literals: numbers, strings, bytes, with CEL's prefixes and escapes.

use cel::Value;

use super::lexer::Token;
use crate::error::CompileError;
use crate::value::text;

/// How a string or bytes literal starts: `r`, `b`, and its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    /// Characters up to and with the opening quotes.
    pub(super) len: usize,
    quote: char,
    triple: bool,
    raw: bool,
    bytes: bool,
}

/// Whether a string or bytes literal starts here.
pub(super) fn text_prefix(rest: &[char]) -> Option<Prefix> {
    let is_prefix = |c: &&char| matches!(c, 'r' | 'R' | 'b' | 'B');
    let letters = rest.iter().take(2).take_while(is_prefix).count();
    let quote = *rest.get(letters).filter(|c| matches!(c, '"' | '\''))?;
    let has = |wanted: char| {
        rest[..letters]
            .iter()
            .any(|c| c.eq_ignore_ascii_case(&wanted))
    };
    if letters == 2 && !(has('r') && has('b')) {
        return None;
    }
    let triple = rest.get(letters + 1) == Some(&quote) && rest.get(letters + 2) == Some(&quote);
    Some(Prefix {
        len: letters + if triple { 3 } else { 1 },
        quote,
        triple,
        raw: has('r'),
        bytes: has('b'),
    })
}

/// The value of the literal that started at `start` and whose content begins at `at`.
pub(super) fn read_text(
    chars: &[char],
    at: &mut usize,
    start: usize,
    prefix: Prefix,
) -> Result<Value, CompileError> {
    let mut content: Vec<u8> = Vec::new();
    loop {
        if closes(&chars[*at..], prefix) {
            *at += if prefix.triple { 3 } else { 1 };
            break;
        }
        match chars.get(*at) {
            None => return Err(unclosed(start, prefix)),
            Some('\n' | '\r') if !prefix.triple => return Err(unclosed(start, prefix)),
            Some('\\') if !prefix.raw => escape(chars, at, prefix.bytes, &mut content)?,
            Some(plain) => {
                push(&mut content, *plain);
                *at += 1;
            }
        }
    }
    if prefix.bytes {
        return Ok(Value::from(content));
    }
    match String::from_utf8(content) {
        Ok(content) => Ok(text(content)),
        Err(_) => Err(CompileError::new(start, "the string is not UTF-8")),
    }
}

fn closes(rest: &[char], prefix: Prefix) -> bool {
    let quotes = if prefix.triple { 3 } else { 1 };
    rest.len() >= quotes && rest[..quotes].iter().all(|c| *c == prefix.quote)
}

fn unclosed(start: usize, prefix: Prefix) -> CompileError {
    let quotes = prefix
        .quote
        .to_string()
        .repeat(if prefix.triple { 3 } else { 1 });
    CompileError::new(start, format!("the string has no closing {quotes}"))
}

fn push(content: &mut Vec<u8>, c: char) {
    content.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Reads one escape sequence, `at` standing on its backslash.
fn escape(
    chars: &[char],
    at: &mut usize,
    bytes: bool,
    content: &mut Vec<u8>,
) -> Result<(), CompileError> {
    let start = *at;
    let unknown = || CompileError::new(start, "unknown escape sequence");
    let kind = *chars.get(start + 1).ok_or_else(unknown)?;
    *at += 2;
    let plain = match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '?' | '"' | '\'' | '`' => kind,
        'x' | 'X' | '0'..='3' | 'u' | 'U' => {
            return numbered_escape(chars, at, bytes, content).ok_or_else(unknown);
        }
        _ => return Err(unknown()),
    };
    push(content, plain);
    Ok(())
}

/// `\xFF`, `\377`, `\u00FF`, `\U000000FF`; `at` stands behind the letter. In bytes the first two are one byte
/// and the others are not allowed.
fn numbered_escape(
    chars: &[char],
    at: &mut usize,
    bytes: bool,
    content: &mut Vec<u8>,
) -> Option<()> {
    let kind = chars[*at - 1];
    let (from, digits, radix) = match kind {
        'x' | 'X' => (*at, 2, 16),
        'u' => (*at, 4, 16),
        'U' => (*at, 8, 16),
        _ => (*at - 1, 3, 8),
    };
    let number: String = chars.get(from..from + digits)?.iter().collect();
    if !number.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let number = u32::from_str_radix(&number, radix).ok()?;
    *at = from + digits;
    match (bytes, kind) {
        (true, 'u' | 'U') => return None,
        (true, _) => content.push(u8::try_from(number).ok()?),
        (false, _) => push(content, char::from_u32(number)?),
    }
    Some(())
}

/// The number that starts here, without a sign: `12`, `0x1F`, `7u`, `1.5`, `.5`, `1e9`.
pub(super) fn read_number(chars: &[char], at: &mut usize) -> Result<Token, CompileError> {
    let start = *at;
    let hex = chars[start] == '0' && matches!(chars.get(start + 1), Some('x' | 'X'));
    let number = if hex {
        *at += 2;
        take(chars, at, |c| c.is_ascii_hexdigit())
    } else {
        read_decimal(chars, at)
    };
    let double = !hex && number.contains(['.', 'e', 'E']);
    let unsigned = !double && matches!(chars.get(*at), Some('u' | 'U'));
    if unsigned {
        *at += 1;
    }
    let glued = chars
        .get(*at)
        .is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_');
    let radix = if hex { 16 } else { 10 };
    let token = match u64::from_str_radix(&number, radix) {
        _ if glued => None,
        _ if double => {
            let value = number.parse().ok().filter(|f: &f64| f.is_finite());
            value.map(|f| Token::Literal(Value::Float(f)))
        }
        Ok(n) if unsigned => Some(Token::Literal(Value::UInt(n))),
        Ok(n) if n == i64::MIN.unsigned_abs() => Some(Token::HugeInt),
        Ok(n) => i64::try_from(n).ok().map(|i| Token::Literal(Value::Int(i))),
        Err(_) => None,
    };
    token.ok_or_else(|| CompileError::new(start, "not a number, or out of range"))
}

fn read_decimal(chars: &[char], at: &mut usize) -> String {
    let is_digit = |c: char| c.is_ascii_digit();
    let digit_at = |i: usize| chars.get(i).copied().is_some_and(is_digit);
    let mut number = take(chars, at, is_digit);
    // A dot without a digit behind it is a method call on a whole number.
    if chars.get(*at) == Some(&'.') && digit_at(*at + 1) {
        *at += 1;
        number.push('.');
        number.push_str(&take(chars, at, is_digit));
    }
    if matches!(chars.get(*at), Some('e' | 'E')) {
        let signed = matches!(chars.get(*at + 1), Some('+' | '-'));
        let digits = *at + 1 + usize::from(signed);
        if digit_at(digits) {
            number.extend(&chars[*at..digits]);
            *at = digits;
            number.push_str(&take(chars, at, is_digit));
        }
    }
    number
}

fn take(chars: &[char], at: &mut usize, wanted: impl Fn(char) -> bool) -> String {
    let taken: String = chars[*at..]
        .iter()
        .copied()
        .take_while(|c| wanted(*c))
        .collect();
    *at += taken.chars().count();
    taken
}
