#!/usr/bin/env bash
# kcat (librdkafka) against a broker: suite.sh BOOTSTRAP
#
# kcat cannot create topics by itself, so that each check lets the broker create its topic on first use.
set -uo pipefail

bootstrap=${1:?usage: suite.sh BOOTSTRAP}
run=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
work=$(mktemp -d)
passed=0
failed=0
trap 'jobs -p | xargs -r kill -9 2>/dev/null; rm -rf "$work"' EXIT

check() {
    local name=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
        echo "ok   kcat: $name"
    else
        failed=$((failed + 1))
        sed 's/^/     /' "$work/output" | tail -20
        echo "FAIL kcat: $name"
    fi
}

# Every kcat call has a time limit, and fails the check when it runs into it.
kc() { timeout 30 kcat -b "$bootstrap" "$@"; }

same() {
    [ "$1" == "$2" ] || { printf 'got:\n%s\nexpected:\n%s\n' "$1" "$2"; return 1; }
}

# eventually SECONDS COMMAND…: repeats COMMAND until it succeeds.
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || { echo "not in time: $*"; return 1; }
        sleep 0.1
    done
}

# A topic that exists: asking for its metadata creates it, the second question sees it.
topic() {
    local name=kcat-$run-$1
    kc -L -t "$name" >/dev/null
    eventually 15 partitions_are "$name" 1
    echo "$name"
}

partitions_are() { kc -L -t "$1" | grep -q "topic \"$1\" with $2 partitions"; }

keyed_lines() {
    local i
    for i in $(seq 0 "$(($1 - 1))"); do echo "key-$i:value-$i-é$2"; done
}

metadata() {
    local name
    name=$(topic metadata)
    kc -L -J >"$work/metadata.json"
    grep -q "\"topic\":\"$name\"" "$work/metadata.json" && kc -L | grep -q '^ 1 brokers:'
}

round_trip() {
    local codec=$1 acks=$2 name expected options=()
    name=$(topic "$codec-$acks")
    expected=$(keyed_lines 50 "$codec$acks")
    [ "$codec" == none ] || options=(-X "compression.codec=$codec")
    kc -P -t "$name" -p 0 -K : -H tag=one -H tag=two -X "topic.acks=$acks" "${options[@]}" <<<"$expected" || return
    # acks=0 returns before the broker has the records, and -c waits for them.
    same "$(kc -C -t "$name" -p 0 -o beginning -c 50 -q -f '%k:%s\n')" "$expected" || return
    same "$(kc -C -t "$name" -p 0 -o beginning -c 50 -q -f '%o %h\n')" \
        "$(for i in $(seq 0 49); do echo "$i tag=one,tag=two"; done)"
}

idempotent() {
    local name expected
    name=$(topic idempotent)
    expected=$(keyed_lines 500 i)
    kc -P -t "$name" -p 0 -K : -X enable.idempotence=true -X batch.num.messages=20 <<<"$expected" || return
    same "$(kc -C -t "$name" -p 0 -o beginning -e -q -f '%k:%s\n')" "$expected"
}

nulls() {
    local name
    name=$(topic nulls)
    printf 'a:\nb:x\n' | kc -P -t "$name" -p 0 -K : -Z || return
    same "$(kc -C -t "$name" -p 0 -o beginning -e -q -f '%k %S\n')" $'a -1\nb 1'
}

one_large_message() {
    local name
    name=$(topic large)
    head -c 700000 /dev/urandom >"$work/large"
    kc -P -t "$name" -p 0 "$work/large" || return
    kc -C -t "$name" -p 0 -o beginning -c 1 -q -f %s >"$work/read"
    cmp "$work/large" "$work/read"
}

offsets_and_times() {
    local name middle
    name=$(topic times)
    keyed_lines 10 a | kc -P -t "$name" -p 0 -K : || return
    sleep 0.1
    middle=$(date +%s%3N)
    keyed_lines 5 b | kc -P -t "$name" -p 0 -K : || return
    same "$(kc -Q -t "$name:0:$middle")" "$name [0] offset 10" || return
    same "$(kc -Q -t "$name:0:-2")" "$name [0] offset 0" || return
    same "$(kc -Q -t "$name:0:-1")" "$name [0] offset 15" || return
    same "$(kc -C -t "$name" -p 0 -o "s@$middle" -e -q -K :)" "$(keyed_lines 5 b)" || return
    same "$(kc -C -t "$name" -p 0 -o -3 -e -q -K :)" "$(keyed_lines 5 b | tail -3)" || return
    same "$(kc -C -t "$name" -p 0 -o 4 -c 2 -q -f '%o\n')" $'4\n5'
}

group_resumes() {
    local name options
    name=$(topic resume)
    options=(-G "kcat-$run-resume" -q -f '%o\n' -X auto.offset.reset=earliest -X session.timeout.ms=6000)
    keyed_lines 20 a | kc -P -t "$name" -p 0 -K : || return
    same "$(kc "${options[@]}" -c 8 "$name")" "$(seq 0 7)" || return
    same "$(kc "${options[@]}" -e "$name")" "$(seq 8 19)"
}

# Three members of a group; member 2 leaves, member 3 is killed, and member 1 reads what comes after.
group_of_three() {
    local strategy=$1 name i pids=()
    name=$(topic "group-$strategy")
    for i in 1 2 3; do
        kcat -b "$bootstrap" -G "kcat-$run-$strategy" -u -f 'got %s\n' \
            -X partition.assignment.strategy="$strategy" -X auto.offset.reset=earliest \
            -X session.timeout.ms=6000 -X heartbeat.interval.ms=500 \
            "$name" >"$work/member-$strategy-$i" 2>&1 &
        pids+=($!)
        # The first member gets the only partition.
        [ "$i" != 1 ] || eventually 20 grep -q "assigned: $name \[0\]" "$work/member-$strategy-1"
    done
    eventually 20 grep -q rebalanced "$work/member-$strategy-3" || return
    echo before | kc -P -t "$name" -p 0 || return
    eventually 20 grep -q 'got before' "$work/member-$strategy-1" "$work/member-$strategy-2" "$work/member-$strategy-3" || return
    kill -TERM "${pids[1]}"
    wait "${pids[1]}"
    kill -KILL "${pids[2]}"
    echo after | kc -P -t "$name" -p 0 || return
    eventually 30 grep -q 'got after' "$work/member-$strategy-1" || { cat "$work/member-$strategy-1"; return 1; }
    kill -TERM "${pids[0]}"
    wait "${pids[0]}"
    true
}

static_member() {
    local name options
    name=$(topic static)
    options=(-G "kcat-$run-static" -q -f '%o\n' -X auto.offset.reset=earliest -X session.timeout.ms=6000 -X group.instance.id=one)
    keyed_lines 6 a | kc -P -t "$name" -p 0 -K : || return
    same "$(kc "${options[@]}" -c 3 "$name")" "$(seq 0 2)" || return
    same "$(kc "${options[@]}" -e "$name")" "$(seq 3 5)"
}

out_of_range() {
    local name
    name=$(topic range)
    keyed_lines 3 a | kc -P -t "$name" -p 0 -K : || return
    ! kc -C -t "$name" -p 0 -o 100 -e -q -X topic.auto.offset.reset=error 2>"$work/error" || return
    grep -qi 'out of range' "$work/error" || { cat "$work/error"; return 1; }
}

invalid_topic() {
    ! kc -P -t 'bad/name' -p 0 <<<x 2>"$work/error" && grep -qi 'topic' "$work/error"
}

too_large() {
    local name
    name=$(topic toolarge)
    head -c 3000000 /dev/urandom | base64 -w 0 >"$work/toolarge"
    ! kc -P -t "$name" -p 0 -X message.max.bytes=10000000 "$work/toolarge" 2>"$work/error" || return
    grep -qi 'too large' "$work/error" || { cat "$work/error"; return 1; }
}

check "metadata" metadata
for codec in none gzip snappy lz4 zstd; do
    for acks in 0 1 all; do
        check "produce and consume codec=$codec acks=$acks" round_trip "$codec" "$acks"
    done
done
check "idempotent produce" idempotent
check "null values" nulls
check "a large message" one_large_message
check "earliest, latest, by timestamp, from the middle and from the end" offsets_and_times
check "a group resumes where it stopped" group_resumes
check "a group of three: one leaves, one dies" group_of_three range
check "a cooperative group of three: one leaves, one dies" group_of_three cooperative-sticky
check "a static member resumes" static_member
check "offset out of range" out_of_range
check "invalid topic name" invalid_topic
check "a message that is too large" too_large
echo "$passed passed, $failed failed"
[ "$failed" == 0 ]
