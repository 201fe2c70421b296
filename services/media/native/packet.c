/* What the pump looks at inside a packet, any bytes at all. See `inspection.py` and `rtp.py`. */
#include "path.h"

typedef struct {
    int offset;
    int end;
    int id;
    int start;
    bool one_byte;
} element;

static int payload_offset(const uint8_t *packet, int size)
{
    if (size < HEADER || packet[0] >> 6 != 2)
        return -1;
    int offset = HEADER + 4 * (packet[0] & 0x0F);
    if (packet[0] & 0x10) {
        if (offset + 4 > size)
            return -1;
        offset += 4 + 4 * (int)word_at(packet + offset + 2);
    }
    return offset <= size ? offset : -1;
}

static bool first_element(const uint8_t *packet, int size, element *at)
{
    at->end = payload_offset(packet, size);
    if (at->end < 0 || !(packet[0] & 0x10))
        return false;
    at->offset = HEADER + 4 * (packet[0] & 0x0F);
    uint32_t profile = word_at(packet + at->offset);
    at->one_byte = profile == 0xBEDE;
    at->offset += 4;
    return at->one_byte || profile >> 4 == 0x100;
}

/* The next one: its data are from `start` to `offset`. */
static bool next_element(const uint8_t *packet, element *at)
{
    while (at->offset < at->end && packet[at->offset] == 0)
        at->offset++; /* padding */
    if (at->offset >= at->end)
        return false;
    int length;
    if (at->one_byte) {
        at->id = packet[at->offset] >> 4;
        if (at->id == 15)
            return false;
        length = (packet[at->offset] & 0x0F) + 1;
        at->start = at->offset + 1;
    } else {
        if (at->offset + 2 > at->end)
            return false;
        at->id = packet[at->offset];
        length = packet[at->offset + 1];
        at->start = at->offset + 2;
    }
    at->offset = at->start + length;
    return at->offset <= at->end;
}

int extension_place(const uint8_t *packet, int size, uint32_t wanted, int least)
{
    element at;
    if (!first_element(packet, size, &at))
        return 0;
    while (next_element(packet, &at))
        if ((uint32_t)at.id == wanted)
            return at.offset - at.start >= least ? at.start : 0;
    return 0;
}

int send_time_place(const uint8_t *packet, int size, uint32_t wanted)
{
    element at;
    if (!first_element(packet, size, &at))
        return 0;
    while (next_element(packet, &at))
        if ((uint32_t)at.id == wanted && at.offset - at.start == 3)
            return at.start;
    return 0;
}

bool find_vp8_numbers(const uint8_t *packet, int size, vp8_numbers *found)
{
    int offset = payload_offset(packet, size);
    if (offset < 0)
        return false;
    if (packet[0] & 0x20)
        size -= packet[size - 1]; /* padding */
    if (offset >= size)
        return false;
    *found = (vp8_numbers){0};
    uint8_t first = packet[offset++];
    if (first & 0x80) {
        if (offset >= size)
            return false;
        uint8_t flags = packet[offset++];
        if (flags & 0x80) {
            if (offset >= size)
                return false;
            found->picture = offset;
            found->is_wide = packet[offset] & 0x80;
            offset += found->is_wide ? 2 : 1;
        }
        if (flags & 0x40)
            found->level = offset++;
        if (flags & 0x30)
            offset++;
    }
    found->frame = offset;
    return offset < size;
}

uint32_t picture_number(const uint8_t *packet, const vp8_numbers *numbers)
{
    const uint8_t *at = packet + numbers->picture;
    return numbers->is_wide ? word_at(at) & 0x7FFF : at[0];
}

void renumber(uint8_t *packet, const vp8_numbers *numbers, uint32_t picture, uint32_t level)
{
    uint8_t *at = packet + numbers->picture;
    if (numbers->picture && numbers->is_wide)
        put_word(at, 0x8000 | ((word_at(at) + picture) & 0x7FFF));
    else if (numbers->picture)
        at[0] = (at[0] + picture) & 0x7F;
    if (numbers->level)
        packet[numbers->level] = (uint8_t)(packet[numbers->level] + level);
}

static bool begins_vp8(const uint8_t *packet, int size)
{
    vp8_numbers numbers;
    if (!find_vp8_numbers(packet, size, &numbers))
        return false;
    int start = payload_offset(packet, size);
    return (packet[start] & 0x17) == 0x10 && !(packet[numbers.frame] & 1);
}

static bool begins_h264(const uint8_t *packet, int size)
{
    enum { IDR = 5, SPS = 7, STAP_A = 24, FU_A = 28 }; /* NAL unit types (RFC 6184) */
    int offset = payload_offset(packet, size);
    if (offset < 0 || offset + 1 >= size)
        return false;
    int kind = packet[offset] & 0x1F;
    if (kind == FU_A)
        return (packet[offset + 1] & 0x9F) == (0x80 | IDR);
    if (kind == STAP_A) {
        if (offset + 3 >= size)
            return false;
        kind = packet[offset + 3] & 0x1F;
    }
    return kind == IDR || kind == SPS;
}

bool begins_key_frame(const uint8_t *packet, int size, int codec)
{
    if (codec == PUMP_VP8)
        return begins_vp8(packet, size);
    return codec == PUMP_H264 && begins_h264(packet, size);
}
