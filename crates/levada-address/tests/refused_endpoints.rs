//! Schemes and endpoints that are refused, and every word of the error.

mod support;

use support::{Table, assert_refused};

const REFUSED: Table = &[
    (
        "",
        "\
the address is empty
    
    ^
    an address is one of `tcp://host:port`, `tls://host:port`, `pool+tls://host:port`, `ws://host:port/path`, `wss://host:port/path`, `ws+unix:/path`, `unix:/path`, `stdio:`, `echo:`",
    ),
    (
        "localhost:80",
        "\
the scheme is missing
    localhost:80
    ^
    did you mean `tcp://localhost:80`?",
    ),
    (
        "localhost",
        "\
the scheme is missing
    localhost
    ^
    did you mean `tcp://localhost:80`?",
    ),
    (
        "/run/x.sock",
        "\
the scheme is missing
    /run/x.sock
    ^
    did you mean `unix:/run/x.sock`?",
    ),
    (
        "me:secret@host:80",
        "\
unknown scheme `me`
    *********@host:80
    ^^
    an address is one of `tcp://host:port`, `tls://host:port`, `pool+tls://host:port`, `ws://host:port/path`, `wss://host:port/path`, `ws+unix:/path`, `unix:/path`, `stdio:`, `echo:`",
    ),
    (
        "tsl://h:1",
        "\
unknown scheme `tsl`
    tsl://h:1
    ^^^
    did you mean `tls`?",
    ),
    (
        "https://me:secret@h",
        "\
unknown scheme `https`
    https://*********@h
    ^^^^^
    did you mean `tls`?",
    ),
    (
        "gopher://h",
        "\
unknown scheme `gopher`
    gopher://h
    ^^^^^^
    an address is one of `tcp://host:port`, `tls://host:port`, `pool+tls://host:port`, `ws://host:port/path`, `wss://host:port/path`, `ws+unix:/path`, `unix:/path`, `stdio:`, `echo:`",
    ),
    (
        "TCP://h:1",
        "\
unknown scheme `TCP`
    TCP://h:1
    ^^^
    did you mean `tcp`?",
    ),
    (
        "tcp:h:1",
        "\
`//` follows `tcp:`
    tcp:h:1
        ^
    did you mean `tcp://h:1`?",
    ),
    (
        "tcp:/h:1",
        "\
`//` follows `tcp:`
    tcp:/h:1
        ^
    did you mean `tcp://h:1`?",
    ),
    (
        "unix:///run/x",
        "\
no `//` follows `unix:`
    unix:///run/x
         ^^
    did you mean `unix:/run/x`?",
    ),
    (
        "unix:",
        "\
the Unix socket has no name
    unix:
         ^
    write `unix:/path`, or `unix:@name` for an abstract socket",
    ),
    (
        "unix:@",
        "\
the Unix socket has no name
    unix:@
          ^
    write `unix:/path`, or `unix:@name` for an abstract socket",
    ),
    (
        "stdio://",
        "\
no `//` follows `stdio:`
    stdio://
          ^^
    did you mean `stdio:`?",
    ),
    (
        "stdio:x",
        "\
nothing but options follows `stdio:`
    stdio:x
          ^
    did you mean `stdio:`?",
    ),
    (
        "tcp://",
        "\
the port is missing
    tcp://
          ^
    did you mean `tcp://:80`?",
    ),
    (
        "tcp://h",
        "\
the port is missing
    tcp://h
           ^
    did you mean `tcp://h:80`?",
    ),
    (
        "tls://h",
        "\
the port is missing
    tls://h
           ^
    did you mean `tls://h:443`?",
    ),
    (
        "tcp://h:",
        "\
the port is missing
    tcp://h:
            ^
    did you mean `tcp://h:80`?",
    ),
    (
        "tls://:?cert=a",
        "\
the port is missing
    tls://:?cert=a
           ^
    did you mean `tls://:443`?",
    ),
    (
        "tcp://h:http",
        "\
the port is no number from 0 to 65535
    tcp://h:http
            ^^^^
    write the number: names of services are not looked up",
    ),
    (
        "tcp://h:65536",
        "\
the port is no number from 0 to 65535
    tcp://h:65536
            ^^^^^",
    ),
    (
        "tcp://h:+1",
        "\
the port is no number from 0 to 65535
    tcp://h:+1
            ^^
    write the number: names of services are not looked up",
    ),
    (
        "tcp://me@h:1",
        "\
an address has no user name and no password
    tcp://**@h:1
          ^^^
    did you mean `tcp://h:1`?",
    ),
    (
        "tcp://h:1/",
        "\
nothing but options follows the port
    tcp://h:1/
             ^
    did you mean `tcp://h:1`?",
    ),
    (
        "tcp://h:1/a?family=4",
        "\
nothing but options follows the port
    tcp://h:1/a?family=4
             ^^
    did you mean `tcp://h:1`?",
    ),
    (
        "tcp://h:1#x",
        "\
an address has no fragment
    tcp://h:1#x
             ^^
    in a path or a value write `#` as `%23`",
    ),
    (
        "tcp://::1:80",
        "\
an IPv6 address stands between brackets
    tcp://::1:80
          ^^^^^^
    did you mean `tcp://[::1]:80`?",
    ),
    (
        "tls://2001:db8::1",
        "\
an IPv6 address stands between brackets
    tls://2001:db8::1
          ^^^^^^^^^^^
    did you mean `tls://[2001:db8::1]:443`?",
    ),
    (
        "tcp://[::1]",
        "\
the port is missing
    tcp://[::1]
               ^
    did you mean `tcp://[::1]:80`?",
    ),
    (
        "tcp://[::1",
        "\
the bracket is not closed
    tcp://[::1
          ^
    an IPv6 address stands between brackets: `[::1]`",
    ),
    (
        "tcp://[::1]80",
        "\
only a port follows the closing bracket
    tcp://[::1]80
               ^^",
    ),
    (
        "tcp://[::g]:1",
        "\
this is no IPv6 address
    tcp://[::g]:1
           ^^^
    between brackets stands an IPv6 address, such as `[::1]`",
    ),
    (
        "tcp://[fe80::1%eth0]:1",
        "\
an IPv6 address with a zone is not supported
    tcp://[fe80::1%eth0]:1
                  ^^^^^",
    ),
    (
        "tcp://žleb.cz:80",
        "\
a host name is written in ASCII
    tcp://žleb.cz:80
          ^^^^
    write the name in punycode, as `xn--…`",
    ),
    (
        "tcp://a..b:1",
        "\
a part of the host name is missing
    tcp://a..b:1
            ^",
    ),
    (
        "tcp://a b:1",
        "\
a host name has no ` `
    tcp://a b:1
           ^",
    ),
    (
        "tcp://-a:1",
        "\
no part of a host name begins or ends with a hyphen
    tcp://-a:1
          ^^",
    ),
    (
        "tcp://10.0.0:1",
        "\
this is neither an IPv4 address nor a host name
    tcp://10.0.0:1
          ^^^^^^
    an IPv4 address has four numbers from 0 to 255: `127.0.0.1`",
    ),
    (
        "unix:/run/%zz",
        "\
`%` stands without two hexadecimal digits
    unix:/run/%zz
              ^
    two hexadecimal digits follow `%`; for `%` itself write `%25`",
    ),
    (
        "unix:/a%00b",
        "\
a path holds no zero byte
    unix:/a%00b
           ^^^",
    ),
    (
        "tcp://h:1\r\n",
        "\
the control character U+000D stands in the address
    tcp://h:1␍␊
             ^
    in a path or a value write it as `%0D`",
    ),
    (
        "unix:/水渠/\u{7}",
        "\
the control character U+0007 stands in the address
    unix:/水渠/␇
               ^
    in a path or a value write it as `%07`",
    ),
];

#[test]
fn what_is_no_endpoint_is_refused() {
    assert_refused(REFUSED, |_| Ok(()));
}
