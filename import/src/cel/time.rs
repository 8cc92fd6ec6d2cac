//! Points in time.

use super::super::csharp::Expr;
use super::{Cel, Kind, Result, Scope, cel, no};

/// Parts of a time. In C#, months count from 1.
pub(super) fn part_of_time(of: &Cel, name: &str) -> Result<Cel> {
    let of = &of.text;
    let text = match name {
        "Year" => format!("{of}.getFullYear()"),
        "Month" => format!("({of}.getMonth() + 1)"),
        "Day" => format!("{of}.getDate()"),
        "Hour" => format!("{of}.getHours()"),
        "Minute" => format!("{of}.getMinutes()"),
        "Second" => format!("{of}.getSeconds()"),
        "DayOfYear" => format!("({of}.getDayOfYear() + 1)"),
        _ => return no(format!("{name} is not translated")),
    };
    Ok(cel(Kind::Int, text))
}

impl Scope<'_> {
    pub(super) fn of_time(&self, of: &Cel, name: &str, args: &[Expr]) -> Result<Cel> {
        let text = &of.text;
        let unit = match (name, args) {
            ("ToUnixTimeSeconds", []) => return Ok(cel(Kind::Int, format!("int({text})"))),
            ("ToUniversalTime", []) => return Ok(of.clone()),
            ("ToString", [Expr::Text(form)]) if form == "o" || form == "O" => {
                return Ok(cel(Kind::Text, format!("string({text})")));
            }
            ("AddSeconds", [_]) => "s",
            ("AddMinutes", [_]) => "m",
            ("AddHours", [_]) => "h",
            _ => return no(format!("{name} is not translated here")),
        };
        let by = args.first().map(|by| self.of(by)).transpose()?;
        match by {
            Some(Cel {
                text: by,
                kind: Kind::Int,
                ..
            }) => {
                let duration = match by.parse::<i64>() {
                    Ok(number) => format!("duration(\"{number}{unit}\")"),
                    Err(_) => format!("duration(string({by}) + \"{unit}\")"),
                };
                Ok(cel(Kind::Time, format!("({text} + {duration})")))
            }
            _ => no("only whole numbers are added to a time"),
        }
    }
}
