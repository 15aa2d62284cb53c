/* A TLS server on libuv that sends back what it is told: uv_echo POOL-SOCKET [PORT].
 * The keys are the pool's; this program sees plaintext alone. It ends with its standard input.
 *     cc -o uv_echo uv_echo.c $(pkg-config --cflags --libs levada-pool libuv) */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <levada_pool.h>
#include <uv.h>

static levada_pool *pool;
static uv_poll_t watch;
static unsigned living, most;

/* A connection whose TLS the pool has. */
typedef struct client {
    uv_pipe_t plain;
    uint8_t key[16];
} client;

/* What is on its way back. */
typedef struct answer {
    uv_write_t write;
    uv_buf_t bytes;
} answer;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void check(const char *what, int status) {
    if (status < 0) fail(what, uv_strerror(status));
}

static void free_client(uv_handle_t *handle) { free(handle->data); }

static void end(client *client) {
    uv_close((uv_handle_t *)&client->plain, free_client);
    living--;
}

static void sent(uv_write_t *write, int status) {
    answer *done = (answer *)write;
    (void)status; /* A reader hears of it as well. */
    free(done->bytes.base);
    free(done);
}

static void shut(uv_shutdown_t *down, int status) {
    client *of = (client *)down->handle->data;
    uint64_t number;
    (void)status;
    free(down);
    /* The plaintext socket cannot tell how the peer ended: the pool does. */
    levada_pool_inspect(pool, of->key, &number);
    end(of);
}

static void make_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room) {
    (void)handle;
    *room = uv_buf_init((char *)malloc(wanted), (unsigned)wanted);
}

static void came(uv_stream_t *stream, ssize_t count, const uv_buf_t *room) {
    if (count > 0) {
        answer *back = (answer *)calloc(1, sizeof *back);
        back->bytes = uv_buf_init(room->base, (unsigned)count);
        check("write", uv_write(&back->write, stream, &back->bytes, 1, sent));
        return;
    }
    free(room->base);
    if (count == 0) return;
    if (count == UV_EOF) {
        uv_shutdown_t *down = (uv_shutdown_t *)calloc(1, sizeof *down);
        if (uv_shutdown(down, stream, shut) == 0) return;
        free(down);
    }
    end((client *)stream->data);
}

static void begin(const levada_pool_session *session) {
    client *new_client = (client *)calloc(1, sizeof *new_client);
    memcpy(new_client->key, session->key, sizeof new_client->key);
    check("pipe", uv_pipe_init(watch.loop, &new_client->plain, 0));
    new_client->plain.data = new_client;
    check("plain", uv_pipe_open(&new_client->plain, session->plain));
    check("read", uv_read_start((uv_stream_t *)&new_client->plain, make_room, came));
    if (++living > most) most = living;
}

/* The pool has something to tell. */
static void hear(uv_poll_t *poll, int status, int events) {
    levada_pool_event event;
    (void)poll, (void)events;
    check("watch", status);
    while (levada_pool_process(pool, 0, &event)) {
        switch (event.kind) {
        case LEVADA_POOL_PROTECTED:
            printf("protected as %s\n", event.session.local_id);
            begin(&event.session);
            break;
        case LEVADA_POOL_QUESTION:
            levada_pool_answer(pool, event.number, event.session.local_id);
            break;
        case LEVADA_POOL_REPORT:
            printf("ended: %s\n", event.facts.peer_goodbye ? "whole" : "cut off");
            break;
        case LEVADA_POOL_FAILED:
            printf("failed: %d: %s\n", event.error, event.message);
            break;
        default:
            break;
        }
    }
    fflush(stdout);
}

static void accepted(uv_stream_t *listener, int status) {
    static const char *const alpn[] = {"echo", "http/1.1", NULL};
    levada_pool_request request;
    levada_pool_error error;
    uint64_t number;
    uv_os_fd_t network;
    uv_tcp_t *tcp = (uv_tcp_t *)calloc(1, sizeof *tcp);
    check("accept", status);
    check("tcp", uv_tcp_init(listener->loop, tcp));
    tcp->data = tcp;
    check("accept", uv_accept(listener, (uv_stream_t *)tcp));
    check("descriptor", uv_fileno((uv_handle_t *)tcp, &network));
    memset(&request, 0, sizeof request);
    request.flags = LEVADA_POOL_SERVER | LEVADA_POOL_IGNORE_REMOTEID | LEVADA_POOL_LOCALID_CHECK;
    request.alpn = alpn;
    /* The copy is the pool's; libuv's own goes. */
    error = levada_pool_start(pool, dup(network), &request, &number);
    if (error) {
        printf("failed: %d: %s\n", error, levada_pool_message(error));
        fflush(stdout);
    }
    uv_close((uv_handle_t *)tcp, free_client);
}

static void stop(uv_stream_t *input, ssize_t count, const uv_buf_t *room) {
    free(room->base);
    if (count < 0) uv_stop(input->loop);
}

static void close_any(uv_handle_t *handle, void *unused) {
    (void)unused;
    /* Of its own memory are the clients alone, and they know themselves. */
    if (!uv_is_closing(handle)) uv_close(handle, handle->data ? free_client : NULL);
}

int main(int argc, char **argv) {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_pipe_t input;
    struct sockaddr_in at;
    int size = sizeof at;
    levada_pool_error error;
    if (argc < 2) fail("usage", "uv_echo POOL [PORT]");
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons((uint16_t)(argc > 2 ? atoi(argv[2]) : 0));
    error = levada_pool_open(argv[1], &pool);
    if (error) fail(argv[1], levada_pool_message(error));
    check("loop", uv_loop_init(&loop));
    check("poll", uv_poll_init(&loop, &watch, levada_pool_descriptor(pool)));
    check("poll", uv_poll_start(&watch, UV_READABLE, hear));
    check("tcp", uv_tcp_init(&loop, &listener));
    check("bind", uv_tcp_bind(&listener, (struct sockaddr *)&at, 0));
    check("listen", uv_listen((uv_stream_t *)&listener, 128, accepted));
    check("pipe", uv_pipe_init(&loop, &input, 0));
    check("input", uv_pipe_open(&input, 0));
    check("input", uv_read_start((uv_stream_t *)&input, make_room, stop));
    watch.data = listener.data = input.data = NULL;
    check("port", uv_tcp_getsockname(&listener, (struct sockaddr *)&at, &size));
    printf("port %d\n", ntohs(at.sin_port));
    fflush(stdout);
    uv_run(&loop, UV_RUN_DEFAULT);
    printf("most at once: %u\n", most);
    uv_walk(&loop, close_any, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    check("loop", uv_loop_close(&loop));
    levada_pool_close(pool);
    return 0;
}
