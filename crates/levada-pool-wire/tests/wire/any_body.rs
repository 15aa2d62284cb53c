//! What holds for any body of a private command. The fuzz target `pool_body` and the tests share this
//! function.

use levada_pool_wire::{Cut, HandBack, Message, Offer, Page, Secret};

/// Reads a body as each of the private commands, and writes what it is: that is read as the same again.
/// Shorter input is nothing, longer input is cut.
pub(crate) fn check(data: &[u8]) {
    let Some(bytes) = data.first_chunk::<380>() else { return };
    let body = Secret::new(*bytes);

    if let Ok(offer) = Offer::from_body(&body) {
        assert!(offer.alpn.iter().all(|name| (1..=255).contains(&name.len())));
        let message = offer.to_message().expect("what came in one packet goes into one");
        let Message::Local(Offer::COMMAND, again) = message else { panic!("another command") };
        assert_eq!(Offer::from_body(&again), Ok(offer));
    }

    match Page::of(&Message::Local(Page::COMMAND, body.clone())) {
        Some(Ok(page)) => {
            assert!(page.bytes().len() <= Page::MAX_LEN);
            let asked = page.reply(b"text");
            assert_eq!(asked.offset, page.offset);
            assert_eq!(Page::of(&page.clone().into()), Some(Ok(page)));
        }
        Some(Err(error)) => assert!(usize::from(error.stated) > Page::MAX_LEN),
        None => panic!("it has the command"),
    }

    let cut = Cut::from_body(&body);
    assert_eq!(cut.control_key.expose(), &bytes[..16]);
    let Message::Local(Cut::COMMAND, again) = Message::from(cut.clone()) else {
        panic!("another command")
    };
    assert_eq!(Cut::from_body(&again), cut);

    if let Ok(hand_back) = HandBack::from_body(&body) {
        let Message::Local(HandBack::COMMAND, again) = Message::from(hand_back.clone()) else {
            panic!("another command")
        };
        assert_eq!(HandBack::from_body(&again), Ok(hand_back));
    }
}
