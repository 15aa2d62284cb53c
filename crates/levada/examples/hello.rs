//! Says hello to a TLS server and prints its answer: `hello HOST:PORT NAME`. The example
//! `hello_by_pool` is the same with the keys, and whom to trust, in a pool: one line of it differs.

use std::error::Error;

use levada::{Address, Options, SessionName, Socket, TlsClient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [host, name] = words.as_slice() else { return Err("usage: HOST:PORT NAME".into()) };
    let endpoint = format!("tcp://{host}").parse::<Address>()?.for_connecting()?.endpoint;
    let tls = TlsClient::builder().build()?.session(&SessionName::new(name)?)?;
    let mut stream = Socket::dial(endpoint, tls, Options::default());
    stream.write_all(b"hello\n").await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    print!("{answer}");
    eprintln!("{}", stream.closed().await);
    Ok(())
}
