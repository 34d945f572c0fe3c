/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration file: every value, every error with its line, and nothing that XML
 * could be made to do beyond that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libxl-ext/host/config.h"
#include "tests/unit/suite.h"

static struct xf_config c;
static struct xf_err err;

static int parse(const char *text)
{
    memset(&err, 0, sizeof(err));
    return xf_config_parse("x.xml", text, strlen(text), &c, &err);
}

/* `where` is how the message has to begin, `what` stands somewhere in it. */
static void fails_with(const char *text, const char *where, const char *what)
{
    int rc = parse(text);
    bool good = rc == -1 && !strncmp(err.text, where, strlen(where)) && strstr(err.text, what);

    if (!good)
        printf("\n  %s\n  gave %d '%s'\n  wanted %s... %s\n", text, rc, err.text, where, what);
    CU_ASSERT_TRUE(good);
    CU_ASSERT_EQUAL(err.num, EINVAL);
    CU_ASSERT_PTR_NULL(strchr(err.text, '\n'));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "xenferry.xml(5)"));
}

static void test_empty(void)
{
    CU_ASSERT_EQUAL(parse("<xenferry/>"), 0);
    CU_ASSERT_FALSE(c.ours);
    CU_ASSERT_EQUAL(c.encrypt, -1);
    CU_ASSERT_EQUAL(c.max_downtime_ms, 0);
    CU_ASSERT_EQUAL(c.nr_addresses, 0);
    CU_ASSERT_EQUAL(c.port, 0);
    CU_ASSERT_STRING_EQUAL(c.source_address, "");
    CU_ASSERT_EQUAL(parse("<xenferry><migrate/><receive/></xenferry>"), 0);
    CU_ASSERT_FALSE(c.ours);
    CU_ASSERT_EQUAL(c.encrypt, -1);
}

static void test_storage(void)
{
    CU_ASSERT_EQUAL(parse("<xenferry/>"), 0);
    CU_ASSERT_EQUAL(c.stores.nr, 0);
    CU_ASSERT_EQUAL(parse("<xenferry><receive><storage dir='/srv/xen'/><port>1</port>"
                          "<storage vg='vg-0'/></receive></xenferry>"),
                    0);
    CU_ASSERT_EQUAL(c.stores.nr, 2);
    CU_ASSERT(!c.stores.list[0].vg && !strcmp(c.stores.list[0].name, "/srv/xen"));
    CU_ASSERT(c.stores.list[1].vg && !strcmp(c.stores.list[1].name, "vg-0"));
    CU_ASSERT_EQUAL(c.port, 1);
    fails_with("<xenferry><receive>\n<storage dir='srv'/></receive></xenferry>",
               "x.xml:2:", "'srv' is not an absolute path");
    fails_with("<xenferry><receive><storage dir='/srv/../etc'/></receive></xenferry>",
               "x.xml:1:", "absolute path");
    fails_with("<xenferry><receive><storage dir='/srv/'/></receive></xenferry>",
               "x.xml:1:", "absolute path");
    fails_with("<xenferry><receive><storage dir='/srv,if=x'/></receive></xenferry>",
               "x.xml:1:", "absolute path");
    fails_with("<xenferry><receive><storage vg='-x'/></receive></xenferry>",
               "x.xml:1:", "not the name of a volume group");
    fails_with("<xenferry><receive><storage/></receive></xenferry>", "x.xml:1:", "storage");
    fails_with("<xenferry><receive><storage dir='/a' vg='b'/></receive></xenferry>",
               "x.xml:1:", "");
    fails_with("<xenferry><receive>"
               "<storage vg='a'/><storage vg='b'/><storage vg='c'/><storage vg='d'/>"
               "<storage vg='e'/><storage vg='f'/><storage vg='g'/><storage vg='h'/>"
               "<storage vg='i'/></receive></xenferry>",
               "x.xml:1:", "more than eight <storage>");
}

static void test_everything(void)
{
    CU_ASSERT_EQUAL(parse("<?xml version=\"1.0\"?>\n"
                          "<!-- a comment -->\n"
                          "<xenferry>\n"
                          "  <source address='10.9.8.7'/>\n"
                          "  <receive>\n"
                          "    <address>10.0.0.1</address>\n"
                          "    <port>4711</port>\n"
                          "    <address>\n fd00::1 </address>\n"
                          "  </receive>\n"
                          "  <migrate transport='tcp' mode='precopy' max-downtime='50'\n"
                          "           max-rounds='7' bandwidth='100' channels='4' encrypt='no'\n"
                          "           reconnect='0'/>\n"
                          "</xenferry>\n"),
                    0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_TRUE(c.ours);
    CU_ASSERT_EQUAL(c.max_downtime_ms, 50);
    CU_ASSERT_EQUAL(c.max_rounds, 7);
    CU_ASSERT_EQUAL(c.bandwidth_mib, 100);
    CU_ASSERT_EQUAL(c.channels, 4);
    CU_ASSERT_EQUAL(c.encrypt, 0);
    CU_ASSERT_EQUAL(c.mode, XF_MODE_PRECOPY);
    CU_ASSERT_EQUAL(c.reconnect_s, 0);
    CU_ASSERT_EQUAL(c.port, 4711);
    CU_ASSERT_EQUAL(c.nr_addresses, 2);
    CU_ASSERT_STRING_EQUAL(c.addresses[0], "10.0.0.1");
    CU_ASSERT_STRING_EQUAL(c.addresses[1], "fd00::1");
    CU_ASSERT_STRING_EQUAL(c.source_address, "10.9.8.7");

    CU_ASSERT_EQUAL(parse("<xenferry><migrate transport='stock' encrypt='yes' bandwidth='0'/>"
                          "</xenferry>"),
                    0);
    CU_ASSERT_FALSE(c.ours);
    CU_ASSERT_EQUAL(c.encrypt, 1);
    CU_ASSERT_EQUAL(c.mode, -1);
    CU_ASSERT_EQUAL(c.reconnect_s, -1);

    /* A mode alone says how our moves go, not that every move is ours. */
    CU_ASSERT_EQUAL(parse("<xenferry><migrate mode='hybrid'/></xenferry>"), 0);
    CU_ASSERT(!c.ours && c.mode == XF_MODE_HYBRID);
    CU_ASSERT_EQUAL(parse("<xenferry><migrate mode='postcopy'/></xenferry>"), 0);
    CU_ASSERT_EQUAL(c.mode, XF_MODE_POSTCOPY);
}

static void test_ports(void)
{
    CU_ASSERT_EQUAL(parse("<xenferry><receive><port> 8600-8615\n</port></receive></xenferry>"), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT(c.port == 8600 && c.port_last == 8615);
    CU_ASSERT_EQUAL(parse("<xenferry><receive><port>1-65535</port></receive></xenferry>"), 0);
    CU_ASSERT(c.port == 1 && c.port_last == 65535);
    CU_ASSERT_EQUAL(parse("<xenferry><receive><port>4711-4711</port></receive></xenferry>"), 0);
    CU_ASSERT(c.port == 4711 && c.port_last == 4711);
    CU_ASSERT_EQUAL(parse("<xenferry><receive><port>0</port></receive></xenferry>"), 0);
    CU_ASSERT(c.port == 0 && c.port_last == 0);
}

static void test_limit(void)
{
    CU_ASSERT_EQUAL(parse("<xenferry/>"), 0);
    CU_ASSERT(c.limit_moves == 0 && c.limit_bandwidth == 0);
    CU_ASSERT_EQUAL(parse("<xenferry><limit moves='2'/></xenferry>"), 0);
    CU_ASSERT(c.limit_moves == 2 && c.limit_bandwidth == 0 && !c.ours);
    CU_ASSERT_EQUAL(parse("<xenferry><limit moves='64' bandwidth='1048576'/>"
                          "<migrate bandwidth='3'/></xenferry>"),
                    0);
    CU_ASSERT(c.limit_moves == 64 && c.limit_bandwidth == 1ull << 40 && c.bandwidth_mib == 3);
    CU_ASSERT_EQUAL(parse("<xenferry><limit bandwidth='0'/></xenferry>"), 0);
    CU_ASSERT(c.limit_moves == 0 && c.limit_bandwidth == 0);
}

static void test_transports(void)
{
    static const struct {
        const char *text;
        enum xf_transport transport;
        bool ours;
    } list[] = {{"<xenferry><migrate transport='rdma'/></xenferry>", XF_TRANSPORT_RDMA, true},
                {"<xenferry><migrate transport='auto'/></xenferry>", XF_TRANSPORT_AUTO, true},
                {"<xenferry><migrate transport='tcp'/></xenferry>", XF_TRANSPORT_TCP, true},
                {"<xenferry><migrate transport='stock'/></xenferry>", XF_TRANSPORT_TCP, false},
                {"<xenferry><migrate/></xenferry>", XF_TRANSPORT_TCP, false}};

    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        CU_ASSERT_EQUAL(parse(list[i].text), 0);
        CU_ASSERT_EQUAL(c.transport, list[i].transport);
        CU_ASSERT_EQUAL(c.ours, list[i].ours);
        CU_ASSERT(c.rdma_buffer_mib == 0 && c.rdma_poll_us == -1);
    }
    CU_ASSERT_EQUAL(parse("<xenferry><rdma buffer='64' poll='0'/></xenferry>"), 0);
    CU_ASSERT(c.rdma_buffer_mib == 64 && c.rdma_poll_us == 0 && !c.ours);
    CU_ASSERT_EQUAL(parse("<xenferry><rdma buffer='1024' poll='10000'/></xenferry>"), 0);
    CU_ASSERT(c.rdma_buffer_mib == 1024 && c.rdma_poll_us == 10000);
    CU_ASSERT_EQUAL(c.compress, XF_COMPRESS_AUTO);
    CU_ASSERT_EQUAL(parse("<xenferry><migrate compress='off'/></xenferry>"), 0);
    CU_ASSERT_EQUAL(c.compress, XF_COMPRESS_OFF);
    CU_ASSERT(!c.ours);
    CU_ASSERT_EQUAL(parse("<xenferry><migrate compress='lz4'/></xenferry>"), 0);
    CU_ASSERT_EQUAL(c.compress, XF_COMPRESS_LZ4);
    CU_ASSERT_EQUAL(parse("<xenferry><migrate compress='zstd'/></xenferry>"), 0);
    CU_ASSERT_EQUAL(c.compress, XF_COMPRESS_ZSTD);
    CU_ASSERT_EQUAL(parse("<xenferry><migrate compress='auto'/></xenferry>"), 0);
    CU_ASSERT_EQUAL(c.compress, XF_COMPRESS_AUTO);
    CU_ASSERT_EQUAL(parse("<xenferry><rdma/></xenferry>"), 0);
    CU_ASSERT(c.rdma_buffer_mib == 0 && c.rdma_poll_us == -1);
    CU_ASSERT_EQUAL(parse("<xenferry><source address='mlx5_0'/></xenferry>"), 0);
    CU_ASSERT_STRING_EQUAL(c.source_address, "mlx5_0");
    CU_ASSERT_EQUAL(parse("<xenferry><source address='enp3s0f1.12'/></xenferry>"), 0);
    fails_with("<xenferry>\n<source address='10.0.0'/></xenferry>", "x.xml:2: ", "'10.0.0' is no");
    fails_with("<xenferry>\n<source address='fd00::zz'/></xenferry>",
               "x.xml:2: ", "'fd00::zz' is no");
    fails_with("<xenferry>\n<receive><address>mlx5_0</address></receive></xenferry>",
               "x.xml:2: ", "'mlx5_0' is no");
}

static void test_not_xml(void)
{
    fails_with("", "x.xml:1: ", "");
    fails_with("hello", "x.xml:1: ", "");
    fails_with("<xenferry>\n<migrate>\n</xenferry>", "x.xml:3: ", "migrate");
    fails_with("<xenferry>\n<migrate channels=4/></xenferry>", "x.xml:2: ", "AttValue");
    fails_with("<xenferry/>\n<xenferry/>", "x.xml:2: ", "Extra content");
    fails_with("<xenferry>\n&nothing;</xenferry>", "x.xml:2: ", "nothing");
}

static void test_schema(void)
{
#define IN(what) "<xenferry>\n" what "\n</xenferry>"
    fails_with("\n<other/>", "x.xml:2: ", "xenferry");
    fails_with(IN("<other/>"), "x.xml:2: ", "other");
    fails_with(IN("<migrate colour='red'/>"), "x.xml:2: ", "colour=\"red\"");
    fails_with(IN("<migrate transport='udp'/>"), "x.xml:2: ", "transport=\"udp\"");
    fails_with(IN("<rdma buffer='0'/>"), "x.xml:2: ", "buffer=\"0\"");
    fails_with(IN("<rdma buffer='1025'/>"), "x.xml:2: ", "buffer=\"1025\"");
    fails_with(IN("<rdma poll='10001'/>"), "x.xml:2: ", "poll=\"10001\"");
    fails_with(IN("<rdma poll='-1'/>"), "x.xml:2: ", "poll=\"-1\"");
    fails_with(IN("<rdma device='x'/>"), "x.xml:2: ", "device=\"x\"");
    fails_with(IN("<rdma/>\n<rdma/>"), "x.xml:3: ", "a second <rdma>");
    fails_with(IN("<migrate mode='fast'/>"), "x.xml:2: ", "mode=\"fast\"");
    fails_with(IN("<migrate encrypt='maybe'/>"), "x.xml:2: ", "encrypt=\"maybe\"");
    fails_with(IN("<migrate encrypt=''/>"), "x.xml:2: ", "encrypt=\"\"");
    fails_with(IN("<migrate compress='gzip'/>"), "x.xml:2: ", "compress=\"gzip\"");
    fails_with(IN("<migrate channels='0'/>"), "x.xml:2: ", "channels=\"0\"");
    fails_with(IN("<migrate channels='17'/>"), "x.xml:2: ", "channels=\"17\"");
    fails_with(IN("<migrate channels='-1'/>"), "x.xml:2: ", "channels=\"-1\"");
    fails_with(IN("<migrate channels='4294967298'/>"), "x.xml:2: ", "channels=");
    fails_with(IN("<migrate max-downtime='0'/>"), "x.xml:2: ", "max-downtime");
    fails_with(IN("<migrate max-downtime='600001'/>"), "x.xml:2: ", "max-downtime");
    fails_with(IN("<migrate max-downtime='5 ms'/>"), "x.xml:2: ", "max-downtime=\"5 ms\"");
    fails_with(IN("<migrate max-rounds='0'/>"), "x.xml:2: ", "max-rounds");
    fails_with(IN("<migrate max-rounds='1001'/>"), "x.xml:2: ", "max-rounds");
    fails_with(IN("<migrate reconnect='3601'/>"), "x.xml:2: ", "reconnect=\"3601\"");
    fails_with(IN("<migrate reconnect=''/>"), "x.xml:2: ", "reconnect=\"\"");
    fails_with(IN("<migrate bandwidth='1048577'/>"), "x.xml:2: ", "bandwidth");
    fails_with(IN("<limit bandwidth='1048577'/>"), "x.xml:2: ", "bandwidth");
    fails_with(IN("<limit moves='0'/>"), "x.xml:2: ", "moves=\"0\"");
    fails_with(IN("<limit moves='65'/>"), "x.xml:2: ", "moves=\"65\"");
    fails_with(IN("<limit moves=''/>"), "x.xml:2: ", "moves=\"\"");
    fails_with(IN("<limit/><limit/>"), "x.xml:2: ", "a second <limit>");
    fails_with(IN("<migrate>\ntext</migrate>"), "x.xml:2: ", "migrate");
    fails_with(IN("text"), "x.xml:1: ", "text");
    fails_with(IN("<receive>\n<adress>10.0.0.1</adress></receive>"), "x.xml:3: ", "adress");
    fails_with(IN("<receive>\n<port>65536</port></receive>"), "x.xml:3: ",
               "not '"
               "65536");
    fails_with(IN("<receive>\n<port>ssh</port></receive>"), "x.xml:3: ",
               "not '"
               "ssh");
    fails_with(IN("<receive>\n<port>-1</port></receive>"), "x.xml:3: ",
               "not '"
               "-1");
    fails_with(IN("<receive>\n<port></port></receive>"), "x.xml:3: ", "not ''");
    fails_with(IN("<receive>\n<port>86-</port></receive>"), "x.xml:3: ",
               "not '"
               "86-");
    fails_with(IN("<receive>\n<port>86-65536</port></receive>"), "x.xml:3: ",
               "not '"
               "86-65536");
    fails_with(IN("<receive>\n<port>86 - 88</port></receive>"), "x.xml:3: ",
               "not '"
               "86 - 88");
    fails_with(IN("<receive>\n<port>1-2-3</port></receive>"), "x.xml:3: ",
               "not '"
               "1-2-3");
    fails_with(IN("<receive address='10.0.0.1'/>"), "x.xml:2: ", "address=\"10.0.0.1\"");
    fails_with(IN("<source/>"), "x.xml:2: ", "source");
    /* Two errors: the first is the one told. */
    fails_with(IN("<receive>\n<port>x</port></receive>\n<other/>"), "x.xml:3: ", "");
}

static void test_beyond_the_schema(void)
{
    fails_with(IN("<receive>\n<port>88-86</port></receive>"), "x.xml:3: ", "as 8600-8615");
    fails_with(IN("<receive>\n<port>0-86</port></receive>"), "x.xml:3: ", "as 8600-8615");
#define EIGHT                                                                                      \
    "<address>10.0.0.1</address><address>10.0.0.1</address><address>10.0.0.1</address>"            \
    "<address>10.0.0.1</address><address>10.0.0.1</address><address>10.0.0.1</address>"            \
    "<address>10.0.0.1</address><address>10.0.0.1</address>"
    fails_with(IN("<migrate/>\n<migrate/>"), "x.xml:3: ", "second <migrate>");
    fails_with(IN("<receive/>\n<migrate/>\n<receive/>"), "x.xml:4: ", "second <receive>");
    fails_with(IN("<receive><port>1</port>\n<port>1</port></receive>"),
               "x.xml:3: ", "second <port>");
    fails_with(IN("<receive>\n<address>host2</address></receive>"),
               "x.xml:3: ", "'host2' is not a numeric");
    fails_with(IN("<receive>\n<address>10.0.1</address></receive>"), "x.xml:3: ", "10.0.1");
    fails_with(IN("<receive>\n<address>10.0.0.256</address></receive>"), "x.xml:3: ", "10.0.0.256");
    fails_with(IN("<receive>\n<address>10.0.0.1 10.0.0.2</address></receive>"),
               "x.xml:3: ", "not a numeric");
    fails_with(IN("<receive>\n<address>fd00:::1</address></receive>"), "x.xml:3: ", "fd00:::1");
    fails_with(IN("<source address='no/where'/>"), "x.xml:2: ", "no/where");
    CU_ASSERT_EQUAL(parse(IN("<receive>" EIGHT "</receive>")), 0);
    CU_ASSERT_EQUAL(c.nr_addresses, 8);
    fails_with(IN("<receive>" EIGHT "\n<address>10.0.0.1</address></receive>"),
               "x.xml:3: ", "more than eight");
}

static void test_no_doctype(void)
{
    fails_with("<?xml version='1.0'?>\n<!DOCTYPE xenferry [<!ENTITY a 'b'>]>\n<xenferry/>",
               "x.xml:2: ", "document type");
    fails_with("<!DOCTYPE xenferry SYSTEM 'file:///etc/passwd'><xenferry/>",
               "x.xml:1: ", "document type");
    fails_with("<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>"
               "<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
               "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>"
               "<!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>]><xenferry>&d;</xenferry>",
               "x.xml:1: ", "document type");
}

static void test_size(void)
{
    static char big[XF_CONFIG_MAX + 2];

    memset(big, ' ', sizeof(big));
    memcpy(big, "<xenferry/>", 11);
    CU_ASSERT_EQUAL(xf_config_parse("x.xml", big, XF_CONFIG_MAX, &c, NULL), 0);
    memset(&err, 0, sizeof(err));
    CU_ASSERT_EQUAL(xf_config_parse("x.xml", big, XF_CONFIG_MAX + 1, &c, &err), -1);
    CU_ASSERT_EQUAL(err.num, EFBIG);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static void test_files(void)
{
    char dir[] = "/tmp/xf-config-XXXXXX", path[64];

    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/c.xml", dir);

    memset(&err, 0, sizeof(err));
    CU_ASSERT_EQUAL(xf_config_load(path, &c, &err), 0); /* absent */
    CU_ASSERT_EQUAL(c.encrypt, -1);
    CU_ASSERT_FALSE(c.ours);

    write_file(path, "<xenferry><migrate transport='tcp'/></xenferry>");
    CU_ASSERT_EQUAL(xf_config_load(path, &c, &err), 0);
    CU_ASSERT_TRUE(c.ours);
    setenv(XF_CONFIG_ENV, path, 1);
    memset(&c, 0, sizeof(c));
    CU_ASSERT_EQUAL(xf_config_load(NULL, &c, &err), 0);
    CU_ASSERT_TRUE(c.ours);

    write_file(path, "<xenferry>\n<oops/></xenferry>");
    CU_ASSERT_EQUAL(xf_config_load(path, &c, &err), -1);
    CU_ASSERT_TRUE(!strncmp(err.text, path, strlen(path)));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ":2: "));

    /* Never the end: a limit must hold, not the file's size. */
    memset(&err, 0, sizeof(err));
    CU_ASSERT_EQUAL(xf_config_load("/dev/zero", &c, &err), -1);
    CU_ASSERT_EQUAL(err.num, EFBIG);
    memset(&err, 0, sizeof(err));
    CU_ASSERT_EQUAL(xf_config_load(dir, &c, &err), -1);
    CU_ASSERT_EQUAL(err.num, EISDIR);
    unlink(path);
    rmdir(dir);
    unsetenv(XF_CONFIG_ENV);
}

static void test_addresses(void)
{
    static const char *const good[] = {
        "10.0.0.1", "0.0.0.0", "::", "fd00::1", "::ffff:10.0.0.1", "fe80::1%lo"};
    static const char *const bad[] = {"",          "10.0.0",  "10.0.0.1.1", "10.0.0.1:80",
                                      "host",      "[::1]",   "1",          "0x7f.0.0.1",
                                      " 10.0.0.1", "fd00::g", "10.0.0.1 "};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CU_ASSERT_TRUE(xf_is_address(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_FALSE(xf_is_address(bad[i]));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"nothing said", test_empty},
        {"everything said", test_everything},
        {"where disks may be put", test_storage},
        {"limit", test_limit},
        {"transports", test_transports},
        {"ports", test_ports},
        {"not XML", test_not_xml},
        {"what the schema refuses", test_schema},
        {"what it cannot say", test_beyond_the_schema},
        {"no document type", test_no_doctype},
        {"size", test_size},
        {"files", test_files},
        {"addresses", test_addresses},
        CU_TEST_INFO_NULL,
    };
    return run_suite("config", tests);
}
