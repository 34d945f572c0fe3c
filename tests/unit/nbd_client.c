/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/nbd_client.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

static bool get(int sock, void *to, size_t len)
{
    return recv(sock, to, len, MSG_WAITALL) == (ssize_t)len;
}

static bool put(int sock, const void *from, size_t len)
{
    return send(sock, from, len, MSG_NOSIGNAL) == (ssize_t)len;
}

uint64_t nbd_begin(int sock, const char *name)
{
    struct __attribute__((packed)) {
        uint32_t flags;
        char magic[8];
        uint32_t option, len;
    } ask = {htobe32(3), "IHAVEOPT", htobe32(1), htobe32((uint32_t)strlen(name))};
    struct __attribute__((packed)) {
        uint64_t size;
        uint16_t flags;
    } export;
    char hello[18];

    if (!get(sock, hello, sizeof(hello)) || memcmp(hello, "NBDMAGICIHAVEOPT", 16) != 0 ||
        !put(sock, &ask, sizeof(ask)) || !put(sock, name, strlen(name)) ||
        !get(sock, &export, sizeof(export)))
        return 0;
    return be64toh(export.size);
}

int nbd_ask(int sock, uint16_t command, uint64_t at, const void *data, uint32_t len)
{
    struct __attribute__((packed)) {
        uint32_t magic;
        uint16_t flags, type;
        uint64_t handle, from;
        uint32_t len;
    } ask = {htobe32(0x25609513), 0, htobe16(command), 7, htobe64(at), htobe32(len)};
    struct __attribute__((packed)) {
        uint32_t magic, error;
        uint64_t handle;
    } answer;

    if (!put(sock, &ask, sizeof(ask)) || (data && !put(sock, data, len)) ||
        !get(sock, &answer, sizeof(answer)))
        return -1;
    return (int)be32toh(answer.error);
}
