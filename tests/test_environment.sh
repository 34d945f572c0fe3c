#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# environment.sh finds a variable that is not listed, one listed that nobody reads, one for tests
# that is read by getenv(), and another way to the environment.
set -u -o pipefail
script=$(cd "$(dirname "$0")" && pwd)/environment.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree" || exit 2
failed=0

fresh() {
    rm -rf ./*
    mkdir -p tools libxl-ext disks qmp precopy postcopy pages transport docs
    cat >docs/environment.md <<'END'
## For users

| variable | read in | what for |
|---|---|---|
| `ONE` | `tools/a.c`, `tools/b.c` | |
| `TWO` | `tools/a.c` | |

## For tests

| variable | read in | what for |
|---|---|---|
| `HOLD` | `precopy/hold.c` | |

## Others

| `THREE` | nobody | |
END
    cat >tools/a.c <<'END'
#define TWO_ENV "TWO"
    const char *one = getenv("ONE"), *two;
    two = getenv(TWO_ENV); /* of this process's environment */
END
    echo 'return getenv("ONE") != NULL; /* see getenv() */' >tools/b.c
    echo 'const char *hold = xf_test_env("HOLD");' >precopy/hold.c
    printf 'const char *xf_test_env(const char *name)\n    const char *v = getenv(name);\n' \
        >transport/test_env.c
}
expect() { # WHAT STATUS SAYS
    local said rc
    said=$("$script" "$tree" 2>&1)
    rc=$?
    if [ $rc != "$2" ] || [[ $said != *$3* ]]; then
        echo "$1: status $rc: $said"
        failed=1
    fi
}

fresh
expect "as it should be" 0 ""
echo 'x = getenv("FOUR");' >>tools/b.c
expect "not listed" 1 'tools/b.c:2: getenv(FOUR): no such row'
fresh
echo 'x = getenv("FIVE") && getenv("ONE");' >>tools/b.c
expect "the first of two in a line" 1 'tools/b.c:2: getenv(FIVE): no such row'
fresh
echo 'x = getenv("THREE");' >>tools/b.c
expect "listed elsewhere" 1 'tools/b.c:2: getenv(THREE): no such row'
fresh
echo 'x = getenv("TWO");' >>tools/b.c
expect "another file" 1 'tools/b.c:2: getenv(TWO): no such row'
fresh
echo 'x = getenv(name);' >>tools/b.c
expect "a name that is not known" 1 'tools/b.c:2: getenv(name): no such row'
fresh
sed -i 's/xf_test_env/getenv/' precopy/hold.c
expect "a test's, read by anybody" 1 'precopy/hold.c:1: getenv(HOLD): no such row'
fresh
rm tools/b.c
expect "nobody reads it" 1 'tools/b.c does not read ONE'
fresh
echo 'x = secure_getenv("ONE");' >>tools/b.c
expect "another way" 1 'tools/b.c:2: reads the environment in another way'
fresh
echo 'extern char **environ;' >>tools/b.c
expect "the whole environment" 1 'tools/b.c:2: reads the environment in another way'
fresh
rm docs/environment.md
expect "no page" 1 'docs/environment.md: there is none'
exit $failed
