//! Regular expressions that mean the same in C# and in the `regex` crate. Some texts are valid in both, and mean
//! something else: `[a-z-[aeiou]]` is a difference there and a union here, `\<` is a letter there and the start of a
//! word here.

use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassSetItem, ClassUnicode, ClassUnicodeKind, Flag, Flags, FlagsItemKind,
    GroupKind, HexLiteralKind, Literal, LiteralKind, Visitor, visit,
};

use super::{Result, no};

/// General categories of Unicode, as C# writes them.
const CATEGORIES: [&str; 34] = [
    "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc",
    "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C",
    "Cc", "Cf",
];

/// Fails if the pattern does not mean the same here.
pub(super) fn same_in_both(pattern: &str) -> Result<()> {
    // The check of the whole step says why a text is no pattern.
    let Ok(parsed) = Parser::new().parse(pattern) else {
        return Ok(());
    };
    match visit(&parsed, Common) {
        Ok(()) => Ok(()),
        Err(what) => no(format!("{what} of the pattern does not mean the same here")),
    }
}

/// Looks for what is not common to both. The error names it.
struct Common;

impl Visitor for Common {
    type Output = ();
    type Err = &'static str;

    fn finish(self) -> std::result::Result<(), Self::Err> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> std::result::Result<(), Self::Err> {
        match ast {
            Ast::Flags(set) => flags(&set.flags),
            Ast::Literal(of) => literal(of),
            Ast::Assertion(of) => match of.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText
                | AssertionKind::WordBoundary
                | AssertionKind::NotWordBoundary => Ok(()),
                _ => Err("a boundary of words"),
            },
            Ast::ClassUnicode(of) => category(of),
            // C# fails.
            Ast::Repetition(of) => match *of.ast {
                Ast::Repetition(_) => Err("a repetition of a repetition"),
                _ => Ok(()),
            },
            Ast::Group(of) => match &of.kind {
                GroupKind::CaptureName {
                    starts_with_p: true,
                    ..
                } => Err("(?P"),
                GroupKind::NonCapturing(of) => flags(of),
                GroupKind::CaptureIndex(_) | GroupKind::CaptureName { .. } => Ok(()),
            },
            Ast::Empty(_)
            | Ast::Dot(_)
            | Ast::ClassPerl(_)
            | Ast::ClassBracketed(_)
            | Ast::Alternation(_)
            | Ast::Concat(_) => Ok(()),
        }
    }

    fn visit_class_set_item_pre(
        &mut self,
        item: &ClassSetItem,
    ) -> std::result::Result<(), Self::Err> {
        match item {
            ClassSetItem::Literal(of) => literal(of),
            ClassSetItem::Range(of) => literal(&of.start).and_then(|()| literal(&of.end)),
            ClassSetItem::Unicode(of) => category(of),
            ClassSetItem::Ascii(_) | ClassSetItem::Bracketed(_) => Err("a bracket in brackets"),
            ClassSetItem::Empty(_) | ClassSetItem::Perl(_) | ClassSetItem::Union(_) => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(
        &mut self,
        _: &regex_syntax::ast::ClassSetBinaryOp,
    ) -> std::result::Result<(), Self::Err> {
        Err("&&, -- or ~~ in brackets")
    }
}

fn flags(flags: &Flags) -> std::result::Result<(), &'static str> {
    let is_common = |kind: &FlagsItemKind| {
        matches!(
            kind,
            FlagsItemKind::Negation
                | FlagsItemKind::Flag(
                    Flag::CaseInsensitive | Flag::MultiLine | Flag::DotMatchesNewLine
                )
        )
    };
    match flags.items.iter().all(|item| is_common(&item.kind)) {
        true => Ok(()),
        false => Err("an option other than i, m and s"),
    }
}

fn literal(of: &Literal) -> std::result::Result<(), &'static str> {
    match of.kind {
        LiteralKind::HexBrace(_) | LiteralKind::HexFixed(HexLiteralKind::UnicodeLong) => {
            Err("the escape sequence of a character")
        }
        _ => Ok(()),
    }
}

fn category(of: &ClassUnicode) -> std::result::Result<(), &'static str> {
    match &of.kind {
        ClassUnicodeKind::Named(name) if CATEGORIES.contains(&name.as_str()) => Ok(()),
        _ => Err("a class of Unicode"),
    }
}
