//! When changes are let through: `Mon-Fri 08:00-18:00`, several with commas between. Pure.

/// Minutes of a day.
const DAY: u32 = 24 * 60;

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Times of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window(Vec<Span>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    days: [bool; 7],
    /// Minutes since midnight; an end before the start means the next day.
    from: u32,
    to: u32,
}

impl Window {
    /// Reads a text; `None` when it is none of a window.
    pub fn parse(text: &str) -> Option<Self> {
        let spans: Option<Vec<Span>> = text.split(',').map(|part| span(part.trim())).collect();
        spans.filter(|spans| !spans.is_empty()).map(Self)
    }

    /// Whether it is open on a day (0 is Monday) at a minute of that day.
    pub fn open(&self, day: u32, minute: u32) -> bool {
        let day = day as usize % 7;
        self.0.iter().any(|span| match span.from < span.to {
            true => span.days[day] && (span.from..span.to).contains(&minute),
            // Over midnight: the evening of its day, and the morning after.
            false => {
                span.days[day] && minute >= span.from
                    || span.days[(day + 6) % 7] && minute < span.to
            }
        })
    }
}

fn span(text: &str) -> Option<Span> {
    let (days, times) = match text.rsplit_once(' ') {
        Some((days, times)) => (week(days.trim())?, times),
        None => ([true; 7], text),
    };
    let (from, to) = times.split_once('-')?;
    Some(Span { days, from: minutes(from)?, to: minutes(to)? })
}

fn week(text: &str) -> Option<[bool; 7]> {
    let at = |name: &str| NAMES.iter().position(|known| name.eq_ignore_ascii_case(known));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (at(first)?, at(last)?),
        None => (at(text)?, at(text)?),
    };
    let mut days = [false; 7];
    for step in 0..7 {
        let day = (first + step) % 7;
        days[day] = true;
        if day == last {
            break;
        }
    }
    Some(days)
}

fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && hours * 60 + minutes <= DAY).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times() {
        let office = Window::parse("Mon-Fri 08:00-18:00").unwrap();
        assert!(office.open(0, 8 * 60) && office.open(4, 18 * 60 - 1));
        assert!(!office.open(0, 8 * 60 - 1) && !office.open(4, 18 * 60) && !office.open(5, 600));
        let night = Window::parse("Fri-Sat 22:00-02:00, Wed 12:00-13:00").unwrap();
        assert!(night.open(4, 23 * 60) && night.open(5, 60) && night.open(6, 60));
        assert!(!night.open(4, 60) && night.open(2, 12 * 60));
        assert!(Window::parse("00:00-24:00").unwrap().open(6, 1439));
        for wrong in ["", "Mon", "Foo 08:00-09:00", "08:00", "25:00-26:00", "Mon-Fri 8-18"] {
            assert_eq!(Window::parse(wrong), None, "{wrong}");
        }
    }
}
