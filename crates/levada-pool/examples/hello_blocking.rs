//! Says hello to a TLS server and prints its answer, without a runtime: `hello_blocking HOST:PORT NAME`.
//! The keys, and whom to trust, are in the pool at `LEVADA_POOL`.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;

use levada_pool::{TlsRequest, VARIABLE, blocking};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [host, name] = words.as_slice() else { return Err("usage: HOST:PORT NAME".into()) };
    let pool = blocking::Client::connect(std::env::var(VARIABLE)?)?;
    // Without the pool: `let mut stream = TcpStream::connect(host)?;`
    let mut stream = pool.stream(TcpStream::connect(host)?, &TlsRequest::client(name)?)?;
    stream.write_all(b"hello\n")?;
    stream.finish()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    print!("{answer}");
    if let Some(kernel_tls) = &stream.facts().kernel_tls {
        eprintln!("records {kernel_tls}");
    }
    Ok(())
}
