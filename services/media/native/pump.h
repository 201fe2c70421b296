/* The tables of the packet path and the calls on them. `pump.py` gives this file to cffi without
 * its lines that begin with `#`, so it holds plain declarations only.
 *
 * Python owns the memory of the structs and the control of them; what hangs below them is freed by
 * `pump_shut`, `pump_end_source` and `pump_close`. One thread. Seconds are of CLOCK_MONOTONIC.
 */
#pragma once
#include <stdint.h>

typedef int (*pump_transform)(void *context, void *packet, int *length); /* libsrtp, 0 = done */

/* An IPv4 address is ::ffff:a.b.c.d. No padding: compared and hashed as bytes. */
typedef struct {
    uint8_t ip[16];
    uint32_t port;
} pump_address;

typedef struct pump_source pump_source;
typedef struct pump_endpoint pump_endpoint;

typedef struct {
    uint8_t *bytes;
    uint16_t size; /* 0: empty */
    uint16_t room;
} pump_slot;

/* An edge. The fields are those of `path.Edge`. */
typedef struct {
    pump_endpoint *endpoint;
    pump_source *source;
    pump_source *waiting;
    int64_t number; /* names it to Python */
    int64_t since;
    uint32_t ssrc;
    uint32_t sequence_offset;
    uint32_t timestamp_offset;
    uint32_t picture_offset;
    uint32_t level_offset;
    uint32_t wanted_offset;
    uint8_t payload_type;
    _Bool has_wanted_offset;
    _Bool paused;
    _Bool is_starting;
    _Bool needs_key_frame;
    _Bool is_moved;
    _Bool rewrite;
    /* `Sent`: the newest packet, in the edge's own numbers */
    _Bool has_last;
    _Bool has_last_picture;
    _Bool has_last_level;
    uint32_t last_sequence;
    uint32_t last_timestamp;
    uint32_t last_picture;
    uint32_t last_level;
    double last_at;
    uint64_t packets;
    uint64_t bytes;
    uint64_t dropped;
} pump_edge;

typedef struct {
    pump_edge **edges;
    uint32_t count;
    uint32_t room;
} pump_edges;

enum pump_codec { PUMP_OTHER, PUMP_VP8, PUMP_H264 };

/* A source. The fields are those of `path.Source`. */
struct pump_source {
    uint32_t ssrc;
    uint32_t clock_rate;
    uint32_t level_extension;
    uint32_t abs_send_time_extension;
    uint8_t payload_type;
    uint8_t codec;
    uint8_t level;
    _Bool repairs;
    uint32_t mask; /* history - 1 */
    pump_slot *ring;
    pump_edges edges;
    pump_edges waiters;
    pump_address *taps;
    uint32_t tap_count;
    uint32_t last_timestamp;
    int64_t base;
    int64_t highest;
    uint64_t packets;
    uint64_t bytes;
    double jitter;
    double last_arrival;
    uint64_t key_frames;
    double key_frame_at;
    uint32_t key_frame_timestamp;
};

typedef struct {
    double at;
    uint16_t number;
} pump_arrival;

/* An endpoint: media flows while the contexts and the address are set. */
struct pump_endpoint {
    int64_t number; /* names it to Python */
    void *receive;
    void *send;
    pump_address address;
    _Bool has_address;
    uint32_t arrival_extension;
    pump_source **sources;
    uint32_t source_count;
    uint32_t *unknown; /* SSRCs that were handed to the leg; NULL: it does not learn */
    uint32_t unknown_count;
    uint32_t senders[64]; /* SSRCs of authentic RTCP, but for `sources` */
    uint32_t sender_count;
    pump_arrival *arrivals; /* a ring, NULL: not noted */
    uint32_t arrival_first;
    uint32_t arrival_count;
    uint64_t batch;   /* the send in which `message` is */
    uint32_t message; /* which takes the next packet of its size */
};

typedef struct {
    pump_address address;
    pump_endpoint *endpoint; /* NULL: free */
} pump_route;

/* What comes back from `pump_receive`: things that Python decides. */
enum pump_event {
    PUMP_NOTHING,
    PUMP_STUN,    /* data, host, port */
    PUMP_DTLS,    /* data, host, port */
    PUMP_RTCP,    /* data, decrypted, of endpoint */
    PUMP_UNKNOWN, /* data, decrypted, of endpoint */
    PUMP_GAP,     /* first, count, of the source with this ssrc */
    PUMP_FILLED,  /* first, of the source with this ssrc */
    PUMP_REPAIR   /* data, decrypted, of the source with this ssrc */
};

typedef struct pump_buffers pump_buffers;

typedef struct {
    int fd;
    _Bool is_ipv6;
    pump_transform protect;
    pump_transform unprotect;
    pump_transform unprotect_rtcp;
    uint64_t seed; /* of the hash of addresses */
    _Bool no_segments; /* the kernel does not cut a message into datagrams (UDP_SEGMENT) */
    pump_route *routes;
    uint32_t route_room;
    uint32_t route_count;
    pump_buffers *buffers;
    /* The event; `data` lives until the next `pump_receive`. */
    uint8_t *data;
    int size;
    int64_t endpoint;
    uint32_t ssrc;
    int64_t first;
    int64_t count;
    char host[46];
    int port;
    double now;
    /* Counters. Those behind the first are drops and are set back by Python. */
    uint64_t forwarded;
    uint64_t receive_failed;
    uint64_t bad_size;
    uint64_t unknown_protocol;
    uint64_t media_from_elsewhere;
    uint64_t dtls_from_elsewhere;
    uint64_t not_authentic;
    uint64_t unknown_ssrc;
    uint64_t too_many_rtcp_senders;
    uint64_t unknown_payload_type;
    uint64_t copy_or_too_late;
    uint64_t send_failed;
} pump;

/* Calls that return int give 0, or -1 where there is no memory or no such address. */

const char *pump_fingerprint(void); /* of the files it was made from */
int pump_open(pump *p);
void pump_close(pump *p);

int pump_parse(pump_address *address, const char *host, int port);
int pump_route_to(pump *p, const pump_address *address, pump_endpoint *endpoint);
void pump_unroute(pump *p, const pump_address *address);

int pump_add_source(pump *p, pump_endpoint *endpoint, pump_source *source);
int pump_learn(pump_endpoint *endpoint);
int pump_watch_arrivals(pump_endpoint *endpoint, int extension);
void pump_shut(pump *p, pump_endpoint *endpoint); /* its edges were disconnected */
void pump_end_source(pump *p, pump_source *source);

int pump_connect(pump_edge *edge, pump_source *source, int at_key_frame);
void pump_disconnect(pump_edge *edge);
void pump_pause(pump_edge *edge);
void pump_resume(pump_edge *edge, int at_key_frame);
int pump_tap(pump_source *source, const pump_address *addresses, uint32_t count);

/* Goes on where the last event came up; `woken` is true for the first call of a wake-up. Everything
 * before the event was sent when it returns. */
int pump_receive(pump *p, int woken);
void pump_inject(pump *p, pump_source *source, const uint8_t *packet, int size, double now);
