//! Requests as RESP2 has them: an array of bulk strings. Nothing is copied or allocated: a request is where its arguments are.
//!
//! What registry crates parse is the whole of RESP, into trees that they allocate, without a bound to what a client may send.

use std::ops::Range;

/// The most arguments of a request, its name included.
pub const ARGS_MAX: usize = 256;
/// The most bytes of an argument.
pub const BULK_MAX: usize = 512 << 10;
/// The most bytes of a request.
pub const REQUEST_MAX: usize = 1 << 20;
/// The most bytes of a line that says how many or how long, its end included.
const LINE_MAX: usize = 16;

/// What there is at the beginning of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A request of that many bytes.
    Request(usize),
    /// The beginning of one.
    Partial,
}

/// Why the input is no request. The connection is not in step any more, and is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It does not begin as an array does, or an argument not as a bulk string.
    Type,
    /// A number is none, or its line does not end.
    Number,
    /// An argument is not followed by the end of its line.
    End,
    /// Above one of the three limits.
    TooLarge,
}

impl Malformed {
    /// Returns what the client is told.
    pub fn message(self) -> &'static str {
        match self {
            Self::Type => "Protocol error: expected an array of bulk strings",
            Self::Number => "Protocol error: invalid length",
            Self::End => "Protocol error: expected CRLF after a bulk string",
            Self::TooLarge => "Protocol error: request too large",
        }
    }
}

/// Reads the request at the beginning of `input`, and leaves in `args` where in it the arguments are.
///
/// # Errors
///
/// [`Malformed`].
pub fn parse(input: &[u8], args: &mut Vec<Range<usize>>) -> Result<Parsed, Malformed> {
    args.clear();
    let Some((count, mut at)) = number(input, 0, b'*')? else { return Ok(Parsed::Partial) };
    if count > ARGS_MAX {
        return Err(Malformed::TooLarge);
    }
    for _ in 0..count {
        let Some((len, start)) = number(input, at, b'$')? else { return Ok(Parsed::Partial) };
        let end = start + len;
        // Before it has come, so that nobody is made to keep what is too large.
        if len > BULK_MAX || end > REQUEST_MAX {
            return Err(Malformed::TooLarge);
        }
        match input.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(Malformed::End),
            None => return Ok(Parsed::Partial),
        }
        args.push(start..end);
        at = end + 2;
    }
    Ok(Parsed::Request(at))
}

/// The number in the line at `at` that begins with `sign`, and where the next line begins; none if it has not come as a whole.
fn number(input: &[u8], at: usize, sign: u8) -> Result<Option<(usize, usize)>, Malformed> {
    let line = &input[at..];
    let Some((first, digits)) = line.split_first() else { return Ok(None) };
    if *first != sign {
        return Err(Malformed::Type);
    }
    let mut number = 0_usize;
    for (index, byte) in digits.iter().take(LINE_MAX).enumerate() {
        match byte {
            // Of at most 16 digits.
            b'0'..=b'9' => number = number * 10 + usize::from(byte - b'0'),
            b'\r' if index > 0 => {
                return match digits.get(index + 1) {
                    Some(b'\n') => Ok(Some((number, at + index + 3))),
                    Some(_) => Err(Malformed::Number),
                    None => Ok(None),
                };
            }
            _ => return Err(Malformed::Number),
        }
    }
    if digits.len() < LINE_MAX { Ok(None) } else { Err(Malformed::Number) }
}

/// Writes a bulk string.
pub fn bulk(out: &mut Vec<u8>, value: &[u8]) {
    length(out, b'$', value.len() as u64);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes the bulk string that is none.
pub fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"$-1\r\n");
}

/// Writes the beginning of an array.
pub fn array(out: &mut Vec<u8>, len: usize) {
    length(out, b'*', len as u64);
}

/// Writes an integer.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.extend_from_slice(b":-");
        digits(out, value.unsigned_abs());
        out.extend_from_slice(b"\r\n");
    } else {
        length(out, b':', value.unsigned_abs());
    }
}

/// Writes an error.
pub fn error(out: &mut Vec<u8>, message: &str) {
    out.extend_from_slice(b"-ERR ");
    out.extend_from_slice(message.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn length(out: &mut Vec<u8>, sign: u8, value: u64) {
    out.push(sign);
    digits(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a number, without allocating.
pub fn digits(out: &mut Vec<u8>, mut value: u64) {
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> (Result<Parsed, Malformed>, Vec<&[u8]>) {
        let mut args = Vec::new();
        let parsed = parse(input, &mut args);
        (parsed, args.into_iter().map(|arg| &input[arg]).collect())
    }

    #[test]
    fn a_request_is_partial_until_its_last_byte() {
        let whole = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n\0v\r\n";
        for len in 0..whole.len() {
            assert_eq!(read(&whole[..len]).0, Ok(Parsed::Partial), "{len}");
        }
        let (parsed, args) = read(whole);
        assert_eq!(parsed, Ok(Parsed::Request(whole.len())));
        assert_eq!(args, [&b"SET"[..], b"k", b"\r\n\0v"]);
        let twice = [&whole[..], whole].concat();
        assert_eq!(read(&twice).0, Ok(Parsed::Request(whole.len())));
        assert_eq!(read(b"*0\r\n"), (Ok(Parsed::Request(4)), vec![]));
    }

    #[test]
    fn what_is_no_request_is_told_from_what_has_not_come() {
        for (input, why) in [
            (&b"GET k\r\n"[..], Malformed::Type),
            (b"*1\r\n+OK\r\n", Malformed::Type),
            (b"*-1\r\n", Malformed::Number),
            (b"*\r\n", Malformed::Number),
            (b"*1\rx", Malformed::Number),
            (b"*1\r\n$x\r\n", Malformed::Number),
            (b"*11111111111111111111111111111111111", Malformed::Number),
            (b"*1\r\n$3\r\nPINGS\r\n", Malformed::End),
            (b"*257\r\n", Malformed::TooLarge),
            (b"*1\r\n$524289\r\n", Malformed::TooLarge),
            (b"*9999999999999\r\n", Malformed::TooLarge),
        ] {
            assert_eq!(read(input).0, Err(why), "{}", input.escape_ascii());
        }
        let mut sum = b"*3\r\n".to_vec();
        for _ in 0..2 {
            bulk(&mut sum, &vec![b'x'; BULK_MAX]);
        }
        assert_eq!(read(&sum).0, Err(Malformed::TooLarge));
    }

    #[test]
    fn numbers_are_written_as_they_are() {
        for value in [0, 7, -1, 10, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            integer(&mut out, value);
            assert_eq!(out, format!(":{value}\r\n").into_bytes());
        }
    }
}
