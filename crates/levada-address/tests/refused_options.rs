//! Options that are refused, and every word of the error.

mod support;

use support::{Table, assert_refused};

const REFUSED: Table = &[
    (
        "tls://:8443?crt=a.pem",
        "\
unknown option `crt`
    tls://:8443?crt=a.pem
                ^^^
    did you mean `cert`?",
    ),
    (
        "tls://:1?passphrase=secret",
        "\
unknown option `passphrase`
    tls://:1?passphrase=******
             ^^^^^^^^^^
    did you mean `passphrase-file`?",
    ),
    (
        "tcp://:1?cert=a",
        "\
`cert` means nothing to `tcp:`
    tcp://:1?cert=a
             ^^^^
    it is an option of `tls:` and `wss:`",
    ),
    (
        "unix:/x?family=4",
        "\
`family` means nothing to `unix:`
    unix:/x?family=4
            ^^^^^^
    it is an option of `tcp:`, `tls:`, `pool+tls:`, `ws:` and `wss:`",
    ),
    (
        "tls://:1?",
        "\
an option is missing
    tls://:1?
             ^
    options are `word=value`, with `&` between them",
    ),
    (
        "tls://:1?cert=a&",
        "\
an option is missing
    tls://:1?cert=a&
                    ^
    options are `word=value`, with `&` between them",
    ),
    (
        "tls://:1?cert",
        "\
`cert` has no value
    tls://:1?cert
                 ^
    give it one: `cert=FILE`",
    ),
    (
        "tls://:1?cert=",
        "\
the value is missing
    tls://:1?cert=
                  ^
    give it a value: FILE",
    ),
    (
        "tls://:1?=a",
        "\
an option is missing
    tls://:1?=a
             ^
    options are `word=value`, with `&` between them",
    ),
    (
        "tls://h:1?sni=a&sni=b",
        "\
`sni` may stand only once
    tls://h:1?sni=a&sni=b
                    ^^^^^",
    ),
    (
        "tls://:1?client-auth=yes",
        "\
this is none of the choices
    tls://:1?client-auth=yes
                         ^^^
    choose from `none`, `requested`, `required`",
    ),
    (
        "tcp://h:1?family=ipv4",
        "\
this is none of the choices
    tcp://h:1?family=ipv4
                     ^^^^
    choose from `4`, `6`, `any`",
    ),
    (
        "tls://h:1?alpn=h2,,x",
        "\
a protocol is missing
    tls://h:1?alpn=h2,,x
                      ^",
    ),
    (
        "tls://h:1?name=%C5%BEleb.cz",
        "\
a host name is written in ASCII
    tls://h:1?name=%C5%BEleb.cz
                   ^^^^^^^^^
    write the name in punycode, as `xn--…`",
    ),
    (
        "tls://h:1?name=a%20b",
        "\
a host name has no ` `
    tls://h:1?name=a%20b
                    ^^^",
    ),
    (
        "tls://h:1?sni=10.0.0.1",
        "\
this is an IP address, and no name
    tls://h:1?sni=10.0.0.1
                  ^^^^^^^^",
    ),
    (
        "tls://h:1?name=::1",
        "\
an IPv6 address stands between brackets
    tls://h:1?name=::1
                   ^^^
    did you mean `[::1]`?",
    ),
    (
        "tls://h:1?alpn=%zz",
        "\
`%` stands without two hexadecimal digits
    tls://h:1?alpn=%zz
                   ^
    two hexadecimal digits follow `%`; for `%` itself write `%25`",
    ),
    (
        "tcp://h:1?bind=eth0",
        "\
this is no IP address
    tcp://h:1?bind=eth0
                   ^^^^
    a local address is never looked up: write it as `10.0.0.1` or `[::1]`",
    ),
    (
        "tcp://h:1?bind=[::1]:x",
        "\
the port is no number from 0 to 65535
    tcp://h:1?bind=[::1]:x
                         ^
    write the number: names of services are not looked up",
    ),
    (
        "tcp://h:1?bind=::1",
        "\
an IPv6 address stands between brackets
    tcp://h:1?bind=::1
                   ^^^
    did you mean `[::1]`?",
    ),
    (
        "tcp://h:1?deadline-idle=10",
        "\
a time ends with its unit
    tcp://h:1?deadline-idle=10
                              ^
    did you mean `10s` or `10ms`?",
    ),
    (
        "tcp://h:1?deadline-idle=10d",
        "\
a time ends with its unit
    tcp://h:1?deadline-idle=10d
                              ^
    the units are ms, s, m and h",
    ),
    (
        "tcp://h:1?deadline-idle=soon",
        "\
a time begins with a whole number
    tcp://h:1?deadline-idle=soon
                            ^^^^
    write it as `250ms`, `10s`, `2m`, `1h` or `off`",
    ),
    (
        "tcp://h:1?deadline-idle=0s",
        "\
a deadline of zero can never be met
    tcp://h:1?deadline-idle=0s
                            ^^
    for no deadline write `off`",
    ),
    (
        "tcp://h:1?deadline-idle=9999h",
        "\
a deadline has at most 365 days
    tcp://h:1?deadline-idle=9999h
                            ^^^^^
    for no deadline write `off`",
    ),
    (
        "tls://h:1?max-record=63",
        "\
a record can be limited to a number of bytes from 64 to 16384
    tls://h:1?max-record=63
                         ^^",
    ),
    (
        "tls://h:1?resume=yes",
        "\
this is none of the choices
    tls://h:1?resume=yes
                     ^^^
    choose from `on`, `off`",
    ),
    (
        "tcp://h:1?deadline=1s",
        "\
unknown option `deadline`
    tcp://h:1?deadline=1s
              ^^^^^^^^
    did you mean `deadline-lookup`?",
    ),
];

#[test]
fn what_is_no_option_is_refused() {
    assert_refused(REFUSED, |_| Ok(()));
}
