//! returnResponse: may its headers be set?

use tidegate_config::policy::{HeaderValue, ReturnResponse};

use super::check::{Access, Check, StepContext};
use super::header::restricted;
use crate::problem::Problem;

impl Check for ReturnResponse {
    const ACCESS: Access = Access::BeforeRefusal;

    fn check(&self, step: &mut StepContext<'_, '_>) -> Vec<Problem> {
        let path = step.path;
        let named = |(i, header): (usize, &HeaderValue)| {
            restricted(&header.name, &format!("{path}.headers[{i}].name"))
        };
        let headers = self.headers.iter().enumerate();
        headers.filter_map(named).collect()
    }
}
