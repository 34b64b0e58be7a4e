#!/usr/bin/env bash
# Durable signed events per second, beside PostgreSQL 15 and the bare limit, then verification and
# start-up of the log so made. As root (PostgreSQL runs as `nobody`), on the disk of $TMPDIR.
#   tests/bench/run.sh BUILD_DIR [ROUNDS=3] [SECONDS=3] [EVENTS=200000]
# Each round measures all three in turn, so that a busy disk hits all alike: only ratios within a
# round mean anything, and the median of the rounds' ratios is what the last table says.
set -eu
build=$(realpath "$1") rounds=${2:-3} secs=${3:-3} events=${4:-200000}
pgbin=/usr/lib/postgresql/15/bin
dir=$(mktemp -d) out=$dir/results
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ ! -d "$dir/pg" ] || runuser -u nobody -- $pgbin/pg_ctl -D "$dir/pg" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap cleanup EXIT
chmod 755 "$dir"

mkdir "$dir/pg" "$dir/work" && chown nobody "$dir/pg" "$dir/work"
as_nobody() { (cd "$dir/work" && runuser -u nobody -- "$@"); }
as_nobody $pgbin/initdb -D "$dir/pg" -U bench -A trust >/dev/null
as_nobody $pgbin/pg_ctl -D "$dir/pg" -w -l "$dir/work/log" -o "-k $dir/work -c listen_addresses='' \
    -c synchronous_commit=on -c fsync=on -c max_connections=300 -c shared_buffers=256MB" start >/dev/null
as_nobody $pgbin/psql -qh "$dir/work" -U bench postgres -c "create table event (seq bigserial primary key, body text)"
echo "insert into event (body) values ('$(head -c 240 /dev/zero | tr '\0' x)');" >"$dir/work/insert.sql"

echo 'correct horse battery staple 9' >"$dir/pw" && chmod 600 "$dir/pw"
"$build/gatehouse" init --state-dir "$dir/state" --admin alice --password-file "$dir/pw" \
    --origin bench.example.org >/dev/null 2>&1

# pgbench -T counts the time that connecting takes (seconds, for 256 on two busy cores); its tps
# does not, but backends that have just started are slow: so it runs longer.
postgres() { # producers
    local tps p50 p99 n
    rm -f "$dir"/work/lat.*
    tps=$(as_nobody $pgbin/pgbench -nh "$dir/work" -U bench -f "$dir/work/insert.sql" -M prepared -c "$1" -j 2 -T $((secs + 1 + $1 / 16)) \
        -l --log-prefix="$dir/work/lat" postgres 2>"$dir/pgbench.err" | sed -n 's/^tps = \([0-9.]*\).*/\1/p')
    [ -n "$tps" ] || { cat "$dir/pgbench.err" >&2; return 1; }
    sort -n -k3,3 -t' ' "$dir"/work/lat.* >"$dir/sorted"
    n=$(wc -l <"$dir/sorted")
    p50=$(sed -n "$((n / 2 + 1))p" "$dir/sorted" | cut -d' ' -f3)
    p99=$(sed -n "$((n * 99 / 100 + 1))p" "$dir/sorted" | cut -d' ' -f3)
    echo "postgres producers $1 threads 2 events_s $tps p50_ms $(bc <<<"scale=3; $p50/1000") p99_ms $(bc <<<"scale=3; $p99/1000")"
}

echo "# $(nproc) cores, $(uname -r), load $(cut -d' ' -f1-3 /proc/loadavg), disk of $dir: $(df --output=fstype "$dir" | tail -1)"
for round in $(seq "$rounds"); do
    for n in 8 64 256; do
        for what in "gatehouse" "gatehouse-2" "limit" "postgres"; do
            case $what in
            gatehouse) "$build/bench/journal_bench" --state-dir "$dir/state" --seconds "$secs" --producers "$n" ;;
            gatehouse-2) "$build/bench/journal_bench" --state-dir "$dir/state" --seconds "$secs" --producers "$n" --threads 2 ;;
            limit) "$build/bench/journal_bench" --state-dir "$dir/state" --seconds "$secs" --producers "$n" --limit ;;
            postgres) postgres "$n" ;;
            esac | awk -v what="$what" -v r="$round" '/events_s/ && $3 != 1 {$1 = what; print "round", r, $0}'
        done
    done
done | tee "$out"

awk '
function median(key,   i, j, n, t, v) {
    n = split(runs[key], v, " ")
    for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
{ rate[$2, $3, $5] = $9; p99[$2, $3, $5] = $13; rounds = $2; who[$3]; at[$5] }
END {
    for (w in who) for (n in at) for (r = 1; r <= rounds; r++) {
        runs["rate" w n] = runs["rate" w n] " " rate[r, w, n]
        runs["p99" w n] = runs["p99" w n] " " p99[r, w, n]
        runs["pg" w n] = runs["pg" w n] " " rate[r, w, n] / rate[r, "postgres", n]
        runs["lim" w n] = runs["lim" w n] " " rate[r, w, n] / rate[r, "limit", n]
        runs["plim" w n] = runs["plim" w n] " " p99[r, w, n] / p99[r, "limit", n]
    }
    print "\nmedians of " rounds " rounds\n| producers | what | events/s | p99 ms | x PostgreSQL | x limit | p99 x limit |\n|---|---|---|---|---|---|---|"
    split("8 64 256", ns, " "); split("gatehouse gatehouse-2 limit postgres", ws, " ")
    for (i = 1; i <= 3; i++) for (j = 1; j <= 4; j++) { k = ws[j] ns[i]
        printf "| %d | %s | %.0f | %.1f | %.2f | %.2f | %.2f |\n", ns[i], ws[j], median("rate" k), median("p99" k), median("pg" k), median("lim" k), median("plim" k) }
}' "$out"

# A log of at least so many events, then everything that reads it from the start.
size=0
while [ "$size" -lt "$events" ]; do
    size=$("$build/bench/journal_bench" --state-dir "$dir/state" --seconds 4 --producers 1000 --threads 2 |
        awk '/^replay/ {a = $3} /events_s/ {b = int($7 * 4)} END {print a + b}')
done
echo
for mode in "" --fast; do
    start=$(date +%s.%N)
    # shellcheck disable=SC2086 # no mode is no argument
    said=$("$build/gatehouse" audit verify --state-dir "$dir/state" $mode 2>&1 | tail -1) || { echo "$said"; exit 1; }
    took=$(bc <<<"$(date +%s.%N) - $start")
    echo "verify ${mode:-full}: $took s: $said"
done
rm -f "$dir/serve.log"
start=$(date +%s.%N)
"$build/gatehouse" serve --state-dir "$dir/state" --listen 127.0.0.1:0 2>"$dir/serve.log" &
server=$!
until grep -q server_started "$dir/serve.log"; do
    sleep 0.01
    kill -0 "$server" || { cat "$dir/serve.log"; exit 1; }
done
echo "start-up, first time (the views catch up beside it): $(bc <<<"$(date +%s.%N) - $start") s until it serves; $(grep -m1 VmRSS "/proc/$server/status" | tr -s '\t ' ' '); $(grep -o 'events=[0-9]*' "$dir/serve.log")"
kill "$server"
wait "$server" || true
server=
