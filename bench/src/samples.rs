//! Measured values, and what is said of them.

use std::collections::BTreeMap;

use crate::peer::Kind;
use crate::row::Row;

/// All values of a run, by row and proxy.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<(&'static str, Kind), Vec<f64>>);

impl Samples {
    pub(crate) fn add(&mut self, row: &Row, kind: Kind, value: f64) {
        self.0.entry((row.name, kind)).or_default().push(value);
    }

    /// The middle one; of two the mean.
    pub(crate) fn median(&self, row: &Row, kind: Kind) -> Option<f64> {
        let values = self.sorted(row, kind)?;
        let upper = values.len() / 2;
        let lower = (values.len() - 1) / 2;
        Some(f64::midpoint(values[lower], values[upper]))
    }

    /// Half the way from the first quartile to the third; `None` for a single value.
    pub(crate) fn spread(&self, row: &Row, kind: Kind) -> Option<f64> {
        let values = self.sorted(row, kind)?;
        let quartile = (values.len() - 1) / 4;
        let middle = &values[quartile..values.len() - quartile];
        let (least, most) = (middle.first()?, middle.last()?);
        (values.len() > 1).then_some((most - least) / 2.0)
    }

    fn sorted(&self, row: &Row, kind: Kind) -> Option<Vec<f64>> {
        let mut values = self.0.get(&(row.name, kind))?.clone();
        values.sort_by(f64::total_cmp);
        Some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::BARE;

    #[test]
    fn median_and_spread_of_odd_and_even_numbers_of_values() {
        let mut samples = Samples::default();
        assert_eq!(samples.median(&BARE, Kind::Nginx), None);
        samples.add(&BARE, Kind::Nginx, 10.0);
        assert_eq!(samples.spread(&BARE, Kind::Nginx), None);
        samples.add(&BARE, Kind::Nginx, 30.0);
        assert_eq!(samples.median(&BARE, Kind::Nginx), Some(20.0));
        assert_eq!(samples.spread(&BARE, Kind::Nginx), Some(10.0));
        samples.add(&BARE, Kind::Nginx, 11.0);
        assert_eq!(samples.median(&BARE, Kind::Nginx), Some(11.0));
        for value in [11.5, 12.0] {
            samples.add(&BARE, Kind::Nginx, value);
        }
        assert_eq!(samples.spread(&BARE, Kind::Nginx), Some(0.5));
    }
}
