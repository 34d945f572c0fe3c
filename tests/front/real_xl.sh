#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Which xl is the real one, and that two front commands never call each other for ever.
# shellcheck source=tests/front/lib.bash
. "$(dirname "$0")/lib.bash"

path=/usr/bin:/bin
mkdir "$work/a" "$work/b" "$work/c"
fake "$work/c/xl" <<'EOS'
echo "real $0 $*"
EOS

# ours IN PATH: the path tried for `xl list`
run() {
    "$XL" "$@" 2>&1
}

same "in PATH" "real $work/c/xl list" "$(PATH=$work/c:$path run list)"
same "named" "real $work/c/xl list" "$(XENFERRY_REAL_XL=$work/c/xl PATH=$path run list)"
same "an empty name is none" "real $work/c/xl list" "$(XENFERRY_REAL_XL='' PATH=$work/c:$path run list)"

# Ourselves in every guise come earlier in PATH: a link, a hard link or copy.
ln -s "$XL" "$work/a/xl"
cp "$XL" "$work/b/xl"
same "past a link and a copy" "real $work/c/xl list" "$(PATH=$work/a:$work/b:$work/c:$path run list)"
same "started by the link" "real $work/c/xl list" "$(PATH=$work/a:$work/c:$path xl list)"

# Not a program, a directory, a relative entry.
mkdir "$work/d" "$work/d/xl" "$work/e"
echo 'echo no' >"$work/e/xl"
same "past what is no program" "real $work/c/xl list" "$(PATH=$work/d:$work/e:$work/nowhere:$work/c:$path run list)"
same "relative entries are not searched" "real $work/c/xl list" \
    "$(cd "$work" && fake xl <<<'echo relative' && PATH=.::$work/c:$path run list)"

# The name decides what Debian's wrapper runs, so a link is not resolved.
mkdir "$work/f"
fake "$work/f/wrapper" <<'EOS'
echo "called ${0##*/}"
EOS
ln -s wrapper "$work/f/xl"
same "a wrapper keeps its name" "called xl" "$(PATH=$work/f:$path run list)"

# Errors name the remedy.
out=$(XENFERRY_REAL_XL=$work/nowhere/xl PATH=$work/c:$path run list)
same "named but absent: status" 127 $?
contains "named but absent" "set it to the path" "$out"
out=$(XENFERRY_REAL_XL=$work/b/xl PATH=$work/c:$path run list)
same "named ourselves: status" 127 $?
contains "named ourselves" "this command itself" "$out"
if [ ! -x /usr/sbin/xl ] && [ ! -x /usr/libexec/xl ]; then
    out=$(PATH=$path run list)
    same "none: status" 127 $?
    contains "none" "install xen-utils" "$out"
fi
printf '#!/nowhere/interpreter\n' >"$work/e/xl"
chmod +x "$work/e/xl"
out=$(PATH=$work/e:$path run list)
same "cannot run: status" 127 $?
contains "cannot run" "cannot run $work/e/xl" "$out"

# A script that calls us again: by exec in the same process, and as a child.
mkdir "$work/g"
for how in exec ''; do
    fake "$work/g/xl" <<EOS
echo x >>$work/count
$how "$XL" "\$@"
EOS
    : >"$work/count"
    out=$(PATH=$work/g:$path timeout 60 "$XL" list 2>&1)
    same "loop ($how): status" 127 $?
    contains "loop ($how)" "leads back to this command" "$out"
    [ "$(wc -l <"$work/count")" -le 20 ] || fail "loop ($how): $(wc -l <"$work/count") times around"
done

# Honest nesting is allowed: the real xl runs a script that runs xl.
fake "$work/g/xl" <<EOS
if [ "\$1" = create ]; then "$XL" list; else echo "nested \$*"; fi
EOS
same "nesting" "nested list" "$(PATH=$work/g:$path run create x)"
finish
