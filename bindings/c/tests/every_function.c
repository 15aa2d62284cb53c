/* Every function of the header, used as it should be and as it should not:
 * every_function POOL-SOCKET PORT, where a TLS server of 127.0.0.1 is localhost. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <levada_pool.h>

#define HOLDS(claim) \
    do { \
        if (!(claim)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #claim); \
            exit(1); \
        } \
    } while (0)

static uint16_t port;

/* How many descriptors there are. */
static int descriptors(void) {
    int count = 0;
    DIR *all = opendir("/proc/self/fd");
    HOLDS(all != NULL);
    while (readdir(all)) count++;
    closedir(all);
    return count;
}

static int server(void) {
    struct sockaddr_in to;
    int network = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    HOLDS(connect(network, (struct sockaddr *)&to, sizeof to) == 0);
    return network;
}

/* One end of a pair whose other end says nothing. */
static int silence(int *other) {
    int ends[2];
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    *other = ends[1];
    return ends[0];
}

static levada_pool_request client_of(const char *name) {
    levada_pool_request request;
    memset(&request, 0, sizeof request);
    request.flags = LEVADA_POOL_CLIENT;
    request.remote_id = name;
    return request;
}

/* The next event, which is about this request. */
static levada_pool_event next(levada_pool *pool, uint64_t number) {
    levada_pool_event event;
    HOLDS(levada_pool_process(pool, -1, &event));
    HOLDS(event.number == number);
    return event;
}

static void null_is_refused(levada_pool *pool) {
    levada_pool_request request = client_of("localhost");
    levada_pool_session session;
    levada_pool_event event;
    levada_pool *other = pool;
    uint8_t key[16] = {0};
    uint64_t number;
    int rest;
    HOLDS(levada_pool_open("/nowhere/pool.sock", NULL) == LEVADA_POOL_INVALID);
    HOLDS(levada_pool_open("/nowhere/pool.sock", &other) == LEVADA_POOL_UNREACHABLE);
    HOLDS(other == NULL);
    HOLDS(strstr(levada_pool_message(LEVADA_POOL_UNREACHABLE), "/nowhere/pool.sock"));
    HOLDS(!strstr(levada_pool_message(LEVADA_POOL_GONE), "/nowhere/pool.sock"));
    HOLDS(levada_pool_message(-1) != NULL);
    levada_pool_close(NULL);
    HOLDS(levada_pool_descriptor(NULL) == -1);
    HOLDS(!levada_pool_process(NULL, 0, &event));
    HOLDS(!levada_pool_process(pool, 0, NULL));
    HOLDS(levada_pool_start(NULL, silence(&rest), &request, &number) == LEVADA_POOL_INVALID);
    close(rest);
    HOLDS(levada_pool_start(pool, silence(&rest), NULL, &number) == LEVADA_POOL_INVALID);
    close(rest);
    HOLDS(levada_pool_start(pool, silence(&rest), &request, NULL) == LEVADA_POOL_INVALID);
    close(rest);
    HOLDS(levada_pool_start(pool, -1, &request, &number) == LEVADA_POOL_INVALID);
    HOLDS(strstr(levada_pool_message(LEVADA_POOL_INVALID), "-1 is no descriptor"));
    HOLDS(levada_pool_starttls(NULL, silence(&rest), &request, &session) == LEVADA_POOL_INVALID);
    close(rest);
    HOLDS(levada_pool_starttls(pool, silence(&rest), &request, NULL) == LEVADA_POOL_INVALID);
    close(rest);
    HOLDS(levada_pool_answer(NULL, 1, NULL) == LEVADA_POOL_INVALID);
    HOLDS(levada_pool_answer(pool, 1, "nobody.asked") == LEVADA_POOL_GONE);
    levada_pool_cancel(NULL, 1);
    levada_pool_cancel(pool, 1);
    HOLDS(levada_pool_inspect(NULL, key, &number) == LEVADA_POOL_INVALID);
    HOLDS(levada_pool_inspect(pool, NULL, &number) == LEVADA_POOL_INVALID);
    HOLDS(levada_pool_inspect(pool, key, NULL) == LEVADA_POOL_INVALID);
    HOLDS(levada_pool_chain(pool, NULL, &number) == LEVADA_POOL_INVALID);
    HOLDS(levada_pool_export(pool, key, NULL, NULL, 0, 32, &number) == LEVADA_POOL_INVALID);
    HOLDS(levada_pool_export(pool, key, "EXPERIMENTAL x", NULL, 0, 0, &number) ==
          LEVADA_POOL_INVALID);
    HOLDS(levada_pool_detach(pool, NULL, &number) == LEVADA_POOL_INVALID);
    HOLDS(levada_pool_attach(pool, NULL, &number) == LEVADA_POOL_INVALID);
}

static void requests_that_no_pool_takes(levada_pool *pool) {
    levada_pool_request request = client_of(NULL);
    levada_pool_session session;
    char name[200];
    int rest;
    HOLDS(levada_pool_starttls(pool, silence(&rest), &request, &session) == LEVADA_POOL_INVALID);
    HOLDS(strstr(levada_pool_message(LEVADA_POOL_INVALID), "whom it expects"));
    close(rest);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    request.remote_id = name;
    HOLDS(levada_pool_starttls(pool, silence(&rest), &request, &session) == LEVADA_POOL_INVALID);
    HOLDS(strstr(levada_pool_message(LEVADA_POOL_INVALID), "199 bytes"));
    close(rest);
    request = client_of("localhost");
    request.flags = 0;
    HOLDS(levada_pool_starttls(pool, silence(&rest), &request, &session) == LEVADA_POOL_INVALID);
    close(rest);
    /* What the pool's policy does not have. */
    request = client_of("localhost");
    request.local_id = "somebody@else.example";
    HOLDS(levada_pool_starttls(pool, silence(&rest), &request, &session) == LEVADA_POOL_REFUSED);
    close(rest);
    /* Nobody is at the other end. */
    request = client_of("localhost");
    request.timeout_ms = 50;
    HOLDS(levada_pool_starttls(pool, silence(&rest), &request, &session) == LEVADA_POOL_HANDSHAKE);
    close(rest);
}

static void a_session_is_known_and_changes_hands(const char *path, levada_pool *pool) {
    levada_pool_request request = client_of("localhost");
    levada_pool_session session;
    levada_pool_event event;
    levada_pool *heir;
    uint64_t number;
    uint8_t keys[32];
    char room[6];
    HOLDS(levada_pool_starttls(pool, server(), &request, &session) == LEVADA_POOL_OK);
    HOLDS(strcmp(session.remote_id, "localhost") == 0 && session.local_id[0] == 0);

    HOLDS(levada_pool_inspect(pool, session.key, &number) == LEVADA_POOL_OK);
    event = next(pool, number);
    HOLDS(event.kind == LEVADA_POOL_REPORT && event.error == LEVADA_POOL_OK);
    HOLDS(strcmp(event.facts.verified_name, "localhost") == 0 && event.facts.ending == NULL);
    HOLDS(event.facts.peer_certificates == 1 && !event.facts.resumed && !event.facts.clean);
    HOLDS(event.facts.peer_chain_sha256[0] | event.facts.peer_chain_sha256[1]);

    HOLDS(levada_pool_chain(pool, session.key, &number) == LEVADA_POOL_OK);
    event = next(pool, number);
    HOLDS(event.kind == LEVADA_POOL_CHAIN && event.size > 300 && event.bytes[0] == 0x30);

    HOLDS(levada_pool_export(pool, session.key, "EXPERIMENTAL x", NULL, 0, 32, &number) == 0);
    event = next(pool, number);
    HOLDS(event.kind == LEVADA_POOL_KEYS && event.size == 32);
    memcpy(keys, event.bytes, sizeof keys);
    HOLDS(levada_pool_export(pool, session.key, "EXPERIMENTAL x", (const uint8_t *)"y", 1, 32,
                             &number) == 0);
    event = next(pool, number);
    HOLDS(event.kind == LEVADA_POOL_KEYS && memcmp(keys, event.bytes, sizeof keys) != 0);
    HOLDS(levada_pool_export(pool, session.key, "master secret", NULL, 0, 32, &number) == 0);
    event = next(pool, number);
    HOLDS(event.kind == LEVADA_POOL_FAILED && event.error == LEVADA_POOL_REFUSED);
    HOLDS(event.refusal == 25 && strlen(event.message) > 10);

    /* Another handle has it once this one lets it go. */
    HOLDS(levada_pool_open(path, &heir) == LEVADA_POOL_OK);
    HOLDS(levada_pool_attach(heir, session.key, &number) == LEVADA_POOL_OK);
    event = next(heir, number);
    HOLDS(event.kind == LEVADA_POOL_FAILED && event.refusal == 18);
    HOLDS(levada_pool_detach(pool, session.key, &number) == LEVADA_POOL_OK);
    HOLDS(next(pool, number).kind == LEVADA_POOL_DONE);
    HOLDS(levada_pool_attach(heir, session.key, &number) == LEVADA_POOL_OK);
    HOLDS(next(heir, number).kind == LEVADA_POOL_DONE);
    HOLDS(levada_pool_inspect(pool, session.key, &number) == LEVADA_POOL_OK);
    event = next(pool, number);
    HOLDS(event.kind == LEVADA_POOL_FAILED && event.refusal == 15);
    HOLDS(write(session.plain, "abcde\n", 6) == 6);
    HOLDS(read(session.plain, room, 6) == 6 && memcmp(room, "edcba\n", 6) == 0);
    levada_pool_close(heir);
    HOLDS(read(session.plain, room, 6) <= 0);
    close(session.plain);
}

static void what_is_under_way_can_be_waited_for_and_cancelled(levada_pool *pool) {
    levada_pool_request request = client_of("localhost");
    levada_pool_session session;
    levada_pool_event event;
    uint64_t first, second;
    int rest, other;
    HOLDS(!levada_pool_process(pool, -1, &event)); /* Nothing is under way. */
    HOLDS(levada_pool_start(pool, silence(&rest), &request, &first) == LEVADA_POOL_OK);
    HOLDS(!levada_pool_process(pool, 20, &event));
    HOLDS(levada_pool_starttls(pool, silence(&other), &request, &session) == LEVADA_POOL_BUSY);
    close(other);
    HOLDS(levada_pool_start(pool, server(), &request, &second) == LEVADA_POOL_OK);
    HOLDS(second != first);
    event = next(pool, second);
    HOLDS(event.kind == LEVADA_POOL_PROTECTED && event.session.plain >= 0);
    close(event.session.plain);
    levada_pool_cancel(pool, first);
    HOLDS(!levada_pool_process(pool, -1, &event));
    close(rest);
    /* What nobody takes goes with the handle. */
    HOLDS(levada_pool_start(pool, server(), &request, &second) == LEVADA_POOL_OK);
}

int main(int argc, char **argv) {
    levada_pool *pool;
    int before;
    HOLDS(argc == 3);
    port = (uint16_t)atoi(argv[2]);
    before = descriptors();
    HOLDS(levada_pool_open(argv[1], &pool) == LEVADA_POOL_OK);
    HOLDS(levada_pool_descriptor(pool) >= 0);
    null_is_refused(pool);
    requests_that_no_pool_takes(pool);
    a_session_is_known_and_changes_hands(argv[1], pool);
    what_is_under_way_can_be_waited_for_and_cancelled(pool);
    levada_pool_close(pool);
    HOLDS(descriptors() == before);
    /* Where it is, if nobody says. */
    HOLDS(setenv("LEVADA_POOL", argv[1], 1) == 0);
    HOLDS(levada_pool_open(NULL, &pool) == LEVADA_POOL_OK);
    levada_pool_close(pool);
    puts("all of it");
    return 0;
}
