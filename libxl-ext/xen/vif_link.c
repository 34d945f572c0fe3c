/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dom0's network interfaces of guests, down and up: see vif_link.h. */
#include "libxl-ext/xen/vif_link.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#define DUMP_BYTES 32768u /* the kernel's answers are no larger */
#define KEPT_MAX (1u << 20)

int xf_vif_link_find(struct xf_vif_link *l, const char *sys, const char *backend,
                     struct xf_err *err)
{
    char path[256];
    unsigned owner, domid, devid;
    int end = 0;
    struct dirent *e;
    DIR *dir;

    *l = (struct xf_vif_link){0};
    if (sscanf(backend, "/local/domain/%u/backend/vif/%u/%u%n", &owner, &domid, &devid, &end) !=
            3 ||
        backend[end])
        return xf_fail(err, EINVAL, "%s is not a network backend", backend);
    if (owner)
        return xf_fail(err, EOPNOTSUPP, "network backend %s is in another domain", backend);
    snprintf(path, sizeof(path), "%s/bus/xen-backend/devices/vif-%u-%u/net", sys, domid, devid);
    dir = opendir(path);
    while (dir && !l->index && (e = readdir(dir)))
        if (e->d_name[0] != '.')
            l->index = if_nametoindex(e->d_name);
    if (dir)
        closedir(dir);
    if (!l->index)
        return xf_fail(err, ENODEV, "dom0's kernel has no interface for network backend %s",
                       backend);
    return 0;
}

/* --- up and down --- */

/* If `set`, bring the interface to *up. *up: its state afterwards. ENODEV: it is gone. */
static int flags(unsigned index, bool *up, bool set)
{
    struct ifreq r = {0};
    int fd, rc, num;

    if (!if_indextoname(index, r.ifr_name)) {
        errno = ENODEV;
        return -1;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    rc = ioctl(fd, SIOCGIFFLAGS, &r);
    if (!rc && set && *up != !!(r.ifr_flags & IFF_UP)) {
        r.ifr_flags = (short)(r.ifr_flags ^ IFF_UP);
        rc = ioctl(fd, SIOCSIFFLAGS, &r);
    }
    num = errno;
    close(fd);
    errno = num;
    *up = r.ifr_flags & IFF_UP;
    return rc;
}

static int fail(const struct xf_vif_link *l, const char *what, struct xf_err *err)
{
    char name[IF_NAMESIZE] = "?";
    int num = errno;

    if_indextoname(l->index, name);
    return xf_fail(err, num, "cannot %s interface %s: %s", what, name, strerror(num));
}

/* --- settings that the kernel forgets: its routes and IPv6 addresses --- */

static int ask_kernel(void)
{
    struct sockaddr_nl to = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static const void *attribute(const struct nlmsghdr *h, size_t head, unsigned short type,
                             size_t size)
{
    const struct rtattr *a = (const void *)((const char *)NLMSG_DATA(h) + NLMSG_ALIGN(head));
    long left = (long)h->nlmsg_len - (long)NLMSG_SPACE(head);

    for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
        if ((a->rta_type & NLA_TYPE_MASK) == type && RTA_PAYLOAD(a) >= size)
            return RTA_DATA(a);
    return NULL;
}

/* Was it configured by somebody, so that the kernel does not recreate it on its own? */
static bool is_given(const struct nlmsghdr *h, unsigned index)
{
    if (h->nlmsg_type == RTM_NEWADDR) {
        const struct ifaddrmsg *a = NLMSG_DATA(h);

        return a->ifa_index == index && a->ifa_family == AF_INET6 &&
               a->ifa_scope != RT_SCOPE_LINK && (a->ifa_flags & IFA_F_PERMANENT);
    }
    if (h->nlmsg_type == RTM_NEWROUTE) {
        const struct rtmsg *r = NLMSG_DATA(h);
        const uint32_t *out = attribute(h, sizeof(*r), RTA_OIF, sizeof(*out));

        return out && *out == index && r->rtm_type == RTN_UNICAST &&
               !(r->rtm_flags & RTM_F_CLONED) && r->rtm_protocol != RTPROT_KERNEL &&
               r->rtm_protocol != RTPROT_RA && r->rtm_protocol != RTPROT_REDIRECT;
    }
    return false;
}

static int keep(struct xf_vif_link *l, const struct nlmsghdr *h)
{
    size_t len = NLMSG_ALIGN(h->nlmsg_len);
    char *more;

    if (l->kept_len + len > KEPT_MAX || !(more = realloc(l->kept, l->kept_len + len))) {
        errno = ENOMEM;
        return -1;
    }
    l->kept = more;
    memset(more + l->kept_len, 0, len);
    memcpy(more + l->kept_len, h, h->nlmsg_len);
    l->kept_len += len;
    return 0;
}

/* Dump all entries of one kind, and keep those configured for the interface. */
static int dump(struct xf_vif_link *l, int fd, uint16_t type, unsigned char family)
{
    struct {
        struct nlmsghdr h;
        union {
            struct rtmsg route;
            struct ifaddrmsg addr;
        } u;
    } ask = {.h = {.nlmsg_len = sizeof(ask),
                   .nlmsg_type = type,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
    struct nlmsghdr *buf = malloc(DUMP_BYTES);
    int rc = -1;

    if (type == RTM_GETROUTE)
        ask.u.route.rtm_family = family;
    else
        ask.u.addr.ifa_family = family;
    if (buf && send(fd, &ask, sizeof(ask), 0) == (ssize_t)sizeof(ask))
        rc = 1;
    while (rc == 1) {
        ssize_t n = recv(fd, buf, DUMP_BYTES, 0);
        unsigned left = n > 0 ? (unsigned)n : 0;

        if (n < 0 && errno != EINTR)
            rc = -1;
        for (struct nlmsghdr *h = buf; rc == 1 && NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_DONE)
                rc = 0;
            else if (h->nlmsg_type == NLMSG_ERROR) {
                errno = -((struct nlmsgerr *)NLMSG_DATA(h))->error;
                rc = errno == EAFNOSUPPORT || errno == EOPNOTSUPP ? 0 : -1; /* no IPv6 here */
            } else if (is_given(h, l->index) && keep(l, h))
                rc = -1;
        }
    }
    free(buf);
    return rc;
}

static void forget(struct xf_vif_link *l)
{
    free(l->kept);
    l->kept = NULL;
    l->kept_len = 0;
}

static int remember(struct xf_vif_link *l)
{
    int fd = ask_kernel(), rc;

    forget(l);
    if (fd < 0)
        return -1;
    /* Addresses first: routes may name them. */
    rc = dump(l, fd, RTM_GETADDR, AF_INET6) || dump(l, fd, RTM_GETROUTE, AF_INET) ||
         dump(l, fd, RTM_GETROUTE, AF_INET6);
    close(fd);
    return rc ? -1 : 0;
}

/* Also 0 if the kernel already has it. */
static int give_back(int fd, struct nlmsghdr *h)
{
    union {
        struct nlmsghdr h;
        char room[1024];
    } answer;
    ssize_t n;

    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
    h->nlmsg_pid = 0;
    if (h->nlmsg_type == RTM_NEWROUTE) /* the other flags describe past state, and are refused */
        ((struct rtmsg *)NLMSG_DATA(h))->rtm_flags &= RTNH_F_ONLINK;
    if (send(fd, h, h->nlmsg_len, 0) != (ssize_t)h->nlmsg_len)
        return -1;
    do {
        n = recv(fd, &answer, sizeof(answer), 0);
    } while (n < 0 && errno == EINTR);
    if (n < (ssize_t)NLMSG_SPACE(sizeof(struct nlmsgerr)) || answer.h.nlmsg_type != NLMSG_ERROR) {
        errno = n < 0 ? errno : EPROTO;
        return -1;
    }
    errno = -((struct nlmsgerr *)NLMSG_DATA(&answer.h))->error;
    return errno && errno != EEXIST ? -1 : 0;
}

/* Routes with a gateway last: the route to the gateway may be among the others. */
static int give_all_back(struct xf_vif_link *l)
{
    int fd, rc = 0, num = 0;

    if (!l->kept_len)
        return 0;
    fd = ask_kernel();
    if (fd < 0)
        return -1;
    for (int pass = 0; pass < 2; pass++) {
        unsigned left = (unsigned)l->kept_len;

        for (struct nlmsghdr *h = l->kept; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            bool far =
                h->nlmsg_type == RTM_NEWROUTE && attribute(h, sizeof(struct rtmsg), RTA_GATEWAY, 1);

            if (far == pass && give_back(fd, h)) {
                num = errno;
                rc = -1;
            }
        }
    }
    close(fd);
    errno = num;
    return rc;
}

int xf_vif_link_down(struct xf_vif_link *l, struct xf_err *err)
{
    bool up;

    if (!l->index || flags(l->index, &up, false))
        return l->index ? fail(l, "look at", err) : xf_fail(err, ENODEV, "there is no interface");
    if (!up)
        return 0;
    if (remember(l))
        return fail(l, "read the routes over", err);
    up = false;
    if (flags(l->index, &up, true) || up)
        return fail(l, "take down", err);
    l->down = true;
    return 0;
}

int xf_vif_link_up(struct xf_vif_link *l, struct xf_err *err)
{
    bool up = true;

    if (!l->down)
        return 0;
    if (flags(l->index, &up, true)) {
        if (errno != ENODEV)
            return fail(l, "bring up", err);
    } else if (give_all_back(l)) {
        return fail(l, "restore the routes of", err);
    }
    forget(l);
    l->down = false;
    return 0;
}

int xf_vif_link_keep_down(struct xf_vif_link *l, struct xf_err *err)
{
    bool up = false;

    if (!l->down || !flags(l->index, &up, true) || errno == ENODEV)
        return 0;
    return fail(l, "keep down", err);
}
