//! Values to and from bytes: numbers little-endian, lists and texts behind their length.

use alloc::string::String;
use alloc::vec::Vec;

use crate::report::ReportError;

/// Bytes of a text; what is longer loses its end.
const MAX_TEXT: usize = 4096;

/// What is left to read.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], ReportError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(ReportError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn tag(&mut self) -> Result<u8, ReportError> {
        u8::take(self)
    }
}

/// A value that a report holds.
pub(crate) trait Value: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(input: &mut Input<'_>) -> Result<Self, ReportError>;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Value for $number {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
                let mut bytes = [0; size_of::<Self>()];
                bytes.copy_from_slice(input.take(size_of::<Self>())?);
                Ok(Self::from_le_bytes(bytes))
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64, i32, i64);

impl<const N: usize> Value for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(input.take(N)?);
        Ok(bytes)
    }
}

impl Value for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        match input.tag()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(ReportError::Tag { of: "bool", tag }),
        }
    }
}

impl Value for usize {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        Ok(Self::try_from(u64::take(input)?).unwrap_or(Self::MAX))
    }
}

impl<T: Value> Value for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        Ok(if bool::take(input)? { Some(T::take(input)?) } else { None })
    }
}

impl<T: Value> Value for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        // A report is bounded as a whole, to less than what two bytes count.
        (self.len() as u16).put(out);
        for value in self {
            value.put(out);
        }
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        // Each value has a byte at least: a wrong length cannot make us take memory.
        let len = u16::take(input)?;
        (0..len).map(|_| T::take(input)).collect()
    }
}

impl Value for String {
    fn put(&self, out: &mut Vec<u8>) {
        let mut end = self.len().min(MAX_TEXT);
        while !self.is_char_boundary(end) {
            end -= 1;
        }
        let text = &self[..end];
        (text.len() as u16).put(out);
        out.extend_from_slice(text.as_bytes());
    }

    fn take(input: &mut Input<'_>) -> Result<Self, ReportError> {
        let len = u16::take(input)?;
        let bytes = input.take(usize::from(len))?;
        Self::from_utf8(bytes.to_vec()).map_err(|_| ReportError::Text)
    }
}
