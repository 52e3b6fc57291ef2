/* Sockets that many machines share, for tftp_load.c.
 *
 * A machine is an address of this network namespace; IP_PKTINFO says which one a packet is from or
 * for. So a few sockets, one for each port, carry all of them, many packets to a system call.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, SOCKETS = 8, FIRST_PORT = 2070, ROUNDS = 4, CONTROL = 64, SHORT = 32 };
enum { INBOUND = 16, ROOM = 65536 };

static struct in_addr server;
static int sockets[SOCKETS];
/* Not epoll: it would be told of each packet by whoever sends it, at the server's cost. */
static struct pollfd arrivals[SOCKETS];
static double now; /* seconds; told anew when packets arrive */

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void tell_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    now = t.tv_sec + t.tv_nsec * 1e-9;
}

/* Outgoing packets of one socket; they leave together. */
static struct {
    int socket;
    unsigned count;
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    struct sockaddr_in to[BATCH];
    uint8_t packets[BATCH][SHORT];
    uint8_t controls[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))] __attribute__((aligned(8)));
} out;

static void flush(void)
{
    for (unsigned begun = 0; begun < out.count;) {
        int gone = sendmmsg(sockets[out.socket], out.messages + begun, out.count - begun, 0);
        begun += gone > 0 ? (unsigned)gone : 1; /* what cannot leave is lost, as on a wire */
    }
    out.count = 0;
}

static void prepare_out(void)
{
    for (int i = 0; i < BATCH; i++) {
        out.parts[i].iov_base = out.packets[i];
        out.to[i].sin_family = AF_INET;
        out.to[i].sin_addr = server;
        struct msghdr *h = &out.messages[i].msg_hdr;
        h->msg_name = &out.to[i], h->msg_namelen = sizeof out.to[i];
        h->msg_iov = &out.parts[i], h->msg_iovlen = 1;
        h->msg_control = out.controls[i], h->msg_controllen = sizeof out.controls[i];
        struct cmsghdr *c = CMSG_FIRSTHDR(h);
        c->cmsg_level = IPPROTO_IP, c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
    }
}

static void put(int from, struct in_addr address, in_port_t port, const void *packet, size_t length)
{
    if (out.count == BATCH || (out.count && out.socket != from))
        flush();
    unsigned i = out.count++;
    struct in_pktinfo source = {.ipi_spec_dst = address};
    out.socket = from;
    out.to[i].sin_port = port;
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&out.messages[i].msg_hdr)), &source, sizeof source);
    memcpy(out.packets[i], packet, length);
    out.parts[i].iov_len = length;
}

static void put_short(int from, struct in_addr address, in_port_t port, int opcode, uint16_t number)
{
    uint8_t packet[5] = {0, opcode, number >> 8, number & 255, 0};
    put(from, address, port, packet, opcode == 5 ? 5 : 4); /* an ERROR has a text */
}

/* Send one packet of any length at once. */
static void send_now(int from, struct in_addr address, uint16_t port, void *packet, size_t length)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = server};
    uint8_t control[CMSG_SPACE(sizeof(struct in_pktinfo))] __attribute__((aligned(8))) = {0};
    struct iovec part = {packet, length};
    struct msghdr h = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part,
        .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct in_pktinfo source = {.ipi_spec_dst = address};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = IPPROTO_IP, c->cmsg_type = IP_PKTINFO, c->cmsg_len = CMSG_LEN(sizeof source);
    memcpy(CMSG_DATA(c), &source, sizeof source);
    sendmsg(sockets[from], &h, 0);
}

static uint8_t packets[INBOUND][ROOM];
static uint8_t controls[INBOUND][CONTROL] __attribute__((aligned(8)));
static struct mmsghdr messages[INBOUND];
static struct iovec parts[INBOUND];
static struct sockaddr_in sources[INBOUND];

typedef void taker(int from, struct in_addr to, in_port_t port, const uint8_t *packet, size_t length);

/* Take the packets of one message: UDP_GRO says how long each of them is. */
static void take_message(int from, struct mmsghdr *message, taker *take)
{
    struct msghdr *h = &message->msg_hdr;
    struct in_addr to = {0};
    size_t length = message->msg_len, each = length;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        struct in_pktinfo info;
        int segment;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            memcpy(&info, CMSG_DATA(c), sizeof info);
            to = info.ipi_addr;
        } else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            memcpy(&segment, CMSG_DATA(c), sizeof segment);
            each = segment;
        }
    }
    const uint8_t *packet = h->msg_iov->iov_base;
    in_port_t port = ((struct sockaddr_in *)h->msg_name)->sin_port;
    for (; length > each; length -= each, packet += each)
        take(from, to, port, packet, each);
    take(from, to, port, packet, length);
}

/* Take what has arrived on a socket, and send what it is answered with. */
static void receive(int from, taker *take)
{
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < INBOUND; i++) {
            messages[i].msg_hdr.msg_namelen = sizeof sources[i];
            messages[i].msg_hdr.msg_controllen = CONTROL;
        }
        int n = recvmmsg(sockets[from], messages, INBOUND, MSG_DONTWAIT, NULL);
        tell_time();
        for (int i = 0; i < n; i++)
            take_message(from, &messages[i], take);
        flush();
        if (n < INBOUND)
            return;
    }
}

/* Open the sockets. What a server hands over as one message arrives as one: cutting it up would
 * cost the server's processor time that on a network is the machine's. */
static void open_sockets(void)
{
    int one = 1, size = 64 << 20;
    for (int i = 0; i < SOCKETS; i++) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(FIRST_PORT + i)};
        int s = sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
        if (s < 0 || setsockopt(s, IPPROTO_IP, IP_PKTINFO, &one, sizeof one)
            || setsockopt(s, SOL_UDP, UDP_GRO, &one, sizeof one)
            || setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size)
            || setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size)
            || bind(s, (struct sockaddr *)&at, sizeof at))
            fail("socket");
        arrivals[i] = (struct pollfd){.fd = s, .events = POLLIN};
    }
    for (int i = 0; i < INBOUND; i++) {
        parts[i] = (struct iovec){packets[i], ROOM};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &sources[i], .msg_iov = &parts[i],
            .msg_iovlen = 1, .msg_control = controls[i]};
    }
}
