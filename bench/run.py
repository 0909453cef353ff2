#!/usr/bin/env python3
"""Measures dikastes beside a server that does nothing, on this machine, in turns. See README.md."""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

import fixtures
from processes import LOAD_CORE, SERVER_CORE, Load, Server, WrongAnswer

ROOT = pathlib.Path(__file__).resolve().parent.parent
IN_FLIGHT = (1, 16, 64)
RATE = 2000
STARTS = 7  # to take the median of
WARM_UP = 0.2  # seconds

NOTHING, DIKASTES, OTHER = "do-nothing", "dikastes", "other"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / os.environ.get("DIKAST_BUILD", "build"),
                        help="build directory (default: $DIKAST_BUILD, or build)")
    parser.add_argument("--fixture", action="append", choices=fixtures.ALL, help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="how often each server gets its turn (default: 5)")
    parser.add_argument("--seconds", type=float, default=1, help="how long a turn is (default: 1)")
    parser.add_argument("--against", metavar="CMD",
                        help="a third server; {socket}, {directory}, {workload} in it are replaced")
    parser.add_argument("--json", action="store_true", help="every figure of every round, as JSON")
    return parser.parse_args()


def make_servers(arguments):
    servers = [
        Server(NOTHING, f"{arguments.build}/bench/nothing {{socket}}", verdict=fixtures.ALLOWED),
        Server(DIKASTES, f"{arguments.build}/bin/dikastes server -l {{socket}} -d directory:{{directory}} "
                         "--workload {workload} --log-level error"),
    ]
    if arguments.against:
        servers.append(Server(OTHER, arguments.against))
    return servers


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- measuring ----

def one_turn(server, load, seconds, **options):
    before = server.cpu_ns()
    figures = load.run(server, seconds, **options)
    figures["cpu_us"] = (server.cpu_ns() - before) / 1e3 / figures["calls"]
    return {key: figures[key] for key in ("cpu_us", "checks_per_second", "p50_us", "p99_us")}


def rounds(servers, load, arguments, **options):
    """A list of figures for each server; the servers take turns, so that all see the same weather."""
    results = {server.name: [] for server in servers}
    for _ in range(arguments.rounds):
        for server in servers:
            results[server.name].append(one_turn(server, load, arguments.seconds, **options))
    return results


def measure_case(servers, load, arguments):
    for server in servers:
        load.run(server, WARM_UP, in_flight=16)
    result = {}
    for count in IN_FLIGHT:
        say(f"  {load.case.name}, {count} in flight")
        result[f"{count} in flight"] = rounds(servers, load, arguments, in_flight=count)
    say(f"  {load.case.name}, {RATE} a second")
    result[f"{RATE:,} a second"] = rounds(servers, load, arguments, rate=RATE)
    return result


def measure_starts(servers, fixture, load):
    """Starts and stops the servers in turns, and leaves them running at the end."""
    results = {server.name: [] for server in servers}
    for count in range(STARTS):
        for server in servers:
            if count > 0:
                server.stop()
            results[server.name].append(server.start(fixture, load))
    return results


def measure_fixture(servers, fixture, folder, arguments):
    loads = [Load(arguments.build / "bench" / "load", case, folder) for case in fixture.cases]
    result = {"bytes_of_request": len(fixture.cases[0].message)}
    try:
        result["start"] = measure_starts(servers, fixture, loads[0])
        result["memory_idle"] = {server.name: server.memory() for server in servers}
        result["cases"] = {load.case.name: measure_case(servers, load, arguments) for load in loads}
        result["memory"] = {server.name: server.memory() for server in servers}
    finally:
        for server in servers:
            server.stop()
    return result


def measure(arguments):
    servers = make_servers(arguments)
    result = {
        "load_average": os.getloadavg(),
        "binary_bytes": {server.name: server.binary_bytes() for server in servers},
        "fixtures": {},
    }
    for name in arguments.fixture or fixtures.ALL:
        say(name)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            folder = pathlib.Path(folder)
            result["fixtures"][name] = measure_fixture(servers, fixtures.ALL[name](folder), folder, arguments)
    return result


# ---- the tables ----

def median(results, server, key):
    return statistics.median(figures[key] for figures in results[server])


def ratio(results, server, key):
    """The median of the rounds' own ratios: what disturbs a round disturbs both."""
    return statistics.median(ours[key] / least[key] for ours, least in zip(results[server], results[NOTHING]))


def print_table(head, rows):
    rows = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
    print()


def digits(number):
    return f"{number:.1f}" if number < 100 else f"{number:,.0f}"


def than_small(result, server, load, own):
    """How much more CPU than the allowed request of the small policy, each measured in do-nothings."""
    small = result["fixtures"].get("small")
    if small is None:
        return "?"
    return f"{own / ratio(small['cases']['small, allowed'][load], server, 'cpu_us'):.2f} ×"


def latency(turns, server):
    return f"{median(turns, server, 'p50_us') / 1e3:.2f} / {median(turns, server, 'p99_us') / 1e3:.2f}"


def print_cases(result, name):
    head = ["request", "load", f"CPU a check: × {NOTHING}", "× small policy", f"{name}, µs", f"{NOTHING}, µs",
            f"checks/s: {name}", NOTHING, f"p50 / p99 ms: {name}", NOTHING]
    rows = []
    for fixture in result["fixtures"].values():
        for case, loads in fixture["cases"].items():
            for load, turns in loads.items():
                own = ratio(turns, name, "cpu_us")
                rows.append([
                    case, load, f"{own:.2f} ×", than_small(result, name, load, own),
                    digits(median(turns, name, "cpu_us")), digits(median(turns, NOTHING, "cpu_us")),
                    f"{median(turns, name, 'checks_per_second'):,.0f}",
                    f"{median(turns, NOTHING, 'checks_per_second'):,.0f}",
                    latency(turns, name), latency(turns, NOTHING)])
    print_table(head, rows)


def mebibytes(memory):
    return f"{memory['resident_kib'] / 1024:.1f} ({memory['private_kib'] / 1024:.1f})"


def print_others(result):
    rows = []
    for fixture, figures in result["fixtures"].items():
        for name in figures["start"]:
            times = [median(figures["start"], name, key) for key in ("listening_ms", "serving_ms", "cpu_ms")]
            memory = [figures["memory_idle"][name], figures["memory"][name]]
            rows.append([fixture, name, *(f"{time:.1f}" for time in times), *map(mebibytes, memory)])
    print_table(["policy", "program", "start to listening, ms", "to first verdict", "CPU for it",
                 "resident (private) MiB, idle", "after the load"], rows)
    print_table(["program", "bytes, stripped"], [[name, f"{size:,}"] for name, size in result["binary_bytes"].items()])


def main():
    arguments = parse_arguments()
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        return "needs two cores: one for the server, one for the load"
    for program in (arguments.build / "bench" / "nothing", arguments.build / "bench" / "load"):
        if not program.exists():
            return f"{program} is not there: build first"
    try:
        result = measure(arguments)
    except WrongAnswer as problem:
        return str(problem)
    if arguments.json:
        print(json.dumps(result, indent=1))
        return 0
    print("Load average before: " + ", ".join(f"{number:.1f}" for number in result["load_average"]) + "\n")
    for name in [DIKASTES] + [OTHER] * bool(arguments.against):
        print_cases(result, name)
    print_others(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
