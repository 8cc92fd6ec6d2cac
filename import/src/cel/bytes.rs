//! Bytes, digests and encodings.

use super::super::csharp::Expr;
use super::{Cel, Kind, Result, Scope, cel, no, path};

/// SHA-256 as bytes, by its function of hexadecimal text.
const SHA256: &str = "hex.decode(sha256(";

impl Scope<'_> {
    /// Static methods; `None` if it is none of them.
    pub(super) fn of_bytes_library(
        &self,
        receiver: &[&str],
        name: &str,
        args: &[Expr],
    ) -> Option<Result<Cel>> {
        Some(match (receiver, name, args) {
            (["Encoding", "UTF8" | "ASCII"], "GetBytes", [of]) => {
                self.text(of).map(|of| cel(Kind::Utf8, of))
            }
            (["Encoding", "UTF8" | "ASCII"], "GetString", [of]) => self.decoded(of),
            (["Convert"], "FromBase64String", [of]) => {
                let bytes = |of| cel(Kind::Bytes, format!("base64.decode({of})"));
                self.text(of).map(bytes)
            }
            (["Convert"], "ToBase64String", [of]) => self.bytes(of).map(|of| base64(&of)),
            (["BitConverter"], "ToString", [of]) => self.bytes(of).map(|of| dashed(&of)),
            (["SHA256"], "Create", []) => Ok(cel(Kind::Sha256, "")),
            (["SHA256"], "HashData", [of]) => self.bytes(of).map(|of| digest(&of)),
            _ => return None,
        })
    }

    /// Bytes, or a text whose bytes are meant.
    fn bytes(&self, of: &Expr) -> Result<String> {
        let found = self.of(of)?;
        match found.kind {
            Kind::Utf8 | Kind::Bytes => Ok(found.text),
            _ => no("only bytes of texts, of base64 and of digests are translated"),
        }
    }

    fn decoded(&self, of: &Expr) -> Result<Cel> {
        let found = self.of(of)?;
        match found.kind {
            Kind::Utf8 => Ok(cel(Kind::Text, found.text)),
            Kind::Bytes => Ok(cel(Kind::Text, format!("string({})", found.text))),
            _ => no("only bytes of texts and of base64 are translated"),
        }
    }

    /// `new HMACSHA256(key)` and its like.
    pub(super) fn new_digest(&self, name: &str, args: &[Expr]) -> Option<Result<Cel>> {
        Some(match (name, args) {
            ("SHA256Managed" | "SHA256CryptoServiceProvider" | "SHA256Cng", []) => {
                Ok(cel(Kind::Sha256, ""))
            }
            ("HMACSHA256", [key]) => self.bytes(key).map(|key| cel(Kind::Hmac, key)),
            _ => return None,
        })
    }

    /// Methods of digests and bytes; `None` if it is none of them.
    pub(super) fn of_bytes(&self, of: &Cel, name: &str, args: &[Expr]) -> Option<Result<Cel>> {
        let text = &of.text;
        Some(match (of.kind, name, args) {
            (Kind::Sha256, "ComputeHash", [what]) => self.bytes(what).map(|what| digest(&what)),
            (Kind::Hmac, "ComputeHash", [what]) => self
                .bytes(what)
                .map(|what| cel(Kind::Bytes, format!("hmacSha256({text}, {what})"))),
            (Kind::Dashed, "Replace", [Expr::Text(dash), with])
                if dash == "-" && is_empty(with) =>
            {
                Ok(cel(Kind::Text, text))
            }
            (Kind::Dashed, "ToLower" | "ToLowerInvariant", []) => {
                let lower = text.trim_end_matches(".upperAscii()");
                Ok(cel(Kind::Dashed, lower))
            }
            (Kind::Bytes, "Select", [Expr::Lambda(parameter, body)]) => {
                hex_list(of, parameter, body)
            }
            _ => return None,
        })
    }
}

fn base64(of: &str) -> Cel {
    cel(Kind::Text, format!("base64.encode({of})"))
}

fn dashed(of: &str) -> Cel {
    cel(Kind::Dashed, format!("{}.upperAscii()", hex(of)))
}

fn digest(of: &str) -> Cel {
    cel(Kind::Bytes, format!("{SHA256}{of}))"))
}

fn hex(bytes: &str) -> String {
    let digest = bytes
        .strip_prefix(SHA256)
        .and_then(|rest| rest.strip_suffix("))"));
    match digest {
        Some(of) => format!("sha256({of})"),
        None => format!("hex.encode({bytes})"),
    }
}

fn is_empty(text: &Expr) -> bool {
    *text == Expr::Text(String::new())
        || matches!(path(text).as_deref(), Some(["string" | "String", "Empty"]))
}

/// `bytes.Select(b => b.ToString("x2"))`
fn hex_list(of: &Cel, parameter: &str, body: &Expr) -> Result<Cel> {
    let format = match body {
        Expr::Call(method, None, args) => match (path(method).as_deref(), args.as_slice()) {
            (Some([of, "ToString"]), [Expr::Text(format)]) if *of == parameter => format.as_str(),
            _ => "",
        },
        _ => "",
    };
    match format {
        "x2" => Ok(cel(Kind::HexList, hex(&of.text))),
        "X2" => Ok(cel(
            Kind::HexList,
            format!("{}.upperAscii()", hex(&of.text)),
        )),
        _ => no("bytes are translated as base64 and hexadecimal text only"),
    }
}
