#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# deps.sh, with a made-up dpkg-query and apt-get: what is missing is named in one sentence, or installed;
# nothing is asked of apt when nothing is missing, or when it is only to be said.
set -u -o pipefail
deps=$(cd "$(dirname "$0")" && pwd)/deps.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
failed=0

cat >"$work/bin/dpkg-query" <<END
#!/bin/bash
grep -qx "\${!#}" $work/there && printf installed
END
cat >"$work/bin/apt-get" <<END
#!/bin/bash
echo "\$*" >>$work/asked
END
cat >"$work/bin/id" <<END
#!/bin/bash
cat $work/uid
END
cat >"$work/bin/apt-cache" <<END
#!/bin/bash
grep -qx "\$2" $work/has && echo '  Candidate: 1.0'
END
chmod +x "$work/bin/"*
printf '# some\ngcc  # a compiler\n\nlibfoo-dev\n' >"$work/one.txt"
echo make >"$work/two.txt"

expect() { # WHAT STATUS SAYS ASKED ARGUMENTS...
    local what=$1 status=$2 says=$3 asked=$4 said rc
    shift 4
    rm -f "$work/asked"
    said=$(PATH=$work/bin:$PATH "$deps" "$@" 2>&1)
    rc=$?
    if [ $rc != "$status" ] || [[ $said != *"$says"* ]] ||
        [ "$(cat "$work/asked" 2>/dev/null)" != "$asked" ]; then
        echo "$what: status $rc: $said; apt: $(cat "$work/asked" 2>/dev/null)"
        failed=1
    fi
    lines=$(grep -c . <<<"$said")
}

printf 'gcc\nmake\n' >"$work/there"
echo 1000 >"$work/uid"
expect "to be said" 1 "run as root: apt-get install --no-install-recommends libfoo-dev" "" \
    --only-say "$work/one.txt" "$work/two.txt"
[ "$lines" = 1 ] || { echo "not one sentence"; failed=1; }
expect "no root" 1 "run as root: apt-get install --no-install-recommends libfoo-dev" "" "$work/one.txt"
echo 0 >"$work/uid"
expect "to be said to root" 1 "libfoo-dev" "" --only-say "$work/one.txt"
expect "root" 0 "installing libfoo-dev" $'-q update\n-q -y install --no-install-recommends libfoo-dev' \
    "$work/one.txt" "$work/two.txt"
expect "no such list" 0 "" "" "$work/none.txt"
printf 'gcc\nmake\nlibfoo-dev\n' >"$work/there"
expect "nothing missing" 0 "" "" "$work/one.txt" "$work/two.txt"
expect "nothing to be said" 0 "" "" --only-say "$work/one.txt" "$work/two.txt"
# Called differently in different releases.
echo 'libbar-1|libbar-2' >"$work/either.txt"
echo libbar-2 >"$work/has"
expect "the later one" 0 "installing libbar-2" $'-q update\n-q -y install --no-install-recommends libbar-2' "$work/either.txt"
echo libbar-1 >>"$work/has"
expect "both, the first" 0 "installing libbar-1" $'-q update\n-q -y install --no-install-recommends libbar-1' "$work/either.txt"
echo libbar-2 >>"$work/there"
expect "one is there" 0 "" "" "$work/either.txt"
# Another distribution: what is there cannot be known.
mkdir "$work/empty"
for tool in bash id env cat grep dirname; do ln -s "$(command -v $tool)" "$work/empty/"; done
PATH=$work/empty "$deps" --only-say "$work/one.txt" || { echo "no dpkg, to be said: status $?"; failed=1; }
said=$(PATH=$work/empty "$deps" "$work/one.txt" 2>&1) && { echo "no dpkg: installed?"; failed=1; }
[[ $said == *"no dpkg"* ]] || { echo "no dpkg: $said"; failed=1; }
exit $failed
