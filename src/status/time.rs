//! Unix seconds as people read them, in UTC.

const DAY: i64 = 86_400;

/// `11:32`
pub fn clock(unix: i64) -> String {
    let of_day = unix.rem_euclid(DAY);
    format!("{:02}:{:02}", of_day / 3600, of_day / 60 % 60)
}

/// `29.11 11:32:05`
pub fn moment(unix: i64) -> String {
    let (_, month, day) = date(unix.div_euclid(DAY));
    format!("{day:02}.{month:02} {}:{:02}", clock(unix), unix.rem_euclid(60))
}

/// Year, month and day of a day since 1970: by years that begin in March, so that a leap day is their last.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_that_of_the_calendar() {
        for (unix, date_of, said) in [
            (0, (1970, 1, 1), "01.01 00:00:00"),
            (951_782_399, (2000, 2, 28), "28.02 23:59:59"),
            (951_782_400, (2000, 2, 29), "29.02 00:00:00"),
            (1_795_951_925, (2026, 11, 29), "29.11 11:32:05"),
            (4_107_542_400, (2100, 3, 1), "01.03 00:00:00"),
        ] {
            assert_eq!((date(unix / DAY), moment(unix).as_str()), (date_of, said));
        }
        assert_eq!(clock(1_795_951_925), "11:32");
    }
}
