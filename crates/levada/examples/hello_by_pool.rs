//! Says hello to a TLS server and prints its answer: `hello_by_pool HOST:PORT NAME`. The keys, and
//! whom to trust, are in the pool at `LEVADA_POOL`; else it is the example `hello`.

use std::error::Error;

use levada::{Address, Options, PoolTls, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [host, name] = words.as_slice() else { return Err("usage: HOST:PORT NAME".into()) };
    let endpoint = format!("tcp://{host}").parse::<Address>()?.for_connecting()?.endpoint;
    let tls = PoolTls::at(std::env::var("LEVADA_POOL")?).client(name)?;
    let mut stream = Socket::dial(endpoint, tls, Options::default());
    stream.write_all(b"hello\n").await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    print!("{answer}");
    eprintln!("{}", stream.closed().await);
    Ok(())
}
