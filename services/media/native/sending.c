/* Sending in batches. What has one size and goes to one client is one message, which the kernel cuts
 * (UDP_SEGMENT): the way through it is most of what a packet costs.
 */
#define _GNU_SOURCE /* sendmmsg */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include "buffers.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

void start_sending(pump *p)
{
    pump_buffers *b = p->buffers;
    for (int i = 0; i < SENDS; i++) {
        b->out[i].msg_hdr.msg_iov = b->messages[i].parts;
        b->out[i].msg_hdr.msg_name = b->out_names + i;
    }
    b->batch = 1; /* no endpoint has a message yet */
    int size;
    socklen_t length = sizeof size; /* a kernel without it would send the message whole */
    p->no_segments = getsockopt(p->fd, IPPROTO_UDP, UDP_SEGMENT, &size, &length) != 0;
}

static void account(pump *p, const sending *one, bool done)
{
    if (one->edge && done) {
        one->edge->packets++;
        one->edge->bytes += (uint64_t)one->size;
    } else if (one->edge) {
        one->edge->dropped++;
    } else if (!done) {
        p->send_failed++;
    }
}

/* One by one, what did not go as one: the kernel cannot, or one was too long for the way. */
static void send_apart(pump *p, const struct msghdr *header, const message *m)
{
    for (int i = 0; i < m->count; i++) {
        struct msghdr alone = {.msg_name = header->msg_name,
                               .msg_namelen = header->msg_namelen,
                               .msg_iov = (struct iovec *)m->parts + i,
                               .msg_iovlen = 1};
        account(p, m->sendings + i, sendmsg(p->fd, &alone, MSG_DONTWAIT) >= 0);
    }
}

static void failed(pump *p, const struct msghdr *header, const message *m)
{
    if (m->count > 1 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
        p->no_segments |= errno == EIO || errno == ENOPROTOOPT;
        send_apart(p, header, m);
        return;
    }
    for (int i = 0; i < m->count; i++) /* the kernel's buffer is full, or an ICMP error */
        account(p, m->sendings + i, false);
}

/* Tell the kernel where to cut. */
static void segment(struct msghdr *header, message *m)
{
    header->msg_iovlen = (size_t)m->count;
    header->msg_control = NULL;
    header->msg_controllen = 0;
    if (m->count == 1)
        return;
    header->msg_control = m->control;
    header->msg_controllen = sizeof m->control;
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    uint16_t size = (uint16_t)m->parts[0].iov_len;
    memcpy(CMSG_DATA(control), &size, sizeof size);
}

void flush(pump *p)
{
    pump_buffers *b = p->buffers;
    for (int i = 0; i < b->waiting; i++)
        segment(&b->out[i].msg_hdr, b->messages + i);
    for (int done = 0; done < b->waiting;) {
        int sent = sendmmsg(p->fd, b->out + done, (unsigned)(b->waiting - done), MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0) {
            failed(p, &b->out[done].msg_hdr, b->messages + done);
            done++;
        }
        for (int end = done + sent; done < end; done++)
            for (int part = 0; part < b->messages[done].count; part++)
                account(p, b->messages[done].sendings + part, true);
    }
    b->waiting = b->written = 0;
    b->batch++;
}

uint8_t *place(pump *p)
{
    if (p->buffers->written == SENDS)
        flush(p);
    return p->buffers->out_bytes[p->buffers->written];
}

static void name(const pump *p, int at, const pump_address *to)
{
    socket_name *name = p->buffers->out_names + at;
    if (p->is_ipv6 || !is_ipv4(to)) {
        name->ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                           .sin6_port = htons((uint16_t)to->port)};
        memcpy(&name->ipv6.sin6_addr, to->ip, sizeof to->ip);
        p->buffers->out[at].msg_hdr.msg_namelen = sizeof name->ipv6;
    } else {
        name->ipv4 = (struct sockaddr_in){.sin_family = AF_INET,
                                          .sin_port = htons((uint16_t)to->port)};
        memcpy(&name->ipv4.sin_addr, to->ip + 12, 4);
        p->buffers->out[at].msg_hdr.msg_namelen = sizeof name->ipv4;
    }
}

/* Send what was written there; `size` is that of the RTP packet in it. It goes with what went to the
 * same client before, if it is as long as the first of that; a shorter one is the last. */
void put(pump *p, const pump_address *to, int length, pump_edge *edge, int size)
{
    pump_buffers *b = p->buffers;
    uint8_t *bytes = b->out_bytes[b->written++];
    pump_endpoint *endpoint = edge ? edge->endpoint : NULL;
    message *m = NULL;
    if (endpoint && endpoint->batch == b->batch)
        m = b->messages + endpoint->message;
    if (!m || !m->open || (size_t)length > m->parts[0].iov_len) {
        int at = b->waiting++;
        m = b->messages + at;
        m->count = 0;
        m->open = endpoint && !p->no_segments;
        name(p, at, to);
        if (endpoint) {
            endpoint->batch = b->batch;
            endpoint->message = (uint32_t)at;
        }
    }
    m->parts[m->count] = (struct iovec){bytes, (size_t)length};
    m->sendings[m->count++] = (sending){edge, size};
    if (m->count == SEGMENTS || (size_t)length < m->parts[0].iov_len)
        m->open = false;
}
