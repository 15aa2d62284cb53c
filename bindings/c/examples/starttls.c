/* Talks TLS by a TLS pool: starttls POOL-SOCKET ADDRESS PORT NAME.
 * Sends standard input to the server and its answer to standard output; no key is ever in here.
 *     cc -o starttls starttls.c $(pkg-config --cflags --libs levada-pool)
 *     ./starttls /run/levada/pool.sock 127.0.0.1 443 localhost */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <levada_pool.h>

static void fail(const char *what) { perror(what); exit(1); }

/* Says why the pool did not, and ends. */
static void refuse(levada_pool_error error) {
    fprintf(stderr, "%s\n", levada_pool_message(error));
    exit(1);
}

/* Copies what is there, or ends that direction; 0 at the end. */
static int copy(int from, int to) {
    char room[65536];
    ssize_t count = read(from, room, sizeof room), sent;
    if (count < 0) fail("read");
    for (ssize_t done = 0; done < count; done += sent)
        if ((sent = write(to, room + done, (size_t)(count - done))) < 0) fail("write");
    if (count == 0) shutdown(to, SHUT_WR);
    return count != 0;
}

/* Whether the peer has ended the session as it should: the plaintext socket cannot tell. */
static int is_whole(levada_pool *pool, const uint8_t *key) {
    levada_pool_event event;
    uint64_t number;
    levada_pool_error error = levada_pool_inspect(pool, key, &number);
    if (error) refuse(error);
    if (!levada_pool_process(pool, -1, &event) || event.kind != LEVADA_POOL_REPORT) return 0;
    fprintf(stderr, "%s with %s, alpn %s: %s\n", event.facts.version, event.facts.suite,
            event.facts.alpn ? event.facts.alpn : "none",
            event.facts.peer_goodbye ? "whole" : "cut off");
    return event.facts.peer_goodbye;
}

int main(int argc, char **argv) {
    static const char *const alpn[] = {"http/1.1", NULL};
    levada_pool *pool;
    levada_pool_request request;
    levada_pool_session session;
    levada_pool_error error;
    struct sockaddr_in to;
    int network;
    if (argc != 5) return fprintf(stderr, "usage: starttls POOL ADDRESS PORT NAME\n"), 1;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)atoi(argv[3]));
    inet_pton(AF_INET, argv[2], &to.sin_addr);
    network = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(network, (struct sockaddr *)&to, sizeof to)) fail(argv[2]);

    memset(&request, 0, sizeof request);
    request.flags = LEVADA_POOL_CLIENT;
    request.remote_id = argv[4];
    request.alpn = alpn;
    if ((error = levada_pool_open(argv[1], &pool))) refuse(error);
    if ((error = levada_pool_starttls(pool, network, &request, &session))) refuse(error);
    fprintf(stderr, "protected, with %s\n", session.remote_id);

    struct pollfd ends[2];
    memset(ends, 0, sizeof ends);
    ends[0].fd = session.plain;
    ends[0].events = ends[1].events = POLLIN;
    while (poll(ends, 2, -1) > 0) {
        if (ends[1].revents && !copy(0, session.plain)) ends[1].fd = -1;
        if (ends[0].revents && !copy(session.plain, 1)) {
            int whole = is_whole(pool, session.key);
            close(session.plain);
            levada_pool_close(pool);
            return whole ? 0 : 3;
        }
    }
    fail("poll");
}
