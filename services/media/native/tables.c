/* Addresses, endpoints and their sources, histories. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include "path.h"

int pump_parse(pump_address *address, const char *host, int port)
{
    memset(address, 0, sizeof *address);
    address->port = (uint32_t)port;
    if (inet_pton(AF_INET6, host, address->ip) == 1)
        return 0;
    address->ip[10] = address->ip[11] = 0xFF;
    return inet_pton(AF_INET, host, address->ip + 12) == 1 ? 0 : -1;
}

/* Where an address is in the table, or the free place where it would be. */
static uint32_t place_of(const pump *p, const pump_address *address)
{
    uint64_t hash = p->seed;
    uint32_t words[sizeof *address / sizeof(uint32_t)];
    memcpy(words, address, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        hash = (hash ^ words[i]) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 32;
    }
    uint32_t mask = p->route_room - 1, at = (uint32_t)hash & mask;
    while (p->routes[at].endpoint && memcmp(&p->routes[at].address, address, sizeof *address) != 0)
        at = (at + 1) & mask;
    return at;
}

pump_endpoint *find_route(const pump *p, const pump_address *address)
{
    return p->route_count ? p->routes[place_of(p, address)].endpoint : NULL;
}

static void put_route(pump *p, const pump_address *address, pump_endpoint *endpoint)
{
    pump_route *route = p->routes + place_of(p, address);
    p->route_count += !route->endpoint;
    route->address = *address;
    route->endpoint = endpoint;
}

int pump_route_to(pump *p, const pump_address *address, pump_endpoint *endpoint)
{
    if (p->route_count * 2 >= p->route_room) {
        uint32_t room = p->route_room;
        pump_route *before = p->routes, *routes = calloc(room ? room * 2 : 64, sizeof *routes);
        if (!routes)
            return -1;
        p->routes = routes;
        p->route_room = room ? room * 2 : 64;
        p->route_count = 0;
        for (uint32_t i = 0; i < room; i++)
            if (before[i].endpoint)
                put_route(p, &before[i].address, before[i].endpoint);
        free(before);
    }
    put_route(p, address, endpoint);
    return 0;
}

/* No tombstones: what stands behind the gap is put in anew. */
void pump_unroute(pump *p, const pump_address *address)
{
    if (!find_route(p, address))
        return;
    uint32_t mask = p->route_room - 1, at = place_of(p, address);
    p->routes[at].endpoint = NULL;
    p->route_count--;
    for (at = (at + 1) & mask; p->routes[at].endpoint; at = (at + 1) & mask) {
        pump_route moved = p->routes[at];
        p->routes[at].endpoint = NULL;
        p->route_count--;
        put_route(p, &moved.address, moved.endpoint);
    }
}

pump_source *find_source(const pump_endpoint *endpoint, uint32_t ssrc)
{
    for (uint32_t i = 0; i < endpoint->source_count; i++)
        if (endpoint->sources[i]->ssrc == ssrc)
            return endpoint->sources[i];
    return NULL;
}

int pump_add_source(pump *p, pump_endpoint *endpoint, pump_source *source)
{
    if (!source->ring)
        source->ring = calloc((size_t)source->mask + 1, sizeof *source->ring);
    if (!source->ring)
        return -1;
    for (uint32_t i = 0; i < endpoint->source_count; i++) {
        if (endpoint->sources[i]->ssrc != source->ssrc)
            continue;
        abandon_source(p, endpoint->sources[i]);
        endpoint->sources[i] = source;
        return 0;
    }
    size_t wanted = (endpoint->source_count + 1) * sizeof *endpoint->sources;
    pump_source **sources = realloc(endpoint->sources, wanted);
    if (!sources)
        return -1;
    sources[endpoint->source_count++] = source;
    endpoint->sources = sources;
    return 0;
}

int pump_learn(pump_endpoint *endpoint)
{
    if (!endpoint->unknown)
        endpoint->unknown = calloc(MAX_UNKNOWN, sizeof *endpoint->unknown);
    return endpoint->unknown ? 0 : -1;
}

static bool is_among(const uint32_t *ssrcs, uint32_t count, uint32_t ssrc)
{
    for (uint32_t i = 0; i < count; i++)
        if (ssrcs[i] == ssrc)
            return true;
    return false;
}

bool is_sender(const pump_endpoint *endpoint, uint32_t ssrc)
{
    return find_source(endpoint, ssrc) ||
           is_among(endpoint->senders, endpoint->sender_count, ssrc);
}

static bool is_known(const pump_endpoint *endpoint, uint32_t ssrc)
{
    return is_among(endpoint->unknown, endpoint->unknown_count, ssrc);
}

bool may_learn(const pump_endpoint *endpoint, uint32_t ssrc)
{
    return endpoint->unknown &&
           (endpoint->unknown_count < MAX_UNKNOWN || is_known(endpoint, ssrc));
}

void note_unknown(pump_endpoint *endpoint, uint32_t ssrc)
{
    if (!is_known(endpoint, ssrc))
        endpoint->unknown[endpoint->unknown_count++] = ssrc;
}

int pump_watch_arrivals(pump_endpoint *endpoint, int extension)
{
    if (!endpoint->arrivals)
        endpoint->arrivals = calloc(ARRIVALS, sizeof *endpoint->arrivals);
    endpoint->arrival_extension = (uint32_t)extension;
    return endpoint->arrivals ? 0 : -1;
}

void note_arrival(pump_endpoint *endpoint, const uint8_t *packet, int size, double now)
{
    if (!endpoint->arrivals || !endpoint->arrival_extension)
        return;
    int place = extension_place(packet, size, endpoint->arrival_extension, 2);
    if (!place)
        return;
    uint32_t at = (endpoint->arrival_first + endpoint->arrival_count) % ARRIVALS;
    endpoint->arrivals[at] = (pump_arrival){now, (uint16_t)word_at(packet + place)};
    if (endpoint->arrival_count < ARRIVALS)
        endpoint->arrival_count++;
    else
        endpoint->arrival_first = (endpoint->arrival_first + 1) % ARRIVALS;
}

const pump_slot *kept(const pump_source *source, uint32_t sequence)
{
    if (!source->ring)
        return NULL;
    const pump_slot *slot = source->ring + (sequence & source->mask);
    return slot->size && word_at(slot->bytes + 2) == sequence ? slot : NULL;
}

void keep(pump_source *source, const uint8_t *packet, int size)
{
    if (!source->ring)
        return;
    pump_slot *slot = source->ring + (word_at(packet + 2) & source->mask);
    if (size > slot->room) {
        free(slot->bytes);
        slot->room = (uint16_t)((size + 63) & ~63);
        slot->bytes = malloc(slot->room);
        if (!slot->bytes) {
            slot->size = slot->room = 0;
            return;
        }
    }
    memcpy(slot->bytes, packet, (size_t)size);
    slot->size = (uint16_t)size;
}

static void end_history(pump_source *source)
{
    for (uint32_t i = 0; source->ring && i <= source->mask; i++)
        free(source->ring[i].bytes);
    free(source->ring);
    source->ring = NULL;
}

void pump_shut(pump *p, pump_endpoint *endpoint)
{
    abandon_endpoint(p, endpoint);
    for (uint32_t i = 0; i < endpoint->source_count; i++) {
        pump_source *source = endpoint->sources[i];
        for (uint32_t at = 0; at < source->edges.count; at++)
            halt(source->edges.edges[at]); /* it looks at the history */
        end_history(source);
    }
    free(endpoint->sources);
    free(endpoint->unknown);
    free(endpoint->arrivals);
    endpoint->sources = NULL;
    endpoint->unknown = NULL;
    endpoint->arrivals = NULL;
    endpoint->source_count = endpoint->unknown_count = endpoint->arrival_count = 0;
    endpoint->sender_count = 0;
    endpoint->receive = endpoint->send = NULL;
}

/* Python lets go of it: nothing refers to it but edges that are let go of, too. */
void pump_end_source(pump *p, pump_source *source)
{
    abandon_source(p, source);
    end_history(source);
    free(source->edges.edges);
    free(source->waiters.edges);
    free(source->taps);
    source->edges = source->waiters = (pump_edges){0};
    source->taps = NULL;
    source->tap_count = 0;
}

int pump_tap(pump_source *source, const pump_address *addresses, uint32_t count)
{
    pump_address *taps = NULL;
    if (count) {
        taps = malloc(count * sizeof *taps);
        if (!taps)
            return -1;
        memcpy(taps, addresses, count * sizeof *taps);
    }
    free(source->taps);
    source->taps = taps;
    source->tap_count = count;
    return 0;
}
