/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A good hello, a good reply and a good record, for tests and the fuzzer to begin with. */
#ifndef XF_HELLO_SEEDS_H
#define XF_HELLO_SEEDS_H

#define SEED_KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SEED_RDMA "{\"state\":\"ready\",\"why\":\"\",\"addresses\":[\"192.0.2.8\",\"2001:db8::2\"]}"
#define SEED_HELLO                                                                                 \
    "{\"version\":1,\"protocol\":2,\"oldest\":1,\"xenferry\":\"0.9.0\",\"domain\":\"web1\","       \
    "\"uuid\":\"7a4a1f3e-0000-4000-8000-000000000001\","                                           \
    "\"boot_id\":\"b1\",\"key\":\"" SEED_KEY "\",\"channels\":2,\"encrypt\":true,"                 \
    "\"transport\":\"auto\",\"seal\":false,\"rdma_buffer_mib\":0,\"rdma\":" SEED_RDMA ","          \
    "\"leave_paused\":false,\"check_only\":false,\"pull\":true,\"find_only\":true,"                \
    "\"cpu_only\":true,"                                                                           \
    "\"late_devices\":true,\"qemu\":\"7.2.22\",\"need_kib\":"                                      \
    "262144,\"xen_major\":4,"                                                                      \
    "\"xen_minor\":17,\"cpuid\":\"0102\",\"msrs\":\"\",\"needs\":[{\"kind\":\"disk\","             \
    "\"what\":\"/dev/vg/web\",\"of\":\"disk xvda\"}],\"pci\":[{\"addr\":\"0000:06:00.0\","         \
    "\"of\":\"0000:05:00.0\",\"permissive\":true,\"relaxed\":false}],"                             \
    "\"disks\":[{\"vdev\":\"xvda\",\"want\":\"vg:vg0\",\"name\":\"web1.img\",\"bytes\":1048576,"   \
    "\"used\":4096,\"sparse\":true}],\"verify_disks\":true}"
#define SEED_LEVEL                                                                                 \
    "{\"leaf\":13,\"subleaf\":2,\"extended\":2147483656,\"features\":\"178bfbff76f83203\"}"
#define SEED_REPLY                                                                                 \
    "{\"version\":1,\"disks\":true,\"there\":[{\"path\":\"/dev/vg0/web1\",\"free\":7}],"           \
    "\"boot_id\":\"b2\",\"port\":40000,\"hvm\":true,\"paging\":true,\"pci\":true,"                 \
    "\"rdma_port\":40001,\"rdma\":" SEED_RDMA ","                                                  \
    "\"cpu_words\":true,\"cpu\":{\"vendor\":\"GenuineIntel\",\"most\":" SEED_LEVEL                 \
    ",\"usual\":" SEED_LEVEL "},"                                                                  \
    "\"addresses\":[\"192.0.2.7\",\"2001:db8::1\",\"fe80::1%eth0\"],"                              \
    "\"findings\":[{\"severity\":1,\"code\":\"memory\",\"text\":\"tight\"}]}"
#define SEED_RECORD                                                                                \
    "{\"state\":1,\"ran_ns\":\"00000000000000000007\",\"version\":2,\"domid\":7,\"uuid\":\"u\","   \
    "\"boot_id\":\"b1\",\"name\":\"web1\","                                                        \
    "\"host\":\"host2\",\"rune\":\"exec ssh host2 xl "                                             \
    "migrate-receive\",\"there\":\"b2\",\"there_domid\":4,"                                        \
    "\"peer\":\"192.0.2.7\",\"port\":40000,\"rdma\":false,\"encrypt\":true,\"pull\":true,"         \
    "\"protocol\":1,\"channels\":2,\"rdma_buffer_mib\":0,\"rdma_poll_us\":20,\"own\":[\"192.0.2."  \
    "1\"],"                                                                                        \
    "\"disks\":[{\"vdev\":\"xvda\",\"source\":\"/srv/a\",\"target\":\"/srv/b\"}],"                 \
    "\"delete_source\":true,\"key\":\"" SEED_KEY "\"}"

#endif
