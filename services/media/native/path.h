/* Shared by the files of the pump, not known to Python. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "pump.h"

enum {
    HEADER = 12,
    DATAGRAM = 1600, /* what fills it was cut off */
    MAX_UNKNOWN = 64,
    MAX_SENDERS = 64, /* those that `pump_endpoint` has room for */
    ARRIVALS = 2048, /* a power of two */
};

#define NEVER ((int64_t)1 << 62)

static inline uint32_t word_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static inline uint32_t long_at(const uint8_t *at)
{
    return word_at(at) << 16 | word_at(at + 2);
}

static inline void put_word(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void put_long(uint8_t *at, uint32_t value)
{
    put_word(at, value >> 16);
    put_word(at + 2, value);
}

static inline bool is_ipv4(const pump_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    return memcmp(address->ip, mapped, sizeof mapped) == 0;
}

/* packet.c: as `inspection.py`; places are into the whole packet, 0 = not there */

typedef struct {
    int picture;
    int level;
    int frame;
    bool is_wide;
} vp8_numbers;

int extension_place(const uint8_t *packet, int size, uint32_t wanted, int least);
int send_time_place(const uint8_t *packet, int size, uint32_t wanted);
bool find_vp8_numbers(const uint8_t *packet, int size, vp8_numbers *found);
uint32_t picture_number(const uint8_t *packet, const vp8_numbers *numbers);
void renumber(uint8_t *packet, const vp8_numbers *numbers, uint32_t picture, uint32_t level);
bool begins_key_frame(const uint8_t *packet, int size, int codec);

/* tables.c */

pump_endpoint *find_route(const pump *p, const pump_address *address);
pump_source *find_source(const pump_endpoint *endpoint, uint32_t ssrc);
bool is_sender(const pump_endpoint *endpoint, uint32_t ssrc);
bool may_learn(const pump_endpoint *endpoint, uint32_t ssrc);
void note_unknown(pump_endpoint *endpoint, uint32_t ssrc);
void note_arrival(pump_endpoint *endpoint, const uint8_t *packet, int size, double now);
const pump_slot *kept(const pump_source *source, uint32_t sequence);
void keep(pump_source *source, const uint8_t *packet, int size);

/* edges.c */

void take_waiters(pump_source *source);
void halt(pump_edge *edge);
void join(pump_edge *edge, pump_source *source, const uint8_t *packet, int size, int64_t extended,
          double now);

/* path.c: forget the packet that waits for Python, if it is of these */

void abandon_endpoint(pump *p, const pump_endpoint *endpoint);
void abandon_source(pump *p, const pump_source *source);
