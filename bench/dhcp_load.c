/* Sends DHCP requests by a schedule and verifies every answer; used by proxydhcp.py.
 *
 * usage: dhcp_load DEVICE SERVER BOOT_FILE SCHEDULE RESULTS SETTLE_SECONDS
 *
 * SCHEDULE is an array of `struct request`, by time; RESULTS becomes an array of doubles, one for
 * each request: seconds from sending to the arrival of its answer, NONE or WRONG. Requests go out
 * as EDK2 sends them (options 53, 57, 55, 97, 94, 93, 60), broadcast to port 67, or to port 4011
 * from the machine's own address. An answer is matched by its xid, and right when op, chaddr,
 * siaddr, file and the options 53, 54, 60 and 97 are.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DISCOVER = 1, REQUEST = 3, REQUEST_4011 = 4 };
enum { BATCH = 32, PACKET = 347, ANSWER = 1500 };
#define NONE (-1.0)
#define WRONG (-2.0)

struct request {
    double at; /* seconds after the start */
    uint32_t address; /* of the machine, network order: ciaddr on port 4011 */
    uint8_t mac[6];
    uint8_t kind;
    uint8_t reserved[5];
} __attribute__((packed));

static struct request *schedule;
static size_t count;
static double *sent_at, *result;
static volatile size_t answered;
static volatile int done;
static int told_wrong;
static uint32_t xid_base; /* of this run: late answers to the one before are none of it */
static struct in_addr server;
static const char *boot_file;
static int wire, boot_server_wire;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void write_uuid(uint8_t *to, const uint8_t *mac)
{
    static const uint8_t shape[16] = {1, 2, 3, 4, 5, 6, 7, 0x41, 0x81, 10, 0};
    memcpy(to, shape, 10);
    memcpy(to + 10, mac, 6);
}

static void write_request(uint8_t *p, size_t index)
{
    static const uint8_t asked[35] = {1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41,
        42, 43, 50, 51, 54, 58, 59, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135};
    const struct request *r = &schedule[index];
    uint32_t xid = htonl(xid_base + index);
    memset(p, 0, 240);
    p[0] = p[1] = 1, p[2] = 6;
    memcpy(p + 4, &xid, 4);
    if (r->kind == REQUEST_4011)
        memcpy(p + 12, &r->address, 4);
    else
        p[10] = 0x80;
    memcpy(p + 28, r->mac, 6);
    memcpy(p + 236, "\x63\x82\x53\x63", 4);
    uint8_t *o = p + 240;
    *o++ = 53, *o++ = 1, *o++ = r->kind == DISCOVER ? 1 : 3;
    *o++ = 57, *o++ = 2, *o++ = 1472 >> 8, *o++ = 1472 & 255;
    *o++ = 55, *o++ = 35, memcpy(o, asked, 35), o += 35;
    *o++ = 97, *o++ = 17, *o++ = 0, write_uuid(o, r->mac), o += 16;
    *o++ = 94, *o++ = 3, *o++ = 1, *o++ = 3, *o++ = 16;
    *o++ = 93, *o++ = 2, *o++ = 0, *o++ = 7;
    *o++ = 60, *o++ = 32, memcpy(o, "PXEClient:Arch:00007:UNDI:003016", 32), o += 32;
    *o++ = 255;
}

static int is_right(const uint8_t *p, size_t length, const struct request *r)
{
    uint8_t uuid[17] = {0};
    int seen = 0;
    if (length < 240 || p[0] != 2 || memcmp(p + 28, r->mac, 6) || memcmp(p + 20, &server, 4)
        || memcmp(p + 16, "\0\0\0\0", 4) || strncmp((const char *)p + 108, boot_file, 128)
        || memcmp(p + 236, "\x63\x82\x53\x63", 4))
        return 0;
    write_uuid(uuid + 1, r->mac);
    for (size_t at = 240; at < length && p[at] != 255;) {
        if (p[at] == 0) {
            at++;
            continue;
        }
        if (at + 2 > length || at + 2 + p[at + 1] > length)
            return 0;
        const uint8_t *value = p + at + 2;
        size_t size = p[at + 1];
        switch (p[at]) {
        case 53:
            seen |= size == 1 && *value == (r->kind == DISCOVER ? 2 : 5) ? 1 : 0;
            break;
        case 54:
            seen |= size == 4 && !memcmp(value, &server, 4) ? 2 : 0;
            break;
        case 60:
            seen |= size == 9 && !memcmp(value, "PXEClient", 9) ? 4 : 0;
            break;
        case 97:
            seen |= size == 17 && !memcmp(value, uuid, 17) ? 8 : 0;
            break;
        }
        at += 2 + size;
    }
    return seen == 15;
}

static void tell_wrong(const uint8_t *p, size_t length)
{
    fprintf(stderr, "a wrong answer: ");
    for (size_t i = 0; i < length; i++)
        fprintf(stderr, "%02x", p[i]);
    fputc('\n', stderr);
}

static void note_answer(const uint8_t *p, size_t length, double at)
{
    uint32_t xid;
    if (length < 8)
        return;
    memcpy(&xid, p + 4, 4);
    size_t index = (uint32_t)(ntohl(xid) - xid_base);
    if (index >= count || result[index] != NONE || schedule[index].kind == REQUEST)
        return;
    int right = is_right(p, length, &schedule[index]);
    result[index] = right ? at - sent_at[index] : WRONG;
    answered++;
    if (!right && !told_wrong++)
        tell_wrong(p, length);
}

static void drain(int from)
{
    static uint8_t packets[BATCH][ANSWER], controls[BATCH][64];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){packets[i], ANSWER};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1,
            .msg_control = controls[i], .msg_controllen = sizeof controls[i]};
    }
    int n = recvmmsg(from, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        /* The kernel's time of arrival: this thread may have to wait for a processor. */
        double at = now();
        struct cmsghdr *c = CMSG_FIRSTHDR(&messages[i].msg_hdr);
        if (c && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            at = t.tv_sec + t.tv_nsec * 1e-9;
        }
        note_answer(packets[i], messages[i].msg_len, at);
    }
}

static void *receive(void *unused)
{
    struct pollfd fds[2] = {{.fd = wire, .events = POLLIN}, {boot_server_wire, POLLIN, 0}};
    while (!done) {
        if (poll(fds, 2, 20) <= 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (fds[i].revents)
                drain(fds[i].fd);
    }
    return unused;
}

static int open_port(const char *device, uint16_t port)
{
    int one = 1, size = 64 << 20, s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_BROADCAST, &one, sizeof one)
        || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one)
        || setsockopt(s, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one)
        || setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size)
        || setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size)
        || setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device) + 1)
        || setsockopt(s, IPPROTO_IP, IP_PKTINFO, (int[]){0}, sizeof(int))
        || bind(s, (struct sockaddr *)&to, sizeof to))
        fail("port");
    return s;
}

/* Send requests first..first+n-1, which all go to the same port. */
static void send_batch(size_t first, int n)
{
    static uint8_t packets[BATCH][PACKET], controls[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
    static struct sockaddr_in to;
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    int unicast = schedule[first].kind == REQUEST_4011;
    to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(unicast ? 4011 : 67)};
    to.sin_addr.s_addr = unicast ? server.s_addr : INADDR_BROADCAST;
    for (int i = 0; i < n; i++) {
        write_request(packets[i], first + i);
        parts[i] = (struct iovec){packets[i], PACKET};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to,
            .msg_iov = &parts[i], .msg_iovlen = 1};
        if (unicast) {
            struct in_pktinfo from = {.ipi_spec_dst.s_addr = schedule[first + i].address};
            memset(controls[i], 0, sizeof controls[i]);
            messages[i].msg_hdr.msg_control = controls[i];
            messages[i].msg_hdr.msg_controllen = sizeof controls[i];
            struct cmsghdr *c = CMSG_FIRSTHDR(&messages[i].msg_hdr);
            c->cmsg_level = IPPROTO_IP, c->cmsg_type = IP_PKTINFO;
            c->cmsg_len = CMSG_LEN(sizeof from);
            memcpy(CMSG_DATA(c), &from, sizeof from);
        }
    }
    double at = now();
    for (int i = 0; i < n; i++)
        sent_at[first + i] = at;
    for (int begun = 0; begun < n;) {
        int gone = sendmmsg(unicast ? boot_server_wire : wire, messages + begun, n - begun, 0);
        if (gone < 0 && errno != EINTR && errno != ENOBUFS)
            fail("send");
        begun += gone > 0 ? gone : 0;
    }
}

static void sleep_until(double at)
{
    struct timespec t = {.tv_sec = (time_t)at, .tv_nsec = (long)((at - (time_t)at) * 1e9)};
    while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static void *read_all(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END))
        fail(path);
    *size = ftell(f);
    rewind(f);
    void *data = malloc(*size + 1);
    if (!data || fread(data, 1, *size, f) != *size)
        fail(path);
    fclose(f);
    return data;
}

int main(int argc, char **argv)
{
    size_t size, expected = 0;
    if (argc != 7 || !inet_aton(argv[2], &server)) {
        fprintf(stderr, "usage: %s DEVICE SERVER BOOT_FILE SCHEDULE RESULTS SETTLE\n", argv[0]);
        return 2;
    }
    boot_file = argv[3];
    xid_base = (uint32_t)getpid() << 18;
    schedule = read_all(argv[4], &size);
    count = size / sizeof *schedule;
    sent_at = calloc(count + 1, sizeof *sent_at);
    result = calloc(count + 1, sizeof *result);
    for (size_t i = 0; i < count; i++) {
        result[i] = NONE;
        expected += schedule[i].kind != REQUEST;
    }
    wire = open_port(argv[1], 68);
    boot_server_wire = open_port(argv[1], 4011);
    prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
    pthread_t receiver;
    if (pthread_create(&receiver, NULL, receive, NULL))
        fail("thread");

    double start = now() + 0.05, last = start;
    for (size_t i = 0; i < count;) {
        double late = now() - start - schedule[i].at;
        if (late < 0) {
            sleep_until(start + schedule[i].at);
            continue;
        }
        int n = 1;
        while (n < BATCH && i + n < count && schedule[i + n].at <= schedule[i].at + late
            && (schedule[i + n].kind == REQUEST_4011) == (schedule[i].kind == REQUEST_4011))
            n++;
        send_batch(i, n);
        i += n;
        last = now();
    }
    double settle = atof(argv[6]);
    while (answered < expected && now() < last + settle)
        usleep(2000);
    usleep(20000);
    done = 1;
    pthread_join(receiver, NULL);
    FILE *out = fopen(argv[5], "wb");
    if (!out || fwrite(result, sizeof *result, count, out) != count || fclose(out))
        fail(argv[5]);
    printf("%.6f\n", count ? last - start - schedule[count - 1].at : 0.0);
    return 0;
}
