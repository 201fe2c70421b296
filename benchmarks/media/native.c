/* Receiving and forwarding without Python, for loads that Python would be too slow for. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { BATCH = 64, SIZE = 2048, HEAD = 64, READY = 256 };

/* What came on one socket, by kind, and the head of the last packet of the video. */
struct tally {
    uint32_t video, audio, repeats, control;
    uint8_t last[12];
};

static void count(struct tally *tally, const uint8_t *packet, unsigned size)
{
    if (size < 12 || packet[0] < 128)
        return;
    switch (packet[1] & 0x7f) {
    case 96:
        tally->video++;
        memcpy(tally->last, packet, 12);
        break;
    case 97:
        tally->repeats++;
        break;
    case 111:
        tally->audio++;
        break;
    default:
        tally->control++;
    }
}

/* Receive on all sockets of `epoll` until `*stop`. The tallies are by file descriptor. */
int drain(int epoll, struct tally *tallies, volatile int *stop)
{
    static uint8_t memory[BATCH][HEAD];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH] = {0};
    struct epoll_event ready[READY];
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){memory[i], HEAD};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    while (!*stop) {
        int found = epoll_wait(epoll, ready, READY, 50);
        if (found < 0 && errno != EINTR)
            return -errno;
        for (int i = 0; i < found; i++) {
            int socket = ready[i].data.fd;
            int got = recvmmsg(socket, messages, BATCH, MSG_DONTWAIT, 0);
            for (int j = 0; j < got; j++)
                count(&tallies[socket], memory[j], messages[j].msg_len);
        }
    }
    return 0;
}

/* Send what comes on `socket` to all `targets`, until the other end of `end` closes. */
int forward(int socket, const struct sockaddr_in *targets, int number, int end)
{
    static uint8_t memory[BATCH][SIZE];
    static struct iovec in[BATCH], out[BATCH * BATCH];
    static struct mmsghdr received[BATCH], sent[BATCH * BATCH];
    struct pollfd wanted[] = {{.fd = socket, .events = POLLIN}, {.fd = end, .events = POLLIN}};
    if (number > BATCH)
        return -EINVAL;
    for (int i = 0; i < BATCH; i++) {
        in[i] = (struct iovec){memory[i], SIZE};
        received[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
    }
    while (poll(wanted, 2, -1) >= 0 && !wanted[1].revents) {
        int got = recvmmsg(socket, received, BATCH, MSG_DONTWAIT, 0), total = 0;
        for (int i = 0; i < got; i++) {
            for (int j = 0; j < number; j++, total++) {
                out[total] = (struct iovec){memory[i], received[i].msg_len};
                sent[total].msg_hdr = (struct msghdr){
                    .msg_name = (void *)&targets[j], .msg_namelen = sizeof targets[j],
                    .msg_iov = &out[total], .msg_iovlen = 1};
            }
        }
        for (int done = 0; done < total;) {
            int step = sendmmsg(socket, sent + done, total - done, MSG_DONTWAIT);
            done += step > 0 ? step : 1; /* one that cannot go is lost */
        }
    }
    return 0;
}
