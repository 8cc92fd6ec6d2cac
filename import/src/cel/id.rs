//! Ids of APIs, products and subscriptions. Here they are the names of the objects, which can differ.

use super::super::finding::Level;
use super::super::service::{IdOf, Renamed};
use super::{Cel, IdUse, Kind, Result, Scope, cel, no, quote};

impl Scope<'_> {
    /// An id as a text of its own, where its meaning stays the same; other values unchanged.
    pub(super) fn without_id(&self, of: Cel) -> Result<Cel> {
        let Kind::Id(kind) = of.kind else {
            return Ok(of);
        };
        let name = format!("{} is the name of the object here", of.text);
        let is_renamed = self.service.is_renamed(kind);
        let remark = |text: String| self.service.remark(Level::Warning, text);
        match self.ids {
            IdUse::Forwarded if is_renamed => remark(format!("{name}, which is not its id there")),
            IdUse::Exact if is_renamed => {
                return no(format!(
                    "{name}, which is not its id there: only a comparison with a text is translated"
                ));
            }
            IdUse::Exact if self.service.ids.is_none() => remark(name),
            _ => {}
        }
        Ok(plain(of, kind))
    }

    /// Whether an id is another value. `None`: neither is an id.
    pub(super) fn is_id(&self, left: &Cel, right: &Cel) -> Option<Result<Cel>> {
        let (id, kind, other) = match (left.kind, right.kind) {
            (Kind::Id(a), Kind::Id(b)) if a == b => return None,
            (Kind::Id(kind), _) => (left, kind, right),
            (_, Kind::Id(kind)) => (right, kind, left),
            _ => return None,
        };
        match (&other.constant, other.kind) {
            (Some(text), _) => Some(self.named_so(id, kind, text)),
            (None, Kind::Null) => {
                let text = format!("({} == null)", id.text);
                Some(Ok(cel(Kind::Bool, text).sure_if(id.is_sure)))
            }
            _ => None,
        }
    }

    fn named_so(&self, id: &Cel, kind: IdOf, text: &str) -> Result<Cel> {
        let name = match self.service.renamed(kind, text)? {
            Renamed::To(name) => name,
            Renamed::Never if id.is_sure => return Ok(Cel::of_truth(false)),
            // It may still fail, and no name is empty.
            Renamed::Never => String::new(),
        };
        let text = format!("({} == {})", id.text, quote(&name)?);
        Ok(cel(Kind::Bool, text).sure_if(id.is_sure))
    }

    /// `id.Equals(text, StringComparison.…IgnoreCase)`
    pub(super) fn is_id_in_any_case(&self, id: &Cel, other: &Cel) -> Option<Result<Cel>> {
        let (Kind::Id(kind), Some(text)) = (id.kind, &other.constant) else {
            return None;
        };
        Some(self.named_so(id, kind, self.service.id_in_any_case(kind, text)))
    }
}

fn plain(of: Cel, kind: IdOf) -> Cel {
    let kind = match kind {
        IdOf::Product | IdOf::Subscription if of.is_sure => Kind::MaybeText,
        // It fails instead.
        _ => Kind::Text,
    };
    Cel { kind, ..of }
}
