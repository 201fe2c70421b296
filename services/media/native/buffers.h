/* What a wake-up works with: the datagrams that came, and those to be sent. Of path.c and sending.c;
 * both need _GNU_SOURCE for `struct mmsghdr`.
 */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include "path.h"

enum {
    BATCH = 64,    /* datagrams a receive */
    ROUNDS = 4,    /* receives a wake-up: let the loop breathe */
    SENDS = 256,   /* datagrams a send */
    SEGMENTS = 8,  /* datagrams a message: those of one size to one client are sent as one */
    TRAILER = 160, /* libsrtp's largest is 148 */
};

/* Where the packet at hand goes on when Python has decided. */
enum stage { DONE, KNOWN, SKIPPED, KEEP };

typedef struct {
    pump_edge *edge; /* NULL: a copy for a tap */
    int size;        /* of the RTP packet */
} sending;

/* What the kernel sends in one go. */
typedef struct {
    struct iovec parts[SEGMENTS];
    sending sendings[SEGMENTS];
    int count;
    bool open; /* more of the size of the first may follow */
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))];
} message;

typedef union {
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
} socket_name;

struct pump_buffers {
    struct mmsghdr in[BATCH], out[SENDS];
    struct iovec in_parts[BATCH];
    message messages[SENDS];
    socket_name in_names[BATCH], out_names[SENDS];
    int received, next, rounds;
    int waiting, written; /* messages to be sent, datagrams in them */
    uint64_t batch;
    bool more;            /* the last receive was full */
    enum stage stage;
    pump_endpoint *at;
    pump_source *source;
    uint32_t step;
    int64_t extended;
    _Alignas(16) uint8_t in_bytes[BATCH][DATAGRAM];
    _Alignas(16) uint8_t out_bytes[SENDS][DATAGRAM + TRAILER];
};

/* sending.c */

void start_sending(pump *p);
uint8_t *place(pump *p); /* for a datagram of the next send */
void put(pump *p, const pump_address *to, int length, pump_edge *edge, int size);
void flush(pump *p);
