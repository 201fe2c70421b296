/* Edges: which source they carry, and in what numbers. As `path.Edge` and the calls of `Port`. */
#include <stdlib.h>
#include <string.h>
#include "path.h"

/* Room for one more. A waiter has room among the edges, too, since it moves there in the path. */
static int reserve(pump_edges *edges, uint32_t wanted)
{
    if (wanted <= edges->room)
        return 0;
    uint32_t room = edges->room ? edges->room : 4;
    while (room < wanted)
        room *= 2;
    pump_edge **moved = realloc(edges->edges, room * sizeof *moved);
    if (!moved)
        return -1;
    edges->edges = moved;
    edges->room = room;
    return 0;
}

static void add(pump_edges *edges, pump_edge *edge)
{
    edges->edges[edges->count++] = edge;
}

static void take_out(pump_edges *edges, const pump_edge *edge)
{
    for (uint32_t i = 0; i < edges->count; i++) {
        if (edges->edges[i] != edge)
            continue;
        edges->count--;
        memmove(edges->edges + i, edges->edges + i + 1,
                (edges->count - i) * sizeof *edges->edges);
        return;
    }
}

/* The newest packet with numbers that the edge sent, if it is kept: others were lost, or are
 * padding. */
static const pump_slot *newest_picture(const pump_edge *edge, vp8_numbers *numbers)
{
    const pump_source *source = edge->source;
    int64_t oldest = source->highest - source->mask;
    if (oldest < edge->since)
        oldest = edge->since;
    for (int64_t at = source->highest; source->codec == PUMP_VP8 && at >= oldest; at--) {
        const pump_slot *slot = kept(source, (uint32_t)at & 0xFFFF);
        if (slot && find_vp8_numbers(slot->bytes, slot->size, numbers))
            return slot;
    }
    return NULL;
}

/* Send nothing from now on; the numbers can go on from here: all of the source was sent. */
void halt(pump_edge *edge)
{
    pump_source *source = edge->source;
    if (!source || edge->is_starting)
        return;
    edge->has_last_picture = edge->has_last_level = false;
    vp8_numbers numbers;
    const pump_slot *newest = newest_picture(edge, &numbers);
    if (newest) {
        edge->has_last_picture = numbers.picture;
        edge->has_last_level = numbers.level;
        edge->last_picture = picture_number(newest->bytes, &numbers) + edge->picture_offset;
        edge->last_level = newest->bytes[numbers.level] + edge->level_offset;
    }
    edge->has_last = true;
    edge->last_sequence = (uint32_t)source->highest + edge->sequence_offset;
    edge->last_timestamp = source->last_timestamp + edge->timestamp_offset;
    edge->last_at = source->last_arrival;
    edge->since = NEVER;
    edge->is_starting = true;
}

static void leave(pump_edge *edge)
{
    if (!edge->source)
        return;
    halt(edge);
    take_out(&edge->source->edges, edge);
    edge->source = NULL;
}

static void unwait(pump_edge *edge)
{
    pump_source *source = edge->waiting;
    edge->waiting = NULL;
    if (source && source != edge->source)
        take_out(&source->waiters, edge);
}

static void move(pump_edge *edge, pump_source *source)
{
    leave(edge);
    edge->source = source;
    edge->is_moved = edge->is_starting = true;
    edge->needs_key_frame = false;
    add(&source->edges, edge);
}

/* A key frame begins: those who waited for it come over. */
void take_waiters(pump_source *source)
{
    for (uint32_t i = 0; i < source->waiters.count;) {
        pump_edge *edge = source->waiters.edges[i];
        if (edge->paused) {
            i++;
            continue;
        }
        unwait(edge);
        move(edge, source);
    }
}

/* Begin the edge's numbers at this packet of its source, or go on with them. */
void join(pump_edge *edge, pump_source *source, const uint8_t *packet, int size, int64_t extended,
          double now)
{
    bool is_moved = edge->is_moved;
    edge->is_moved = edge->is_starting = edge->needs_key_frame = false;
    if (edge->waiting == source)
        edge->waiting = NULL;
    if (!edge->has_last) {
        edge->since = -NEVER;
        edge->rewrite = edge->ssrc != source->ssrc || edge->payload_type != source->payload_type;
        return;
    }
    edge->since = extended;
    edge->rewrite = true;
    edge->sequence_offset = (edge->last_sequence + 1 - word_at(packet + 2)) & 0xFFFF;
    /* One picture must not have the time of another. */
    if (is_moved && edge->has_wanted_offset) {
        /* What was sent last may be of this capture, or reports may differ. */
        uint32_t step = long_at(packet + 4) + edge->wanted_offset - edge->last_timestamp;
        uint32_t missing = (int32_t)step < 1 ? 1 - step : 0;
        edge->timestamp_offset = edge->wanted_offset + missing;
    } else if (is_moved) {
        double elapsed = (now - edge->last_at) * source->clock_rate;
        uint32_t ticks = elapsed >= 1 && elapsed < 9e18 ? (uint32_t)(int64_t)elapsed : 1;
        edge->timestamp_offset = edge->last_timestamp + ticks - long_at(packet + 4);
    }
    if (is_moved)
        edge->picture_offset = edge->level_offset = 0;
    vp8_numbers numbers;
    if (source->codec != PUMP_VP8 || !find_vp8_numbers(packet, size, &numbers))
        return;
    if (numbers.picture && edge->has_last_picture)
        edge->picture_offset = (edge->last_picture + 1 - picture_number(packet, &numbers)) & 0x7FFF;
    if (numbers.level && edge->has_last_level)
        edge->level_offset = (edge->last_level + 1 - packet[numbers.level]) & 0xFF;
}

int pump_connect(pump_edge *edge, pump_source *source, int at_key_frame)
{
    bool needs_key_frame = at_key_frame && source->codec != PUMP_OTHER;
    uint32_t wanted = source->edges.count + source->waiters.count + 1;
    if (reserve(&source->edges, wanted) || reserve(&source->waiters, wanted))
        return -1;
    unwait(edge);
    if (source == edge->source) {
        edge->needs_key_frame = edge->needs_key_frame && needs_key_frame;
        edge->waiting = edge->needs_key_frame ? source : NULL;
    } else if (needs_key_frame) {
        edge->waiting = source;
        add(&source->waiters, edge);
    } else {
        move(edge, source);
    }
    return 0;
}

void pump_disconnect(pump_edge *edge)
{
    unwait(edge);
    leave(edge);
}

void pump_pause(pump_edge *edge)
{
    if (edge->paused)
        return;
    halt(edge);
    edge->paused = true;
    if (edge->waiting == edge->source)
        edge->waiting = NULL;
}

void pump_resume(pump_edge *edge, int at_key_frame)
{
    if (!edge->paused)
        return;
    edge->paused = false;
    edge->needs_key_frame = at_key_frame && edge->source && edge->source->codec != PUMP_OTHER;
    if (edge->needs_key_frame && !edge->waiting)
        edge->waiting = edge->source;
}
