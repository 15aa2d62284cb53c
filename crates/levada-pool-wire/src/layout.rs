//! Where every field of a packet stands: declared once, used by the codec, shown in the docs.
//!
//! Source: TLS Pool protocol V2, packet layout. The structures of the protocol are packed to two
//! bytes, so the layout is the same for 32-bit and 64-bit programs; numbers are in host byte
//! order, which is little-endian on the systems that this crate supports.

/// Bytes in every packet, in both directions.
pub const PACKET_SIZE: usize = 388;

/// Where the bodies begin: behind request id, callback id and command.
pub const BODY_OFFSET: usize = 8;

/// Bytes that a body can use.
pub const BODY_SIZE: usize = PACKET_SIZE - BODY_OFFSET;

/// One field of a packet, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldInfo {
    /// The part of the packet that it belongs to: `header`, or the name of a body.
    pub part: &'static str,
    /// Its name in the protocol.
    pub name: &'static str,
    /// Its type in the protocol; `char[n]` is text that ends with a NUL.
    pub kind: &'static str,
    /// Its first byte, counted from the start of the packet.
    pub offset: usize,
    /// Its length in bytes.
    pub size: usize,
}

/// A field of `N` bytes that the compiler has proved to lie inside the packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<const N: usize> {
    part: &'static str,
    name: &'static str,
    kind: &'static str,
    pub(crate) offset: usize,
}

impl<const N: usize> Field<N> {
    /// Evaluated in constants only: a field outside the packet does not compile.
    const fn at(
        part: &'static str,
        name: &'static str,
        kind: &'static str,
        base: usize,
        offset: usize,
    ) -> Self {
        assert!(base + offset + N <= PACKET_SIZE);
        Self { part, name, kind, offset: base + offset }
    }

    pub(crate) const fn info(&self) -> FieldInfo {
        let Self { part, name, kind, offset } = *self;
        FieldInfo { part, name, kind, offset, size: N }
    }
}

/// Declares the fields of each part: `CONSTANT name kind: size at offset-in-part`.
macro_rules! layout {
    ($(
        $(#[$doc:meta])*
        $part:ident from $base:ident {
            $($constant:ident $name:literal $kind:literal: $size:literal at $offset:literal;)*
        }
    )*) => {
        $(
            $(#[$doc])*
            pub(crate) mod $part {
                use super::Field;
                $(
                    pub(crate) const $constant: Field<$size> = Field::at(
                        stringify!($part), $name, $kind, super::$base, $offset,
                    );
                )*
            }
        )*

        /// Every field of every part, in the order of the protocol's description.
        pub const FIELDS: &[FieldInfo] = &[$($($part::$constant.info()),*),*];
    };
}

const PACKET_START: usize = 0;

layout! {
    /// What every packet has.
    header from PACKET_START {
        REQUEST_ID "request id" "u16": 2 at 0;
        CALLBACK_ID "callback id" "u16": 2 at 2;
        COMMAND "command" "u32": 4 at 4;
    }

    /// ERROR.
    error from BODY_OFFSET {
        CODE "code" "i32": 4 at 0;
        MESSAGE "message" "char[128]": 128 at 4;
    }

    /// PING.
    ping from BODY_OFFSET {
        PRODUCER "producer" "char[136]": 136 at 0;
        FACILITIES "facilities" "u32": 4 at 136;
    }

    /// STARTTLS, its local identity callback and `PLAINTEXT_CONNECT`. Byte 9 of the body is
    /// padding.
    starttls from BODY_OFFSET {
        FLAGS "flags" "u32": 4 at 0;
        LOCAL "local" "u32": 4 at 4;
        IPPROTO "ipproto" "u8": 1 at 8;
        STREAM_ID "streamid" "u16": 2 at 10;
        LOCAL_ID "localid" "char[128]": 128 at 12;
        REMOTE_ID "remoteid" "char[128]": 128 at 140;
        CONTROL_KEY "ctlkey" "u8[16]": 16 at 268;
        SERVICE "service" "char[16]": 16 at 284;
        TIMEOUT "timeout (ms)" "u32": 4 at 300;
        SPARE "spare" "u8[76]": 76 at 304;
    }

    /// PINENTRY.
    pinentry from BODY_OFFSET {
        FLAGS "flags" "u32": 4 at 0;
        ATTEMPT "attempt" "u32": 4 at 4;
        TIMEOUT "timeout (µs)" "u32": 4 at 8;
        PIN "pin" "char[128]": 128 at 12;
        PROMPT "prompt" "char[128]": 128 at 140;
        MANUFACTURER "manufacturer" "char[36]": 36 at 268;
        MODEL "model" "char[20]": 20 at 304;
        SERIAL "serial" "char[20]": 20 at 324;
        LABEL "label" "char[36]": 36 at 344;
    }

    /// `LIDENTRY_REGISTER` and `LIDENTRY_CALLBACK`. The timeout is not aligned.
    lidentry from BODY_OFFSET {
        FLAGS "flags" "u32": 4 at 0;
        MAX_LEVELS "maxlevels" "u16": 2 at 4;
        TIMEOUT "timeout (s)" "u32": 4 at 6;
        LOCAL_ID "localid" "char[128]": 128 at 10;
        REMOTE_ID "remoteid" "char[128]": 128 at 138;
    }

    /// `CONTROL_DETACH` and `CONTROL_REATTACH`. Nobody uses the name.
    control from BODY_OFFSET {
        FLAGS "flags" "u32": 4 at 0;
        CONTROL_KEY "ctlkey" "u8[16]": 16 at 4;
        NAME "name" "char[128]": 128 at 20;
    }

    /// PRNG.
    prng from BODY_OFFSET {
        LABEL_LEN "in1_len" "i16": 2 at 0;
        CONTEXT_LEN "in2_len" "i16": 2 at 2;
        OUTPUT_LEN "out_len" "i16": 2 at 4;
        BUFFER "buffer" "u8[350]": 350 at 6;
    }

    /// INFO.
    info from BODY_OFFSET {
        CONTROL_KEY "ctlkey" "u8[16]": 16 at 0;
        KIND "kind" "u32": 4 at 16;
        LEN "len" "u16": 2 at 20;
        BUFFER "buffer" "u8[334]": 334 at 22;
    }

    /// What private and unknown commands carry: all the bytes, as they came.
    opaque from BODY_OFFSET {
        BODY "body" "u8[380]": 380 at 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of A.2, typed anew from the protocol's description and not from the code:
    /// part, field, offset in the body, offset in the packet, size.
    const A2: &[(&str, &str, usize, usize, usize)] = &[
        ("header", "request id", 0, 0, 2),
        ("header", "callback id", 2, 2, 2),
        ("header", "command", 4, 4, 4),
        ("error", "code", 0, 8, 4),
        ("error", "message", 4, 12, 128),
        ("ping", "producer", 0, 8, 136),
        ("ping", "facilities", 136, 144, 4),
        ("starttls", "flags", 0, 8, 4),
        ("starttls", "local", 4, 12, 4),
        ("starttls", "ipproto", 8, 16, 1),
        ("starttls", "streamid", 10, 18, 2),
        ("starttls", "localid", 12, 20, 128),
        ("starttls", "remoteid", 140, 148, 128),
        ("starttls", "ctlkey", 268, 276, 16),
        ("starttls", "service", 284, 292, 16),
        ("starttls", "timeout (ms)", 300, 308, 4),
        ("starttls", "spare", 304, 312, 76),
        ("pinentry", "flags", 0, 8, 4),
        ("pinentry", "attempt", 4, 12, 4),
        ("pinentry", "timeout (µs)", 8, 16, 4),
        ("pinentry", "pin", 12, 20, 128),
        ("pinentry", "prompt", 140, 148, 128),
        ("pinentry", "manufacturer", 268, 276, 36),
        ("pinentry", "model", 304, 312, 20),
        ("pinentry", "serial", 324, 332, 20),
        ("pinentry", "label", 344, 352, 36),
        ("lidentry", "flags", 0, 8, 4),
        ("lidentry", "maxlevels", 4, 12, 2),
        ("lidentry", "timeout (s)", 6, 14, 4),
        ("lidentry", "localid", 10, 18, 128),
        ("lidentry", "remoteid", 138, 146, 128),
        ("control", "flags", 0, 8, 4),
        ("control", "ctlkey", 4, 12, 16),
        ("control", "name", 20, 28, 128),
        ("prng", "in1_len", 0, 8, 2),
        ("prng", "in2_len", 2, 10, 2),
        ("prng", "out_len", 4, 12, 2),
        ("prng", "buffer", 6, 14, 350),
        ("info", "ctlkey", 0, 8, 16),
        ("info", "kind", 16, 24, 4),
        ("info", "len", 20, 28, 2),
        ("info", "buffer", 22, 30, 334),
        ("opaque", "body", 0, 8, 380),
    ];

    /// The sizes of A.2, to which the last field of each body must reach.
    const A2_SIZES: &[(&str, usize)] = &[
        ("error", 132),
        ("ping", 140),
        ("pinentry", 380),
        ("lidentry", 266),
        ("control", 148),
        ("prng", 356),
        ("info", 356),
    ];

    #[test]
    fn a2_every_field_stands_where_the_protocol_says() {
        assert_eq!(FIELDS.len(), A2.len());
        for (field, &(part, name, in_part, in_packet, size)) in FIELDS.iter().zip(A2) {
            assert_eq!(
                (field.part, field.name, field.offset, field.size),
                (part, name, in_packet, size)
            );
            let base = if part == "header" { 0 } else { BODY_OFFSET };
            assert_eq!(field.offset - base, in_part, "{part}.{name}");
        }
    }

    #[test]
    fn a2_every_body_has_its_size() {
        for &(part, size) in A2_SIZES {
            let end = FIELDS.iter().filter(|f| f.part == part).map(|f| f.offset + f.size).max();
            assert_eq!(end, Some(BODY_OFFSET + size), "{part}");
        }
        assert_eq!(starttls::TIMEOUT.offset + 4 - BODY_OFFSET, 304);
        assert_eq!(starttls::SPARE.offset, 312);
        assert_eq!(BODY_SIZE, 380);
    }

    #[test]
    fn a2_fields_of_a_body_do_not_overlap_and_leave_only_the_pad_byte() {
        for pair in FIELDS.windows(2).filter(|pair| pair[0].part == pair[1].part) {
            let gap = pair[1].offset - (pair[0].offset + pair[0].size);
            assert_eq!(gap, usize::from(pair[0].name == "ipproto"), "{pair:?}");
        }
    }
}
