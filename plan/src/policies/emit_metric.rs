//! emitMetric: do its labels differ, and is its value a number?

use tidegate_config::policy::EmitMetric;

use super::check::{Access, Check, StepContext};
use crate::problem::Problem;

impl Check for EmitMetric {
    const ACCESS: Access = Access::Never;

    /// A value without an expression in it can be checked now.
    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let path = step.path;
        let clash = self.clash().map(|name| {
            let text = format!("there is already a label \"{name}\"");
            Problem::invalid(text).at(&format!("{path}.labels"))
        });
        let number = self.value.trim().parse::<f64>();
        let fits = number.is_ok_and(|number| number.is_finite() && number >= 0.0);
        let wrong = !fits && !self.value.contains("${");
        let wrong = wrong.then(|| {
            let text = format!("\"{}\" is not a number of 0 or more", self.value);
            Problem::invalid(text).at(&format!("{path}.value"))
        });
        clash.into_iter().chain(wrong).collect()
    }
}
