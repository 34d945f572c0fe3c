# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the tests of `xl migrate-drain` share: a host whose guests are files, and a mover that moves
# them by removing the file. The front command's libxl is replaced by one that reads those files, and
# where it runs itself to move a guest, the mover is run instead.
#
#   $host/guests/NAME    "DOMID KIB STATE UUID"; STATE: runs, suspended, ended
#   $host/does/NAME      what the mover does with it, a line: see mover
#   $host/log            what was begun and ended: "begin NAME HOST", "end NAME STATUS"
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

export host=$work/host XENFERRY_RUN_DIR=$work/run
mkdir -p "$host/guests" "$host/does" "$host/asked"
: >"$host/log"

cat >"$work/host.c" <<'EOC'
#include <dirent.h>
#include <libxl.h>
#include <libxl_utils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenctrl.h>
extern char **environ;
static int read_guest(const char *name, libxl_dominfo *d)
{
    char path[600], state[32], uuid[64];
    unsigned domid;
    unsigned long kib;
    FILE *f;
    int n;
    snprintf(path, sizeof(path), "%s/guests/%s", getenv("host"), name);
    f = fopen(path, "r");
    if (!f)
        return -1;
    n = fscanf(f, "%u %lu %31s %63s", &domid, &kib, state, uuid);
    fclose(f);
    if (n != 4)
        return -1;
    memset(d, 0, sizeof(*d));
    d->domid = domid;
    d->current_memkb = kib;
    d->shutdown = strcmp(state, "runs") != 0;
    d->shutdown_reason = strcmp(state, "suspended") ? LIBXL_SHUTDOWN_REASON_CRASH
                                                    : LIBXL_SHUTDOWN_REASON_SUSPEND;
    return libxl_uuid_from_string(&d->uuid, uuid);
}
int libxl_ctx_alloc(libxl_ctx **ctx, int version, unsigned flags, xentoollog_logger *log)
{
    (void)version, (void)flags, (void)log;
    *ctx = (libxl_ctx *)environ;
    return getenv("no_xen") ? ERROR_FAIL : 0;
}
int libxl_ctx_free(libxl_ctx *ctx) { return ctx == NULL; }
int libxl_is_stubdom(libxl_ctx *ctx, uint32_t domid, uint32_t *target)
{
    return ctx == NULL || domid == 0 || target != NULL;
}
xc_interface *xc_interface_open(xentoollog_logger *a, xentoollog_logger *b, unsigned flags)
{
    (void)a, (void)b, (void)flags;
    return (xc_interface *)environ;
}
int xc_interface_close(xc_interface *xch) { return xch == NULL; }
int xc_version(xc_interface *xch, int cmd, void *arg)
{
    unsigned major = 0, minor = 0;
    (void)xch, (void)cmd, (void)arg;
    sscanf(getenv("release"), "%u.%u", &major, &minor);
    return (int)(major << 16 | minor);
}
libxl_dominfo *libxl_list_domain(libxl_ctx *ctx, int *n)
{
    libxl_dominfo *list = calloc(1001, sizeof(*list));
    char path[600];
    struct dirent *e;
    DIR *dir;
    (void)ctx;
    snprintf(path, sizeof(path), "%s/guests", getenv("host"));
    dir = opendir(path);
    *n = 1; /* domain 0 */
    while (dir && (e = readdir(dir)) && *n < 1000)
        if (e->d_name[0] != '.' && !read_guest(e->d_name, &list[*n]))
            ++*n;
    if (dir)
        closedir(dir);
    return list;
}
void libxl_dominfo_list_free(libxl_dominfo *list, int n)
{
    (void)n;
    free(list);
}
char *libxl_domid_to_name(libxl_ctx *ctx, uint32_t domid)
{
    char path[600], *name = NULL;
    libxl_dominfo d;
    struct dirent *e;
    DIR *dir;
    (void)ctx;
    snprintf(path, sizeof(path), "%s/guests", getenv("host"));
    dir = opendir(path);
    while (dir && (e = readdir(dir)))
        if (e->d_name[0] != '.' && !read_guest(e->d_name, &d) && d.domid == domid)
            name = strdup(e->d_name);
    if (dir)
        closedir(dir);
    return name;
}
int execv(const char *path, char *const argv[])
{
    return execve(strcmp(path, "/proc/self/exe") ? path : getenv("mover"), argv, environ);
}
EOC
release=$("$XL" migrate --version | sed 's/.* Xen //')
export release
cc -shared -fPIC -D__XEN_TOOLS__ -o "$work/host.so" "$work/host.c" || exit 1

# The mover is `xl migrate` of this host, and behind the fake ssh that of another.
export mover=$work/mover
fake "$mover" <<'EOC'
unset LD_PRELOAD
check= words=()
shift # migrate
while [ $# -gt 0 ]; do
    case $1 in
    --check) check=1 ;;
    -s) shift ;;
    --json) ;;
    --) shift; words=("$@"); break ;;
    esac
    shift
done
who=${words[0]} to=${words[1]}
for f in "$host"/guests/* "$host"/away/*; do
    [ -e "$f" ] || continue
    read -r domid kib _ uuid <"$f"
    [ "$who" != "$domid" ] && [ "$who" != "${f##*/}" ] || { name=${f##*/}; file=$f; break; }
done
log() { # in one piece
    (flock 9; echo "$*" >>"$host/log") 9>"$host/log.lock"
}
report() { # STATUS ERRNO TEXT
    echo "{\"type\":\"report\",\"outcome\":\"x\",\"exit_status\":$1,\"domain\":\"$name\",\"host\":\"$to\",\"total_s\":12.3,\"downtime_s\":0.081,\"phase_s\":{},\"errno\":$2,\"error\":\"$3\"}"
    [ -n "$check" ] || log "end $name $1"
    exit "$1"
}
refuse() { # CODE
    echo "{\"type\":\"finding\",\"severity\":\"refusal\",\"code\":\"$1\",\"text\":\"because of $1\"}"
    report 1 95 "CHECK refuses: because of $1"
}
[ -n "${name-}" ] || { echo "no such guest: $who" >&2; report 1 3 "there is no domain $who here"; }
read -r what arg <"$host/does/$name" 2>/dev/null || what=moves
if [ -n "$check" ]; then
    echo "$name $to" >>"$host/asked/all"
    free=$(cat "$host/free.$to" 2>/dev/null) && echo "{\"type\":\"forecast\",\"forecast\":{\"total_s\":30.5,\"downtime_s\":0.2,\"bytes\":$((kib * 1024)),\"dirty_pages_per_s\":100.0,\"working_set_pages\":$(cat "$host/set.$name" 2>/dev/null || echo 5),\"memory_needed_kib\":$kib,\"memory_free_kib\":$free}}"
else
    log "begin $name $to"
fi
case $what in
refused) [ "$to" = "${arg#* }" ] && report_to=1; [ "$arg" != "${arg#* }" ] && [ -z "${report_to-}" ] || refuse "${arg% *}" ;;
memory) # until so many have left
    [ "$(grep -c '^end .* 0$' "$host/log")" -ge "$arg" ] || refuse memory ;;
waits) # for a file, or to be cancelled
    if [ -z "$check" ]; then
        trap 'report 3 125 "the move was cancelled"' INT
        echo $$ >"$host/waits.$name"
        until [ -e "$host/go.$name" ]; do sleep 0.1; done
    fi ;;
pulls) # as one in PULL, which a first Ctrl-C does not end
    if [ -z "$check" ]; then
        trap ': >"$host/told.$name"' INT
        echo $$ >"$host/waits.$name"
        until [ -e "$host/go.$name" ]; do sleep 0.1; done
    fi ;;
busy) # for so many times another process has it
    [ "$(grep -c "^begin $name" "$host/log")" -gt "$arg" ] || report 1 16 "it is being moved already" ;;
reboots) # once
    [ "$kib" = 1 ] || { echo "99 1 runs $uuid" >"$file"; report 8 125 "it rebooted"; } ;;
fails) report "$arg" 5 "it failed" ;;
dies) kill -KILL $$ ;;
strange) # what no xl says
    head -c 200000 /dev/zero | tr '\0' x
    printf '\n{"type":"report","exit_status":"no"}\n{"type":\n\033[31mred\n'
    printf 'a \033[31msad end\n' >&2
    exit 1 ;;
esac
if [ -z "$check" ]; then
    mkdir -p "$host/away"
    case $file in
    */away/*) mv "$file" "$host/guests/$name" ;;
    *) mv "$file" "$host/away/$name" ;;
    esac
fi
report 0 0 ""
EOC

# As ssh does it: HOST, then words that a shell there puts together again. There, xl is the mover, and
# goes on when ssh is killed here.
export ssh=$work/ssh
fake "$ssh" <<'EOC'
echo "$1" >>"$host/reached"
[ ! -e "$host/down.$1" ] || { echo "ssh: connect to host $1: No route to host" >&2; exit 255; }
shift
xl() {
    if [ "$1" = migrate-cancel ]; then # -- NAME
        echo "cancel $3" >>"$host/cancelled"
        kill -INT "$(cat "$host/waits.$3")"
    else
        "$mover" "$@"
    fi
}
export -f xl
setsid --wait env --default-signal=INT bash -c "$*" &
wait $!
EOC

# two_away: g1 has gone to host2, another to host3
two_away() {
    fresh
    guest g1 1 10
    guest "it's \$HOME" 2 20
    echo 100 >"$host/free.host2"
    echo 100 >"$host/free.host3"
    drain --to host2 host3 -s "$ssh" --order memory
    same "away: status" 0 $rc
    same "away" "g1 it's \$HOME" "$(cd "$host/away" && printf '%s\n' * | sort | xargs -d '\n')"
}

# guest NAME DOMID KIB [STATE [WHAT THE MOVER DOES]]
guest() {
    echo "$2 $3 ${4:-runs} 2f6c1c2e-0d3a-4a53-9f5e-$(printf %012d "$2")" >"$host/guests/$1"
    rm -f "$host/does/$1"
    [ $# -lt 5 ] || echo "$5" >"$host/does/$1"
}

# A fresh host without guests.
fresh() {
    rm -rf "$host" "$XENFERRY_RUN_DIR"
    mkdir -p "$host/guests" "$host/does" "$host/asked"
    : >"$host/log"
}

# drain WORDS...: output in $out, errors in $err, status in $rc
drain() {
    out=$(LD_PRELOAD=$work/host.so "$XL" migrate-drain "$@" 2>"$work/err")
    rc=$?
    err=$(cat "$work/err")
}
# Begin one in the background, with SIGINT as a terminal's job has it: $pid, $work/out.
begin() {
    LD_PRELOAD=$work/host.so env --default-signal=INT "$XL" migrate-drain "$@" \
        >"$work/out" 2>"$work/err" &
    pid=$!
}
ended() { # of begin
    wait "$pid"
    rc=$?
    out=$(cat "$work/out") err=$(cat "$work/err")
}
# await WHAT COMMAND...: until it succeeds
await() {
    local what=$1 i
    shift
    for ((i = 0; i < 1200; i++)); do
        ! "$@" 2>/dev/null || return 0
        sleep 0.05
    done
    fail "$what: never"
}

# server NAME ROLE DOMAIN DOMID PHASE: a move that shows its status; its line is the file $work/NAME
declare -A servers=()
server() {
    printf '{"role":"%s","pid":1,"domain":"%s","domid":%s,"host":"host2","phase":"%s","round":1,' \
        "$2" "$3" "$4" "$5" >"$work/$1"
    printf '"round_pages":1,"round_done":1,"pages_sent":null,"left_out":0,"missing":0,"faults":0,' >>"$work/$1"
    printf '"requested":0,"fault_median_s":null,"fault_p99_s":null,"rate_bytes_per_s":null,' >>"$work/$1"
    printf '"eta_s":null,"elapsed_s":3.0,"age_s":0.0,"no_switch":"no"}\n' >>"$work/$1"
    socat "UNIX-LISTEN:$XENFERRY_RUN_DIR/$1.sock,fork" "SYSTEM:cat $work/$1" 2>/dev/null &
    servers[$1]=$!
    await "the socket $1" [ -S "$XENFERRY_RUN_DIR/$1.sock" ]
}
no_server() { # NAME
    kill "${servers[$1]}"
    wait "${servers[$1]}" 2>/dev/null
    rm -f "$XENFERRY_RUN_DIR/$1.sock"
}

# The drain in the background has been told to stop, and says so.
said() { await "it is said" grep -q "Ctrl-C once more" "$work/err"; }
# stopped_once SIGNAL: what is under way ends, nothing more is begun
stopped_once() {
    fresh
    guest g1 1 30 runs waits
    guest g2 2 20 runs waits
    guest g3 3 10
    begin --to host2 --order memory
    await "two under way" [ -e "$host/waits.g2" ]
    kill -"$1" "$pid"
    said
    : >"$host/go.g1"
    : >"$host/go.g2"
    ended
    same "$1: status" 2 $rc
    same "$1: who stays" g3 "$(here)"
    row g1 moved
    row g2 moved
    row g3 "not begun"
}

here() { (cd "$host/guests" && echo *); }
# The most that were under way at once.
most() {
    awk '$1 == "begin" && ++n > most { most = n } $1 == "end" { n-- } END { print most + 0 }' "$host/log"
}
# row NAME OUTCOME: the row of a guest in the table ends so
row() {
    grep -qE "^$1 .* $2\$" <<<"$out" || fail "no row '$1 ... $2' in: $out"
}
narrow() {
    awk 'length($0) > 80 { bad = 1; print } END { exit bad }' <<<"$out" || fail "wider than 80 columns"
}
