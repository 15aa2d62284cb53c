//! A TLS terminator in thirty lines: `terminate LISTEN TO`, both addresses of Levada's grammar.
//!
//! ```sh
//! cargo run --example terminate 'tls://127.0.0.1:8443?cert=cert.pem&key=key.pem' tcp://127.0.0.1:80
//! ```

use std::error::Error;

use levada::{Dialer, listen, relay};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [listen_at, to] = words.as_slice() else { return Err("usage: terminate LISTEN TO".into()) };
    let listener = listen(&listen_at.parse()?).await?;
    let dialer = Dialer::new(&to.parse()?)?;
    loop {
        let mut client = listener.accept().await?;
        let mut target = dialer.dial()?;
        tokio::spawn(async move {
            if client.established().await.is_ok() {
                let (client, target) = relay(&mut client, &mut target).await;
                println!("client: {client}; target: {target}");
            } else if let Some(ended) = client.ended() {
                println!("client: {ended}");
            }
        });
    }
}
