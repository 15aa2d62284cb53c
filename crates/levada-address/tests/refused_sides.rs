//! Good addresses that are refused for their use, and every word of the error.

mod support;

use support::{Table, assert_refused};

const LISTENING: Table = &[
    (
        "echo:",
        "\
`echo:` is not for listening
    echo:
    ^^^^",
    ),
    (
        "tls://:1",
        "\
`cert` is needed for listening
    tls://*:1
             ^
    add `cert=FILE`, and `key=FILE`",
    ),
    (
        "tls://:1?cert=a&ca=b",
        "\
`ca` is not for listening
    tls://*:1?cert=a&ca=b
                     ^^^^
    `ca` is for connecting",
    ),
    (
        "tls://:1?cert=a&cert=b&key=c",
        "\
1 key for 2 certificates
    tls://*:1?cert=a&cert=b&key=c
                            ^^^^^
    the n-th key is for the n-th certificate; name a file that holds both twice",
    ),
    (
        "tls://:1?cert=a&key=b&key=c",
        "\
2 keys for 1 certificate
    tls://*:1?cert=a&key=b&key=c
                     ^^^^^
    the n-th key is for the n-th certificate; name a file that holds both twice",
    ),
    (
        "tls://:1?cert=a&cert=b&ocsp=c",
        "\
1 response for 2 certificates
    tls://*:1?cert=a&cert=b&ocsp=c
                            ^^^^^^
    the n-th response is for the n-th certificate",
    ),
    (
        "tls://:1?cert=a&client-auth=required",
        "\
`client-auth` needs `client-ca`
    tls://*:1?cert=a&client-auth=required
                     ^^^^^^^^^^^^^^^^^^^^
    add `client-ca=FILE` with the authorities that vouch for clients",
    ),
    (
        "tls://:1?cert=a&client-san=dns:b.example",
        "\
`client-san` needs `client-ca`
    tls://*:1?cert=a&client-san=dns:b.example
                     ^^^^^^^^^^^^^^^^^^^^^^^^
    add `client-ca=FILE` with the authorities that vouch for clients",
    ),
    (
        "tls://:1?cert=a&client-ca=b&client-crl-check=leaf",
        "\
`client-crl-check` needs `client-crl`
    tls://*:1?cert=a&client-ca=b&client-crl-check=leaf
                                 ^^^^^^^^^^^^^^^^^^^^^",
    ),
    (
        "tls://:1?cert=a&passphrase-file=b&passphrase-env=C",
        "\
`passphrase-env` and `passphrase-file` exclude each other
    tls://*:1?cert=a&passphrase-file=b&passphrase-env=C
                                       ^^^^^^^^^^^^^^^^
    leave one of them away",
    ),
    (
        "tcp://127.0.0.1:1?family=6",
        "\
the versions of IP contradict each other
    tcp://127.0.0.1:1?family=6
                      ^^^^^^^^",
    ),
    (
        "tcp://:1?bind=10.0.0.1",
        "\
`bind` is not for listening
    tcp://*:1?bind=10.0.0.1
              ^^^^^^^^^^^^^
    `bind` is for connecting",
    ),
];

const CONNECTING: Table = &[
    (
        "tcp://:80",
        "\
a host is needed for connecting
    tcp://*:80
          ^
    for this machine write `localhost`",
    ),
    (
        "tls://*:443",
        "\
a host is needed for connecting
    tls://*:443
          ^
    for this machine write `localhost`",
    ),
    (
        "tcp://h:0",
        "\
port 0 is for listening only
    tcp://h:0
            ^",
    ),
    (
        "tls://h:1?client-ca=a",
        "\
`client-ca` is not for connecting
    tls://h:1?client-ca=a
              ^^^^^^^^^^^
    `client-ca` is for listening",
    ),
    (
        "tls://h:1?cert=a&cert=b",
        "\
`cert` may stand only once
    tls://h:1?cert=a&cert=b
                     ^^^^^^",
    ),
    (
        "tls://h:1?crl=a&pin=spki:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "\
`crl` needs `ca`
    tls://h:1?crl=a&pin=spki:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
              ^^^^^
    add `ca=FILE` with the authorities that have made the lists",
    ),
    (
        "tls://h:1?key=a",
        "\
`key` needs `cert`
    tls://h:1?key=a
              ^^^^^
    add `cert=FILE`",
    ),
    (
        "tls://h:1?passphrase-file=a",
        "\
`passphrase-file` needs `cert`
    tls://h:1?passphrase-file=a
              ^^^^^^^^^^^^^^^^^
    add `cert=FILE`",
    ),
    (
        "tcp://h:1?proxy-password-env=P",
        "\
`proxy-password-env` needs `proxy`
    tcp://h:1?proxy-password-env=P
              ^^^^^^^^^^^^^^^^^^^^
    add `proxy=http://HOST:PORT`",
    ),
    (
        "tcp://h:1?proxy=http://p:1&proxy-password-file=f",
        "\
`proxy-password-file` needs `proxy`
    tcp://h:1?proxy=http://p:1&proxy-password-file=f
                               ^^^^^^^^^^^^^^^^^^^^^
    name whose it is: `proxy=http://USER@HOST:PORT`",
    ),
    (
        "tcp://h:1?proxy=http://m%40p:1&proxy-password-file=f&proxy-password-env=P",
        "\
`proxy-password-env` and `proxy-password-file` exclude each other
    tcp://h:1?proxy=http://m@p:1&proxy-password-file=f&proxy-password-env=P
                                                       ^^^^^^^^^^^^^^^^^^^^
    leave one of them away",
    ),
    (
        "tcp://h:1?proxy=http://p:1&proxy-ca=c",
        "\
`proxy-ca` needs `proxy`
    tcp://h:1?proxy=http://p:1&proxy-ca=c
                               ^^^^^^^^^^
    a proxy under TLS is written `https://`",
    ),
    (
        "tcp://h:1?proxy=http://[::1]:1&family=4",
        "\
the versions of IP contradict each other
    tcp://h:1?proxy=http://[::1]:1&family=4
                                   ^^^^^^^^",
    ),
    (
        "tcp://[::1]:1?family=4",
        "\
the versions of IP contradict each other
    tcp://[::1]:1?family=4
                  ^^^^^^^^",
    ),
    (
        "tcp://10.0.0.1:1?bind=[::1]",
        "\
the versions of IP contradict each other
    tcp://10.0.0.1:1?bind=[::1]
                     ^^^^^^^^^^",
    ),
    (
        "tcp://h:1?family=4&bind=[::1]",
        "\
the versions of IP contradict each other
    tcp://h:1?family=4&bind=[::1]
                       ^^^^^^^^^^",
    ),
];

#[test]
fn what_cannot_listen_is_refused() {
    assert_refused(LISTENING, |address| address.for_listening().map(drop));
}

#[test]
fn what_cannot_connect_is_refused() {
    assert_refused(CONNECTING, |address| address.for_connecting().map(drop));
}
