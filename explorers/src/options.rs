//! What a page's controls say: words `name=value`, with PyTorch's names.

use std::str::FromStr;

use candlelight::size::Size2;

/// Words `name=value`, each read at most once.
pub struct Options<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Options<'a> {
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let words = text.split_whitespace().map(|word| {
            let pair = word.split_once('=');
            pair.ok_or_else(|| format!("{word} is no option; write name=value"))
        });
        words.collect::<Result<_, _>>().map(Self)
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let index = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(index).1)
    }

    /// The value of `name`, or what stands for it where it is not given.
    pub fn or<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, String> {
        match self.take(name) {
            None => Ok(default),
            Some(value) => value
                .parse()
                .map_err(|_| format!("{name}={value} cannot be read")),
        }
    }

    pub fn text(&mut self, name: &str, default: &'a str) -> &'a str {
        self.take(name).unwrap_or(default)
    }

    /// An int or a pair, as in `stride=2` and `stride=2,1`.
    pub fn size(&mut self, name: &str, default: Size2) -> Result<Size2, String> {
        self.take(name)
            .map_or(Ok(default), |value| size(name, value))
    }

    /// To be called when all that is known has been read.
    pub fn end(self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, value)) => Err(format!("{name}={value} is not an option of this explorer")),
        }
    }
}

pub fn size(name: &str, value: &str) -> Result<Size2, String> {
    let wrong = || format!("{name}={value} is neither an int nor a pair; write 2 or 2,1");
    let number = |text: &str| text.parse::<usize>().map_err(|_| wrong());
    match value.split_once(',') {
        None => Ok(Size2::from(number(value)?)),
        Some((h, w)) => Ok(Size2::from((number(h)?, number(w)?))),
    }
}

/// As one writes it in Rust and in Python: `2`, or `(2, 1)`.
pub fn written(size: Size2) -> String {
    match size.h == size.w {
        true => size.h.to_string(),
        false => size.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_once_and_what_is_left_is_refused() {
        let mut options = Options::parse("stride=2,1 groups=3 colour=red").unwrap();
        assert_eq!(
            options.size("stride", 1.into()).unwrap(),
            Size2 { h: 2, w: 1 }
        );
        assert_eq!(
            options.size("dilation", 1.into()).unwrap(),
            Size2 { h: 1, w: 1 }
        );
        assert_eq!(options.or("groups", 1).unwrap(), 3);
        assert_eq!(
            options.end().unwrap_err(),
            "colour=red is not an option of this explorer"
        );
        assert!(Options::parse("stride").is_err());
        let mut options = Options::parse("stride=two groups=x").unwrap();
        assert!(
            options
                .size("stride", 1.into())
                .unwrap_err()
                .contains("neither an int")
        );
        assert!(options.or("groups", 1).unwrap_err().contains("groups=x"));
    }
}
