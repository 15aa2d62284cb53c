/* The TLS pool for C and C++: pass a connected socket, get plaintext back, never see a key.
 *
 * Programs with an event loop watch levada_pool_descriptor() for reading, and call
 * levada_pool_process() when it is readable; what they ask for comes back as an event with the number
 * of the request. Programs that do one thing after another call levada_pool_starttls().
 *
 * A handle is for one thread at a time, whichever that is; two handles have nothing in common. No
 * function starts a thread, takes a signal, or ends the process. Texts are UTF-8 and end with a NUL.
 * Pointers in what a handle tells are good until the next call with that handle.
 *
 * Written by cbindgen from the sources in bindings/c/src. */


#ifndef LEVADA_POOL_H
#define LEVADA_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Flag of a request: we are the TLS client. This or LEVADA_POOL_SERVER has to be set.
 */
#define LEVADA_POOL_CLIENT 9

/**
 * Flag: we are the TLS server. Without a flag about it, a client has to show a certificate.
 */
#define LEVADA_POOL_SERVER 6

/**
 * Flag: a client asks for no name.
 */
#define LEVADA_POOL_WITHOUT_SNI 512

/**
 * Flag: the session resumes none, and can not be resumed.
 */
#define LEVADA_POOL_IGNORE_CACHES 1024

/**
 * Flag: a server asks its client for a certificate, and lets in who has none.
 */
#define LEVADA_POOL_REQUEST_REMOTEID 2048

/**
 * Flag: a server does not ask its client for a certificate.
 */
#define LEVADA_POOL_IGNORE_REMOTEID 4096

/**
 * Flag: the session is detached from the beginning.
 */
#define LEVADA_POOL_DETACH 8192

/**
 * Flag: the session is detached when the handle is closed.
 */
#define LEVADA_POOL_FORK 16384

/**
 * Flag: the certificate of a domain is enough for its users.
 */
#define LEVADA_POOL_DOMAIN_REPRESENTS_USER 32768

/**
 * Flag: a server is asked for whom it stands, by LEVADA_POOL_QUESTION.
 */
#define LEVADA_POOL_LOCALID_CHECK 65536

/**
 * Why something was not done.
 */
typedef enum {
    /**
     * It was.
     */
    LEVADA_POOL_OK = 0,
    /**
     * Nobody answers at the pool's socket.
     */
    LEVADA_POOL_UNREACHABLE = 1,
    /**
     * The pool went away: its sessions are over. The next request connects anew.
     */
    LEVADA_POOL_GONE = 2,
    /**
     * The pool said no; `refusal` of the event tells which no.
     */
    LEVADA_POOL_REFUSED = 3,
    /**
     * The TLS handshake failed; `facts` of the event tell how.
     */
    LEVADA_POOL_HANDSHAKE = 4,
    /**
     * No pool would take this request, or it names nothing that there is.
     */
    LEVADA_POOL_INVALID = 5,
    /**
     * The handle waits for something else.
     */
    LEVADA_POOL_BUSY = 6,
    /**
     * The pool did not answer in time.
     */
    LEVADA_POOL_TIMED_OUT = 7,
    /**
     * What answers is no pool, or one that breaks the protocol.
     */
    LEVADA_POOL_PROTOCOL = 8,
    /**
     * This process could not do its part, for want of descriptors or memory.
     */
    LEVADA_POOL_LOCAL = 9,
    /**
     * A flaw of this library; please report it.
     */
    LEVADA_POOL_INTERNAL = 10,
} levada_pool_error;

/**
 * What an event tells.
 */
typedef enum {
    /**
     * The request is done: `session` is protected, and its plaintext socket is the program's to close.
     */
    LEVADA_POOL_PROTECTED = 1,
    /**
     * The pool asks whether we stand for `local_id` of `session`: answer with levada_pool_answer().
     */
    LEVADA_POOL_QUESTION = 2,
    /**
     * The request is done: `facts` are what was asked for.
     */
    LEVADA_POOL_REPORT = 3,
    /**
     * The request is done: `bytes` are the peer's certificates in DER, its own first, one behind the
     * other; each tells its own size.
     */
    LEVADA_POOL_CHAIN = 4,
    /**
     * The request is done: `bytes` are the keys. They are secret; the copy here is wiped by the next call
     * with this handle.
     */
    LEVADA_POOL_KEYS = 5,
    /**
     * The request is done.
     */
    LEVADA_POOL_DONE = 6,
    /**
     * The request has failed: see `error`, `message`, `refusal` and `facts`.
     */
    LEVADA_POOL_FAILED = 7,
} levada_pool_kind;

/**
 * A client of a pool.
 */
typedef struct levada_pool levada_pool;

/**
 * A connection that the pool protects.
 */
typedef struct {
    /**
     * The plaintext socket: what is written there reaches the peer under TLS, what the peer sends is read
     * there. It does not block, but for that of levada_pool_starttls(). The pool relays it, also where the
     * kernel has TLS. -1 in a question.
     */
    int plain;
    /**
     * Names the session to the pool; whoever has it may attach the session when it is detached.
     */
    uint8_t key[16];
    /**
     * Who we are.
     */
    char local_id[128];
    /**
     * Who the peer is, verified; empty for a client that was not asked.
     */
    char remote_id[128];
} levada_pool_session;

/**
 * What is known about a session. Texts are NULL where there is nothing to know.
 */
typedef struct {
    /**
     * The version of TLS: "1.2" or "1.3".
     */
    const char *version;
    /**
     * The cipher suite, by its name in IANA's registry.
     */
    const char *suite;
    /**
     * The group of the key exchange.
     */
    const char *group;
    /**
     * The application protocol (ALPN) that both ends have.
     */
    const char *alpn;
    /**
     * The name by which the peer was verified.
     */
    const char *verified_name;
    /**
     * What the OCSP response says that a server has shown: "good", "revoked", "unknown", "no_answer" or
     * "unreadable".
     */
    const char *staple;
    /**
     * How the session ended, as a code that the book lists, such as "finished"; NULL while it lives.
     */
    const char *ending;
    /**
     * The same in words.
     */
    const char *ended;
    /**
     * How many certificates the peer has shown.
     */
    size_t peer_certificates;
    /**
     * SHA-256 of them all, each behind its size in 3 bytes; zeros where there are none.
     */
    uint8_t peer_chain_sha256[32];
    /**
     * Whether an earlier session was resumed.
     */
    bool resumed;
    /**
     * Whether the peer has said goodbye: without it, the end of the plaintext may be a truncation.
     */
    bool peer_goodbye;
    /**
     * Whether the session has ended as both ends wanted, with nothing lost.
     */
    bool clean;
} levada_pool_facts;

/**
 * What has come.
 */
typedef struct {
    /**
     * The number of the request that it is about.
     */
    uint64_t number;
    /**
     * What it tells, and by that which of the fields below mean something. The others are 0.
     */
    levada_pool_kind kind;
    /**
     * Of LEVADA_POOL_FAILED: why.
     */
    levada_pool_error error;
    /**
     * Of LEVADA_POOL_REFUSED: the pool's error, counted from the protocol's base, 0 to 29; else -1.
     */
    int refusal;
    /**
     * Of LEVADA_POOL_FAILED: why, in words.
     */
    const char *message;
    /**
     * Of LEVADA_POOL_CHAIN and LEVADA_POOL_KEYS.
     */
    const uint8_t *bytes;
    /**
     * How many of them there are.
     */
    size_t size;
    /**
     * Of LEVADA_POOL_PROTECTED and LEVADA_POOL_QUESTION.
     */
    levada_pool_session session;
    /**
     * Of LEVADA_POOL_REPORT, and of LEVADA_POOL_FAILED where a handshake has failed.
     */
    levada_pool_facts facts;
} levada_pool_event;

/**
 * How to protect a connection. Set what is not needed to 0.
 */
typedef struct {
    /**
     * LEVADA_POOL_CLIENT or LEVADA_POOL_SERVER, and other flags.
     */
    uint32_t flags;
    /**
     * How long the handshake may take, in milliseconds; 0 is as long as the pool has it, UINT32_MAX for
     * ever.
     */
    uint32_t timeout_ms;
    /**
     * Who the peer has to be: `domain` or `user@domain`, up to 127 bytes. A client needs it, for a server
     * NULL is whoever comes.
     */
    const char *remote_id;
    /**
     * Who we are; NULL is as the pool's policy says, and for a server whom its client asks for.
     */
    const char *local_id;
    /**
     * The protocol inside TLS, by its name in IANA's registry of services, for the pool's policy; or NULL.
     */
    const char *service;
    /**
     * Application protocols (ALPN), the best first, NULL behind the last; or NULL, which is none.
     */
    const char *const *alpn;
} levada_pool_request;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Connects to the pool that listens at `path`, a Unix socket; NULL is where a pool of this machine
 * listens unless it is told otherwise, or $LEVADA_POOL.
 *
 * On success `*pool` is a handle, to be given to levada_pool_close(); else it is NULL.
 *
 * # Safety
 *
 * `path` is NULL or a text, `pool` NULL or the place of a pointer.
 */
levada_pool_error levada_pool_open(const char *path, levada_pool **pool);

/**
 * Closes a handle: requests that are under way end untold, and so do its sessions, but for those that
 * are detached or forked. NULL is no handle, and does nothing.
 *
 * # Safety
 *
 * `pool` is NULL or a handle, which is one no longer.
 */
void levada_pool_close(levada_pool *pool);

/**
 * The descriptor to watch, for reading alone; it stays the same until the handle is closed, whose it is.
 * -1 for NULL.
 *
 * # Safety
 *
 * `pool` is NULL or a handle.
 */
int levada_pool_descriptor(const levada_pool *pool);

/**
 * Takes in what has come, and tells the next event: true, and `*event` is one, or false, and there is
 * none. Call it until it says false whenever the descriptor is readable.
 *
 * It waits for an event for up to `timeout_ms` milliseconds; 0 does not wait, less than 0 for ever.
 *
 * # Safety
 *
 * `pool` is NULL or a handle, `event` NULL or the place of an event.
 */
bool levada_pool_process(levada_pool *pool,
                         int timeout_ms,
                         levada_pool_event *event);

/**
 * Has the pool protect the connection of the socket `network`, and gives the number of the request. Then
 * comes LEVADA_POOL_PROTECTED or LEVADA_POOL_FAILED, before it LEVADA_POOL_QUESTION where `request` asks
 * for that.
 *
 * `network` is the pool's from here on, whatever is returned: it is closed here.
 *
 * # Safety
 *
 * `pool` is NULL or a handle, `network` a descriptor of the caller's own, `request` NULL or a request,
 * `number` NULL or the place of a number.
 */
levada_pool_error levada_pool_start(levada_pool *pool,
                                    int network,
                                    const levada_pool_request *request,
                                    uint64_t *number);

/**
 * Answers LEVADA_POOL_QUESTION: `local_id` is whom we stand for, NULL refuses, and the request fails.
 *
 * # Safety
 *
 * `pool` is NULL or a handle, `local_id` NULL or a text.
 */
levada_pool_error levada_pool_answer(levada_pool *pool,
                                     uint64_t number,
                                     const char *local_id);

/**
 * Stops waiting for a request: nothing more is told of it, and what it has begun ends.
 *
 * # Safety
 *
 * `pool` is NULL or a handle.
 */
void levada_pool_cancel(levada_pool *pool, uint64_t number);

/**
 * Has the pool protect the connection of the socket `network`, and waits until it has: `*session` is the
 * session then. The plaintext socket blocks. A question about our identity is refused.
 *
 * `network` is the pool's from here on, whatever is returned: it is closed here.
 * LEVADA_POOL_BUSY while requests of levada_pool_start() and its like are under way.
 *
 * # Safety
 *
 * `pool` is NULL or a handle, `network` a descriptor of the caller's own, `request` NULL or a request,
 * `session` NULL or the place of a session.
 */
levada_pool_error levada_pool_starttls(levada_pool *pool,
                                       int network,
                                       const levada_pool_request *request,
                                       levada_pool_session *session);

/**
 * Asks what is known about the session with this key, also after its end: LEVADA_POOL_REPORT.
 *
 * # Safety
 *
 * `pool` is NULL or a handle, `key` NULL or the key of a session, 16 bytes, `number` NULL or the place of a
 * number.
 */
levada_pool_error levada_pool_inspect(levada_pool *pool,
                                      const uint8_t *key,
                                      uint64_t *number);

/**
 * Asks for the certificates that the peer of a living session has shown: LEVADA_POOL_CHAIN.
 *
 * # Safety
 *
 * As of levada_pool_inspect().
 */
levada_pool_error levada_pool_chain(levada_pool *pool, const uint8_t *key, uint64_t *number);

/**
 * Has `size` bytes (1 to 350) derived from the keys of a session (RFC 5705, RFC 8446 section 7.5) under
 * `label`: LEVADA_POOL_KEYS. `context` of `context_size` bytes may be NULL, which is none.
 *
 * # Safety
 *
 * As of levada_pool_inspect(); `label` is NULL or a text, `context` NULL or so many bytes.
 */
levada_pool_error levada_pool_export(levada_pool *pool,
                                     const uint8_t *key,
                                     const char *label,
                                     const uint8_t *context,
                                     size_t context_size,
                                     size_t size,
                                     uint64_t *number);

/**
 * Lets a session live on when this handle is closed: LEVADA_POOL_DONE.
 *
 * # Safety
 *
 * As of levada_pool_inspect().
 */
levada_pool_error levada_pool_detach(levada_pool *pool, const uint8_t *key, uint64_t *number);

/**
 * Makes a detached session this handle's own: LEVADA_POOL_DONE.
 *
 * # Safety
 *
 * As of levada_pool_inspect().
 */
levada_pool_error levada_pool_attach(levada_pool *pool, const uint8_t *key, uint64_t *number);

/**
 * What `error` means, in words for a person: of the last call in this thread that failed so all that is
 * known, else what the number says. Good until the next call in this thread.
 */
const char *levada_pool_message(int error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LEVADA_POOL_H */
