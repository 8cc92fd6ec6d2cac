//! Fragments: what is to be said about them.

use super::Planner;
use super::pass::Pass;
use crate::PolicyFragmentVerdict;
use crate::policies;
use crate::references::{Named, References};
use crate::register::Namer;

impl Planner {
    /// Judges the fragments that changed, or that others use in another way.
    pub(super) fn judge_fragments(&mut self, pass: &Pass) {
        let used = std::mem::take(&mut self.register.touched.fragments);
        for key in pass.unjudged.union(&used) {
            let namer = Namer::Fragment(key.clone());
            let Some(fragment) = self.world.fragments.get(key) else {
                self.register.set(&namer, Named::default());
                if self.plan.fragment_verdicts.remove(key).is_some() {
                    self.changed.verdicts.fragments.insert(key.clone());
                }
                continue;
            };
            let mut references = References::new(&self.world);
            let conditions = policies::judge(key, fragment, &mut references, &mut self.expressions);
            let named = references.named;
            self.register.set(&namer, named);
            let users = self.register.users(key);
            let verdict = PolicyFragmentVerdict { conditions, users };
            if self.plan.fragment_verdicts.get(key) != Some(&verdict) {
                self.plan.fragment_verdicts.insert(key.clone(), verdict);
                self.changed.verdicts.fragments.insert(key.clone());
            }
        }
    }
}
