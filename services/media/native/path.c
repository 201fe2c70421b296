/* The path: receive a batch, decrypt, keep, protect for each edge, send in batches. As the methods
 * of `port.Port` behind its heading "The path".
 */
#define _GNU_SOURCE /* recvmmsg */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "buffers.h"

enum { MAX_GAP = 256 }; /* packets worth asking for again */

const char *pump_fingerprint(void)
{
    return PUMP_FINGERPRINT;
}

int pump_open(pump *p)
{
    pump_buffers *b = p->buffers = calloc(1, sizeof *b);
    if (!b)
        return -1;
    for (int i = 0; i < BATCH; i++) {
        b->in_parts[i] = (struct iovec){b->in_bytes[i], DATAGRAM};
        b->in[i].msg_hdr.msg_iov = b->in_parts + i;
        b->in[i].msg_hdr.msg_iovlen = 1;
        b->in[i].msg_hdr.msg_name = b->in_names + i;
    }
    start_sending(p);
    return 0;
}

void pump_close(pump *p)
{
    free(p->buffers);
    free(p->routes);
    p->buffers = NULL;
    p->routes = NULL;
    p->route_room = p->route_count = 0;
    p->fd = -1;
}

void abandon_endpoint(pump *p, const pump_endpoint *endpoint)
{
    if (p->buffers && p->buffers->at == endpoint)
        p->buffers->stage = DONE;
}

void abandon_source(pump *p, const pump_source *source)
{
    if (p->buffers && p->buffers->source == source)
        p->buffers->stage = DONE;
}

/* The packet as this edge sends it. */
static void rewrite(const pump_edge *edge, uint8_t *packet, int size)
{
    packet[1] = (packet[1] & 0x80) | edge->payload_type;
    put_word(packet + 2, word_at(packet + 2) + edge->sequence_offset);
    put_long(packet + 4, long_at(packet + 4) + edge->timestamp_offset);
    put_long(packet + 8, edge->ssrc);
    vp8_numbers numbers;
    if ((edge->picture_offset || edge->level_offset) && find_vp8_numbers(packet, size, &numbers))
        renumber(packet, &numbers, edge->picture_offset, edge->level_offset);
}

/* Does a numbering begin with this packet? */
static bool may_join(const pump_edge *edge, const uint8_t *packet, int size, int64_t extended,
                     bool begins)
{
    if (edge->paused || !edge->is_starting)
        return false;
    if (!begins && (edge->needs_key_frame || extended != edge->source->highest))
        return false;
    /* With padding nobody would know from where pictures count. */
    vp8_numbers numbers;
    return edge->source->codec != PUMP_VP8 || !edge->has_last ||
           find_vp8_numbers(packet, size, &numbers);
}

static void fan_out(pump *p, pump_source *source, const uint8_t *packet, int size,
                    int64_t extended, bool begins, double now)
{
    int stamp = 0;
    uint32_t time = (uint32_t)(uint64_t)(now * 0x40000) & 0xFFFFFF; /* 6.18 bit fixed point */
    if (source->abs_send_time_extension)
        stamp = send_time_place(packet, size, source->abs_send_time_extension);
    for (uint32_t i = 0; i < source->edges.count; i++) {
        pump_edge *edge = source->edges.edges[i];
        if (extended < edge->since) {
            if (!may_join(edge, packet, size, extended, begins))
                continue;
            join(edge, source, packet, size, extended, now);
        }
        uint8_t *out = place(p);
        memcpy(out, packet, (size_t)size);
        if (stamp) {
            out[stamp] = (uint8_t)(time >> 16);
            put_word(out + stamp + 1, time);
        }
        if (edge->rewrite)
            rewrite(edge, out, size);
        p->forwarded++;
        pump_endpoint *to = edge->endpoint;
        int length = size;
        if (!to->send || !to->has_address || p->protect(to->send, out, &length))
            edge->dropped++;
        else
            put(p, &to->address, length, edge, size);
    }
}

static void forward(pump *p, pump_source *source, const uint8_t *packet, int size,
                    int64_t extended, double now)
{
    bool begins = false;
    if (source->codec != PUMP_OTHER && begins_key_frame(packet, size, source->codec)) {
        uint32_t timestamp = long_at(packet + 4);
        begins = !source->key_frames || timestamp != source->key_frame_timestamp;
        if (begins) {
            source->key_frames++;
            source->key_frame_at = now;
            source->key_frame_timestamp = timestamp;
            take_waiters(source);
        }
    }
    fan_out(p, source, packet, size, extended, begins, now);
    for (uint32_t i = 0; i < source->tap_count; i++) {
        memcpy(place(p), packet, (size_t)size);
        put(p, source->taps + i, size, NULL, size);
    }
}

void pump_inject(pump *p, pump_source *source, const uint8_t *packet, int size, double now)
{
    if (!p->buffers || size < HEADER || size > DATAGRAM)
        return;
    int64_t age = (source->highest - (int64_t)word_at(packet + 2)) & 0xFFFF;
    if (age <= source->mask) /* else a newer one has its place */
        keep(source, packet, size);
    forward(p, source, packet, size, source->highest - age, now);
    flush(p);
}

/* Receiving */

static int event(pump *p, int kind, enum stage stage)
{
    p->buffers->stage = stage;
    flush(p);
    return kind;
}

static int store(pump *p, pump_source *source, int64_t extended)
{
    keep(source, p->data, p->size);
    source->packets++;
    source->bytes += (uint64_t)p->size;
    forward(p, source, p->data, p->size, extended, p->now);
    return PUMP_NOTHING;
}

static void arrived(pump_source *source, uint32_t timestamp, double now)
{
    source->last_arrival = now;
    source->last_timestamp = timestamp;
}

/* Behind a gap: `step` numbers on. */
static int skip(pump *p, pump_source *source, uint32_t step, int64_t extended)
{
    source->highest += step;
    arrived(source, long_at(p->data + 4), p->now);
    return store(p, source, extended);
}

/* A gap, a late packet or a copy. */
static int irregular(pump *p, pump_source *source, uint32_t step, int64_t extended)
{
    pump_buffers *b = p->buffers;
    b->source = source;
    b->extended = extended;
    b->step = step;
    if (step != 0 && step < 0x8000) {
        if (step > MAX_GAP)
            return skip(p, source, step, extended);
        p->first = source->highest + 1;
        p->count = step - 1;
        return event(p, PUMP_GAP, SKIPPED);
    }
    uint32_t age = -step & 0xFFFF;
    if (age > source->mask || kept(source, word_at(p->data + 2))) {
        p->copy_or_too_late++;
        return PUMP_NOTHING;
    }
    p->first = source->highest - age;
    return event(p, PUMP_FILLED, KEEP);
}

/* RFC 3550 6.4.1, in units of the media clock. */
static void measure(pump_source *source, uint32_t timestamp, double now)
{
    double change = (now - source->last_arrival) * source->clock_rate -
                    (double)(int32_t)(timestamp - source->last_timestamp);
    source->jitter += ((change < 0 ? -change : change) - source->jitter) / 16;
}

static int media(pump *p, pump_source *source)
{
    const uint8_t *packet = p->data;
    if ((packet[1] & 0x7F) != source->payload_type) {
        p->unknown_payload_type++;
        return PUMP_NOTHING;
    }
    if (source->repairs) {
        source->packets++;
        source->bytes += (uint64_t)p->size;
        return event(p, PUMP_REPAIR, DONE);
    }
    if (source->level_extension) {
        int at = extension_place(packet, p->size, source->level_extension, 1);
        if (at)
            source->level = packet[at] & 0x7F;
    }
    uint32_t sequence = word_at(packet + 2), timestamp = long_at(packet + 4);
    if (source->highest < 0) {
        source->base = source->highest = sequence;
        arrived(source, timestamp, p->now);
        return store(p, source, sequence);
    }
    uint32_t step = (sequence - (uint32_t)source->highest) & 0xFFFF;
    if (step != 1)
        return irregular(p, source, step, source->highest + (int16_t)step);
    source->highest++;
    measure(source, timestamp, p->now);
    arrived(source, timestamp, p->now);
    return store(p, source, source->highest);
}

static int rtp(pump *p, pump_endpoint *endpoint, int size)
{
    p->ssrc = long_at(p->data + 8);
    pump_source *source = find_source(endpoint, p->ssrc);
    if (!source && !may_learn(endpoint, p->ssrc)) {
        p->unknown_ssrc++;
        return PUMP_NOTHING;
    }
    if (p->unprotect(endpoint->receive, p->data, &size)) {
        p->not_authentic++;
        return PUMP_NOTHING;
    }
    if (size < HEADER) {
        p->bad_size++;
        return PUMP_NOTHING;
    }
    p->size = size;
    note_arrival(endpoint, p->data, size, p->now);
    if (source)
        return media(p, source);
    note_unknown(endpoint, p->ssrc);
    return event(p, PUMP_UNKNOWN, KNOWN);
}

static int rtcp(pump *p, pump_endpoint *endpoint, int size)
{
    uint32_t sender = long_at(p->data + 4);
    bool is_new = !is_sender(endpoint, sender);
    if (is_new && endpoint->sender_count == MAX_SENDERS) {
        p->too_many_rtcp_senders++;
        return PUMP_NOTHING;
    }
    if (p->unprotect_rtcp(endpoint->receive, p->data, &size)) {
        p->not_authentic++;
        return PUMP_NOTHING;
    }
    if (is_new)
        endpoint->senders[endpoint->sender_count++] = sender;
    p->size = size;
    return event(p, PUMP_RTCP, DONE);
}

static void read_name(const socket_name *name, pump_address *address)
{
    memset(address, 0, sizeof *address);
    if (name->ipv6.sin6_family == AF_INET6) {
        memcpy(address->ip, &name->ipv6.sin6_addr, sizeof address->ip);
        address->port = ntohs(name->ipv6.sin6_port);
    } else {
        address->ip[10] = address->ip[11] = 0xFF;
        memcpy(address->ip + 12, &name->ipv4.sin_addr, 4);
        address->port = ntohs(name->ipv4.sin_port);
    }
}

static int addressed(pump *p, int kind, const pump_address *from)
{
    if (is_ipv4(from))
        inet_ntop(AF_INET, from->ip + 12, p->host, sizeof p->host);
    else
        inet_ntop(AF_INET6, from->ip, p->host, sizeof p->host);
    p->port = (int)from->port;
    return event(p, kind, DONE);
}

static int datagram(pump *p, const struct mmsghdr *message)
{
    int size = (int)message->msg_len;
    uint8_t *data = p->data = message->msg_hdr.msg_iov->iov_base;
    p->size = size;
    if (size <= HEADER || size >= DATAGRAM) {
        p->bad_size++;
        return PUMP_NOTHING;
    }
    pump_address from;
    read_name(message->msg_hdr.msg_name, &from);
    pump_endpoint *endpoint = find_route(p, &from);
    p->buffers->at = endpoint;
    p->buffers->source = NULL;
    if (data[0] >= 128 && data[0] <= 191) {
        if (endpoint && endpoint->receive) {
            p->endpoint = endpoint->number;
            bool control = data[1] >= 192 && data[1] <= 223;
            return control ? rtcp(p, endpoint, size) : rtp(p, endpoint, size);
        }
        p->media_from_elsewhere++;
    } else if (data[0] <= 3) {
        return addressed(p, PUMP_STUN, &from);
    } else if (data[0] >= 20 && data[0] <= 63) {
        if (endpoint)
            return addressed(p, PUMP_DTLS, &from);
        p->dtls_from_elsewhere++;
    } else {
        p->unknown_protocol++;
    }
    return PUMP_NOTHING;
}

static int resume(pump *p)
{
    pump_buffers *b = p->buffers;
    enum stage stage = b->stage;
    b->stage = DONE;
    if (stage == SKIPPED)
        return skip(p, b->source, b->step, b->extended);
    if (stage == KEEP)
        return store(p, b->source, b->extended);
    pump_source *source = stage == KNOWN ? find_source(b->at, p->ssrc) : NULL;
    return source ? media(p, source) : PUMP_NOTHING;
}

/* Another batch. False: the wake-up is over. */
static bool receive(pump *p)
{
    pump_buffers *b = p->buffers;
    flush(p);
    b->received = b->next = 0;
    if (b->rounds == ROUNDS || !b->more)
        return false;
    b->rounds++;
    for (int i = 0; i < BATCH; i++)
        b->in[i].msg_hdr.msg_namelen = sizeof b->in_names[i];
    int received = recvmmsg(p->fd, b->in, BATCH, MSG_DONTWAIT, NULL);
    if (received < 0) {
        b->more = errno == EINTR;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return false;
        if (errno == EINTR)
            return true;
        p->receive_failed++; /* an ICMP error of an earlier datagram */
        return b->more = true;
    }
    b->received = received;
    b->more = received == BATCH;
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    p->now = (double)time.tv_sec + (double)time.tv_nsec / 1e9;
    return true;
}

int pump_receive(pump *p, int woken)
{
    pump_buffers *b = p->buffers;
    if (!b)
        return PUMP_NOTHING;
    if (woken) {
        b->rounds = 0;
        b->more = true;
    }
    int kind = b->stage == DONE ? PUMP_NOTHING : resume(p);
    while (kind == PUMP_NOTHING) {
        if (b->next == b->received && !receive(p))
            return PUMP_NOTHING;
        if (b->next < b->received)
            kind = datagram(p, b->in + b->next++);
    }
    return kind;
}
