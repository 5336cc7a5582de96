#!/usr/bin/env bash
# Runs tests and prints `N passed, N failed` as its last line.
#   scripts/run_tests.sh TEST...
# A test is a cmocka program, or a *.sh that prints `ok NAME` or `not ok NAME` lines. One that crashes, hangs or
# exits non-zero without naming a failure counts as one failed; so does a program without a single test.
# Environment: BUILD (folder for logs), DARKNET (the program under test), TIMEOUT (seconds for each; a *.sh has
# twice that).
set -uo pipefail

: "${BUILD:=$PWD/build}" "${TIMEOUT:=300}"
export BUILD TIMEOUT DARKNET="${DARKNET:-$BUILD/darknet/darknet}"
logs=$BUILD/tests/logs
rm -rf "$logs"
mkdir -p "$logs"
# Two cores are shared by the threads of one test; spinning threads would only measure each other.
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-2}" GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-10000}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

passed=0 failed=0 skipped=0

# attribute NAME FILE...: the sum of one number of the <testsuite> lines.
attribute() {
    local name=$1
    shift
    sed -n "s/.*<testsuite .* $name=\"\([0-9]*\)\".*/\1/p" "$@" | awk '{ n += $1 } END { print n + 0 }'
}

for test in "$@"; do
    # Without the folder of the build or of the sources, which may have any name.
    case $test in /*) name=$test ;; *) name=$PWD/$test ;; esac
    name=${name#"$BUILD"/}
    name=${name#"$PWD"/}
    log=$logs/$(echo "${name%.sh}" | tr / _)
    start=$SECONDS
    ok=0 bad=0 skip=0
    case $test in
    *.sh)
        timeout -k 5 "$((TIMEOUT * 2))" bash "$test" >"$log.txt" 2>&1
        status=$?
        ok=$(grep -c '^ok ' "$log.txt")
        bad=$(grep -c '^not ok ' "$log.txt")
        ;;
    *)
        # cmocka puts the group's name in place of the first %g, which the path to the logs may have, too.
        mkdir -p "$log.xml"
        xml=$(mktemp -d)
        # Darknet frees little at exit, so leaks are looked for in the floors without it.
        case $name in tests/numerics/* | tests/core/* | tests/gpu/*) leaks=1 ;; *) leaks=0 ;; esac
        ASAN_OPTIONS=detect_leaks=$leaks CMOCKA_MESSAGE_OUTPUT=xml CMOCKA_XML_FILE="$xml/%g" \
            timeout -k 5 "$TIMEOUT" "$test" >"$log.txt" 2>&1 </dev/null
        status=$?
        cp -r "$xml"/. "$log.xml" && rm -r "$xml"
        if compgen -G "$log.xml/*" >/dev/null; then
            bad=$(($(attribute failures "$log.xml"/*) + $(attribute errors "$log.xml"/*)))
            skip=$(attribute skipped "$log.xml"/*)
            ok=$(($(attribute tests "$log.xml"/*) - bad - skip))
        fi
        ;;
    esac
    reason=
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1 reason=" (exit status $status)"
    elif [ "$((ok + bad + skip))" -eq 0 ]; then
        bad=1 reason=" (no test ran)"
    fi
    echo "$name: $ok passed, $bad failed$([ "$skip" -gt 0 ] && echo ", $skip skipped")$reason, $((SECONDS - start)) s"
    if [ "$bad" -gt 0 ]; then
        sed -n 's/.*<testcase name="\([^"]*\)".*/\1/; t keep; /<failure>/,/<\/failure>/!d; H; x; s/^\n//; p; x; d; :keep
                s/^/  /; h; d' "$log.xml"/* 2>/dev/null | head -n 40
        tail -n 25 "$log.txt" | sed 's/^/  | /'
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
done

if [ "$skipped" -gt 0 ]; then echo "$skipped skipped"; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
