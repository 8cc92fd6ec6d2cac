//! `all`, `exists`, `exists_one`, `map`, `filter`: one pass over a list, or over the keys of a map in order.

use std::sync::Arc;

use cel::Value;
use cel::objects::Key;

use super::{Evaluated, Machine, Node};
use crate::error::EvalError;
use crate::value::{list, type_name};

/// A pass over a range.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) kind: FoldKind,
    pub(crate) range: Node,
    /// Whether an item is taken, for `map` with three arguments.
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoldKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl Machine<'_> {
    pub(super) fn fold(&mut self, fold: &Fold, at: usize) -> Evaluated {
        let range = self.run(&fold.range)?;
        let items = self.items(range, at)?;
        self.locals.push(Value::Null);
        let result = match fold.kind {
            FoldKind::All => self.any(fold, &items, false),
            FoldKind::Exists => self.any(fold, &items, true),
            FoldKind::ExistsOne => self.exactly_one(fold, &items),
            FoldKind::Map => self.map_items(fold, &items),
            FoldKind::Filter => self.filter_items(fold, &items),
        };
        self.locals.pop();
        result
    }

    fn items(&mut self, range: Value, at: usize) -> Evaluated<Arc<Vec<Value>>> {
        match range {
            Value::List(items) => Ok(items),
            Value::Map(map) => {
                let size = map.map.len() as u64;
                self.budget
                    .spend(size.saturating_mul(2))
                    .map_err(|fault| fault.at(at))?;
                let mut keys: Vec<&Key> = map.map.keys().collect();
                keys.sort_unstable();
                Ok(Arc::new(keys.into_iter().map(Value::from).collect()))
            }
            other => {
                let message = format!("needs a list or map, not {}", type_name(&other));
                Err(EvalError::failed(at, message))
            }
        }
    }

    fn test(&mut self, node: &Node, item: &Value) -> Evaluated<bool> {
        self.set_item(item);
        self.bool(node, "condition")
    }

    fn set_item(&mut self, item: &Value) {
        if let Some(local) = self.locals.last_mut() {
            *local = item.clone();
        }
    }

    /// `exists` is decided by the first true, `all` by the first false; an error counts if nothing decides.
    fn any(&mut self, fold: &Fold, items: &[Value], decisive: bool) -> Evaluated {
        let mut first_error = None;
        for item in items {
            match self.test(&fold.body, item) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(error) if error.is_cost() => return Err(error),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn exactly_one(&mut self, fold: &Fold, items: &[Value]) -> Evaluated {
        let mut found = 0_usize;
        for item in items {
            found += usize::from(self.test(&fold.body, item)?);
        }
        Ok(Value::Bool(found == 1))
    }

    fn map_items(&mut self, fold: &Fold, items: &[Value]) -> Evaluated {
        let mut mapped = Vec::new();
        for item in items {
            let taken = match &fold.filter {
                Some(filter) => self.test(filter, item)?,
                None => true,
            };
            if taken {
                self.set_item(item);
                mapped.push(self.run(&fold.body)?);
            }
        }
        Ok(list(mapped))
    }

    fn filter_items(&mut self, fold: &Fold, items: &[Value]) -> Evaluated {
        let mut taken = Vec::new();
        for item in items {
            if self.test(&fold.body, item)? {
                taken.push(item.clone());
            }
        }
        Ok(list(taken))
    }
}
