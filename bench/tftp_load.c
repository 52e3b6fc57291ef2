/* Loads files over TFTP as many machines at once, and verifies every byte; used by tftp.py.
 *
 * usage: tftp_load SERVER FIRST_ADDRESS NAME CONTENT CLIENTS TRANSFERS BLOCK WINDOW SECONDS
 *                  SPREAD RESULTS
 *
 * Client i speaks from FIRST_ADDRESS + i, and from another port for each of its transfers. It does
 * TRANSFERS of them, one after the other (0: until SECONDS are over); the first ones begin within
 * SPREAD seconds. CONTENT is the file that the server has as NAME. An RRQ has tsize, blksize and,
 * above 1, windowsize; what the server does not accept is done without.
 *
 * The clients are as RFC 1350 and RFC 7440 have them: an ACK for each window and for the first
 * block after a gap, a repeated ACK when the last acknowledged block comes again, ERROR 5 for a
 * second transfer of the same request. Their timers are patient, so that recovery is the server's:
 * an RRQ is repeated after RRQ_AGAIN, an ACK after ACK_AGAIN as EDK2 does.
 *
 * Clients share sockets and system calls: one such process can drive what a server cannot.
 * RESULTS becomes an array of `struct result`; printed are the seconds that it took, the verified
 * bytes, blocks that came again, packets that were repeated here, and the processor time.
 */
#define _GNU_SOURCE
#include "tftp_wire.h"

#include <strings.h>
#include <sys/resource.h>

enum { RRQ = 1, DATA = 3, ACK = 4, ERROR = 5, OACK = 6 };
enum state { WAITING, ASKED, RUNNING, IDLE };
enum outcome { COMPLETE, UNFINISHED, FAILED, WRONG };

#define RRQ_AGAIN 1.0
#define ACK_AGAIN 4.0
#define GIVE_UP 30.0
#define AFTER_FAILURE 0.2

struct client {
    struct in_addr address;
    enum state state;
    int socket;
    in_port_t peer; /* network order; 0: no answer yet */
    uint32_t block_size, window, since_ack;
    uint64_t expected, acknowledged, gap; /* block numbers without the wrap at 65536 */
    uint32_t transfers;
    double begin_at, asked_at, first_at, spoke_at, progress_at;
};

struct result {
    double first; /* seconds from the first RRQ to the first byte; -1: there was none */
    double total; /* to the last byte, or to the end of trying */
    int32_t outcome;
    int32_t client;
} __attribute__((packed));

static struct client *clients;
static uint32_t count, transfers, block_size, window;
static uint32_t first_address;
static const char *name;
static uint8_t *content;
static size_t content_size;
static FILE *results;
static uint32_t running;
static uint64_t bytes, again, repeated;

static void acknowledge(struct client *c)
{
    c->acknowledged = c->expected - 1;
    c->since_ack = 0;
    c->spoke_at = now;
    put_short(c->socket, c->address, c->peer, ACK, c->acknowledged & 0xffff);
}

static void ask(struct client *c)
{
    uint8_t packet[512];
    size_t n = 2;
    packet[0] = 0, packet[1] = RRQ;
    n += sprintf((char *)packet + n, "%s%coctet%ctsize%c0%cblksize%c%u", name, 0, 0, 0, 0, 0,
             block_size) + 1;
    if (window > 1)
        n += sprintf((char *)packet + n, "windowsize%c%u", 0, window) + 1;
    send_now(c->socket, c->address, 69, packet, n);
    c->spoke_at = now;
}

static void begin(struct client *c)
{
    c->state = ASKED;
    c->socket = c->transfers % SOCKETS;
    c->peer = 0;
    c->block_size = 512, c->window = 1, c->since_ack = 0;
    c->expected = 1, c->acknowledged = 0, c->gap = 0;
    c->asked_at = c->progress_at = now, c->first_at = 0;
    ask(c);
}

static void end(struct client *c, enum outcome outcome)
{
    struct result r = {c->first_at ? c->first_at - c->asked_at : -1, now - c->asked_at, outcome,
        (int32_t)(c - clients)};
    if (fwrite(&r, sizeof r, 1, results) != 1)
        fail("results");
    if (outcome != COMPLETE && c->peer)
        put_short(c->socket, c->address, c->peer, ERROR, 0);
    c->transfers++;
    if (transfers && c->transfers >= transfers) {
        c->state = IDLE;
        running--;
    } else if (outcome == COMPLETE) {
        begin(c);
    } else {
        c->state = WAITING;
        c->begin_at = now + AFTER_FAILURE;
    }
}

/* Read an OACK's options; 0 when one was not asked for, or is more than was asked for. */
static int accept_options(struct client *c, const uint8_t *packet, size_t length)
{
    const char *at = (const char *)packet + 2, *last = (const char *)packet + length;
    while (at < last) {
        const char *value = memchr(at, 0, last - at);
        if (!value || ++value >= last || !memchr(value, 0, last - value))
            return 0;
        unsigned long number = strtoul(value, NULL, 10);
        if (!strcasecmp(at, "blksize") && number >= 8 && number <= block_size)
            c->block_size = number;
        else if (!strcasecmp(at, "windowsize") && number >= 1 && number <= window)
            c->window = number;
        else if (strcasecmp(at, "tsize") || number != content_size)
            return 0;
        at = value + strlen(value) + 1;
    }
    return 1;
}

static void take_data(struct client *c, const uint8_t *packet, size_t length)
{
    uint16_t number = packet[2] << 8 | packet[3];
    uint16_t ahead = number - (uint16_t)c->expected;
    if (ahead >= 0x8000) { /* it came before; when it was acknowledged, that ACK was lost */
        again++;
        if (number == ((c->expected - 1) & 0xffff) && c->acknowledged == c->expected - 1)
            acknowledge(c);
        return;
    }
    if (ahead) { /* a gap: one ACK for each window that has it */
        uint64_t block = c->expected + ahead;
        if (c->gap <= c->expected || block <= c->gap)
            acknowledge(c);
        c->gap = block;
        again++;
        return;
    }
    size_t offset = (c->expected - 1) * c->block_size, size = length - 4;
    size_t left = offset <= content_size ? content_size - offset : 0;
    if (offset > content_size || size != (left < c->block_size ? left : c->block_size)
        || memcmp(packet + 4, content + offset, size)) {
        end(c, WRONG);
        return;
    }
    if (c->expected == 1)
        c->first_at = now;
    bytes += size;
    c->expected++;
    c->since_ack++;
    c->progress_at = c->spoke_at = now;
    if (size < c->block_size) {
        acknowledge(c);
        end(c, COMPLETE);
    } else if (c->since_ack >= c->window) {
        acknowledge(c);
    }
}

static void take(int from, struct in_addr to, in_port_t port, const uint8_t *packet, size_t length)
{
    uint32_t index = ntohl(to.s_addr) - first_address;
    if (index >= count || length < 4)
        return;
    struct client *c = &clients[index];
    int opcode = packet[1];
    uint16_t number = packet[2] << 8 | packet[3];
    if (c->socket != from || (c->state != ASKED && c->state != RUNNING)
        || (c->state == ASKED && opcode == DATA && number != 1)) {
        /* Of a transfer that is over: its last ACK was lost. */
        if (opcode == DATA)
            put_short(from, to, port, ACK, number);
        return;
    }
    if (c->peer && c->peer != port) {
        if (opcode != ERROR)
            put_short(from, to, port, ERROR, 5);
        return;
    }
    switch (opcode) {
    case OACK:
        if (c->state == ASKED) {
            c->peer = port;
            if (!accept_options(c, packet, length)) {
                end(c, WRONG);
                return;
            }
            c->state = RUNNING;
            c->progress_at = now;
        }
        if (c->expected == 1)
            acknowledge(c);
        return;
    case DATA:
        c->peer = port;
        c->state = RUNNING;
        take_data(c, packet, length);
        return;
    case ERROR:
        end(c, FAILED);
        return;
    }
}

/* Begin what is due, repeat what was not answered; returns when to look again. */
static double look_after_clients(void)
{
    double next = now + 0.05;
    for (struct client *c = clients; c < clients + count; c++) {
        switch (c->state) {
        case WAITING:
            if (c->begin_at <= now)
                begin(c);
            else if (c->begin_at < next)
                next = c->begin_at;
            break;
        case ASKED:
        case RUNNING:
            if (now - c->progress_at > GIVE_UP) {
                end(c, FAILED);
            } else if (c->state == ASKED && now - c->spoke_at > RRQ_AGAIN) {
                repeated++;
                ask(c);
            } else if (c->state == RUNNING && now - c->spoke_at > ACK_AGAIN) {
                repeated++;
                acknowledge(c);
            }
            break;
        case IDLE:
            break;
        }
    }
    flush();
    return next;
}

static void read_content(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END))
        fail(path);
    content_size = ftell(f);
    rewind(f);
    content = malloc(content_size + 1);
    if (!content || fread(content, 1, content_size, f) != content_size)
        fail(path);
    fclose(f);
}

int main(int argc, char **argv)
{
    struct in_addr first;
    if (argc != 12 || !inet_aton(argv[1], &server) || !inet_aton(argv[2], &first)
        || strlen(argv[3]) > 400 || atoi(argv[5]) < 1 || atoi(argv[7]) < 8) {
        fprintf(stderr, "usage: %s SERVER FIRST_ADDRESS NAME CONTENT CLIENTS TRANSFERS BLOCK WINDOW"
                        " SECONDS SPREAD RESULTS\n", argv[0]);
        return 2;
    }
    first_address = ntohl(first.s_addr);
    name = argv[3];
    read_content(argv[4]);
    count = running = atoi(argv[5]);
    transfers = atoi(argv[6]), block_size = atoi(argv[7]), window = atoi(argv[8]);
    double seconds = atof(argv[9]), spread = atof(argv[10]);
    if (!(results = fopen(argv[11], "wb")) || !(clients = calloc(count, sizeof *clients)))
        fail("results");
    open_sockets();
    prepare_out();
    srandom(1);
    tell_time();
    double start = now, next_look = now;
    for (uint32_t i = 0; i < count; i++) {
        clients[i].address.s_addr = htonl(first_address + i);
        clients[i].begin_at = now + spread * random() / RAND_MAX;
    }
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);

    while (running && now < start + seconds) {
        if (now >= next_look)
            next_look = look_after_clients();
        poll(arrivals, SOCKETS, (int)((next_look - now) * 1000) + 1);
        tell_time();
        for (int i = 0; i < SOCKETS; i++)
            if (arrivals[i].revents)
                receive(i, take);
    }
    double elapsed = now - start;
    transfers = 1;
    for (uint32_t i = 0; i < count; i++)
        if (clients[i].state == ASKED || clients[i].state == RUNNING)
            end(&clients[i], UNFINISHED);
    flush();
    getrusage(RUSAGE_SELF, &after);
    if (fclose(results))
        fail(argv[11]);
    double used = after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec
        - before.ru_stime.tv_sec
        + (after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec
              - before.ru_stime.tv_usec) * 1e-6;
    printf("%.6f %llu %llu %llu %.6f\n", elapsed, (unsigned long long)bytes,
        (unsigned long long)again, (unsigned long long)repeated, used);
    return 0;
}
