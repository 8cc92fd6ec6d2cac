//! `include-fragment`: the fragment's steps stand where it is named, as there.

use roxmltree::{Document, Node};

use super::super::csharp::Unreadable;
use super::super::field::{elements, known, required};
use super::super::xml::protect;
use super::{Fragment, Steps, Translator};

/// Fragments within fragments; a loop ends here.
const MAX_DEPTH: usize = 8;

impl Translator<'_, '_> {
    pub(super) fn include(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        let fragment = match self.fragment(node) {
            Ok(fragment) => fragment,
            Err(why) => {
                self.refuse(node, steps, &why.to_string());
                return;
            }
        };
        if self.state.depth >= MAX_DEPTH {
            self.refuse(node, steps, "fragments are nested too deeply");
            return;
        }
        let Some(protected) = protect(&fragment.text) else {
            self.refuse(
                node,
                steps,
                "the fragment has characters of the private use area",
            );
            return;
        };
        let document = match Document::parse(&protected) {
            Ok(document) => document,
            Err(error) => {
                self.refuse(
                    node,
                    steps,
                    &format!("the fragment can not be read: {error}"),
                );
                return;
            }
        };
        let mut inner = Translator {
            document: &document,
            scope: self.scope,
            context: self.context,
            file: Some((&fragment.file, fragment.line)),
            state: std::mem::take(&mut self.state),
        };
        inner.state.depth += 1;
        inner.block(document.root_element(), steps);
        inner.state.depth -= 1;
        self.state = inner.state;
    }

    fn fragment(&self, node: Node<'_, '_>) -> Result<Fragment, Unreadable> {
        known(node, &["fragment-id"])?;
        elements(node, &[])?;
        let id = required(node, "fragment-id")?;
        let mut all = self.context.fragments.iter();
        let found = all.find(|(name, _)| name.eq_ignore_ascii_case(&id));
        match found {
            Some((_, fragment)) => Ok(fragment.clone()),
            None => Err(Unreadable(format!(
                "no fragment {id} is imported along with it"
            ))),
        }
    }
}
