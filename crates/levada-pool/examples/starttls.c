/* Talks TLS by a TLS pool, in C without any library: starttls POOL-SOCKET ADDRESS PORT NAME.
 * Sends standard input to the server and its answer to standard output; no key is ever in here.
 *     cc -o starttls starttls.c && ./starttls /run/levada/pool.sock 127.0.0.1 443 localhost */
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ERROR = 0x01, STARTTLS = 0x24, PLAINTEXT_CONNECT = 0x2a, CLIENT_TO_SERVER = 0x9 };

/* Every packet has 388 bytes, in both directions. */
struct packet {
    uint16_t request, callback;
    uint32_t command;
    union {
        struct { int32_t code; char message[128]; } error;
        struct {
            uint32_t flags, local;
            uint8_t ipproto, pad;
            uint16_t stream;
            char localid[128], remoteid[128];
            uint8_t key[16];
            char service[16];
            uint32_t timeout;
        } __attribute__((packed)) tls;
        char bytes[380];
    } body;
} __attribute__((packed));

static void fail(const char *what) { perror(what); exit(1); }

/* Sends a packet, and with its first byte a descriptor; then that is the pool's. */
static void send_with(int pool, struct packet *packet, int fd) {
    char room[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec part = {packet, sizeof *packet};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(control), &fd, sizeof fd);
    if (sendmsg(pool, &message, MSG_NOSIGNAL) != sizeof *packet) fail("sendmsg");
    close(fd);
}

/* Copies what is there, or ends that direction; 0 at the end. */
static int copy(int from, int to) {
    char room[65536];
    ssize_t count = read(from, room, sizeof room);
    if (count < 0) fail("read");
    for (ssize_t done = 0, sent; done < count; done += sent)
        if ((sent = write(to, room + done, count - done)) < 0) fail("write");
    if (count == 0) shutdown(to, SHUT_WR);
    return count != 0;
}

int main(int argc, char **argv) {
    if (argc != 5) return fprintf(stderr, "usage: starttls POOL ADDRESS PORT NAME\n"), 1;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strncpy(at.sun_path, argv[1], sizeof at.sun_path - 1);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3]))};
    inet_pton(AF_INET, argv[2], &to.sin_addr);
    int pool = socket(AF_UNIX, SOCK_STREAM, 0), network = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(pool, (struct sockaddr *)&at, sizeof at)) fail(argv[1]);
    if (connect(network, (struct sockaddr *)&to, sizeof to)) fail(argv[2]);

    struct packet packet = {.command = STARTTLS};
    packet.body.tls.flags = CLIENT_TO_SERVER;
    packet.body.tls.ipproto = IPPROTO_TCP;
    strncpy(packet.body.tls.remoteid, argv[4], sizeof packet.body.tls.remoteid - 1);
    send_with(pool, &packet, network);
    int plain[2] = {-1, -1};
    do {
        if (recv(pool, &packet, sizeof packet, MSG_WAITALL) != sizeof packet) fail("recv");
        if (packet.command == ERROR)
            return fprintf(stderr, "%.128s\n", packet.body.error.message), 1;
        if (packet.command == PLAINTEXT_CONNECT) {
            if (socketpair(AF_UNIX, SOCK_STREAM, 0, plain)) fail("socketpair");
            send_with(pool, &packet, plain[1]);
        }
    } while (packet.command != STARTTLS);
    fprintf(stderr, "protected, with %s\n", packet.body.tls.remoteid);

    struct pollfd ends[] = {{.fd = plain[0], .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    while (poll(ends, 2, -1) > 0) {
        if (ends[1].revents && !copy(0, plain[0])) ends[1].fd = -1;
        if (ends[0].revents && !copy(plain[0], 1)) return 0;
    }
    fail("poll");
}
