"""What the Python client suites share: named checks with a time limit, sample records, group members.

A suite is a list of checks run in order; each prints one line, and the last line of the output is
`N passed, N failed`. The exit status is 0 only when nothing failed.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import uuid

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
CHECK_SECONDS_MAX = 45
SESSION_TIMEOUT_MS = 6000
HEARTBEAT_INTERVAL_MS = 500
# A dead member is noticed when its session ends; then the others rejoin.
REBALANCE_SECONDS_MAX = 30


class CheckTimeout(Exception):
    pass


class Suite:
    def __init__(self, name):
        self.name = name
        self.checks = []

    def check(self, name, *args):
        """Registers a function as a check; with `args`, as a check called with these."""

        def register(function):
            self.checks.append((name, lambda context: function(context, *args)))
            return function

        return register

    def run(self, context, only=None):
        passed = failed = 0
        for name, function in self.checks:
            if only and only not in name:
                continue
            started = time.monotonic()
            try:
                with time_limit(CHECK_SECONDS_MAX):
                    function(context)
            except Exception as error:
                failed += 1
                print_frames(error)
                print(f"FAIL {self.name}: {name}: {type(error).__name__}: {error}", flush=True)
            else:
                passed += 1
                print(f"ok   {self.name}: {name} ({time.monotonic() - started:.1f} s)", flush=True)
        print(f"{passed} passed, {failed} failed", flush=True)
        # Client libraries keep threads that may block the interpreter's exit.
        os._exit(0 if failed == 0 and passed > 0 else 1)


def print_frames(error):
    """The frames of the check, and the one that raised; the client's and the loop's in between say little."""
    frames = traceback.extract_tb(error.__traceback__)
    here = os.path.dirname(os.path.abspath(__file__))
    for frame in frames:
        if frame is frames[-1] or os.path.dirname(frame.filename) == here and frame.filename != __file__:
            print(f"     {os.path.basename(frame.filename)}:{frame.lineno} {frame.line}")


@contextlib.contextmanager
def time_limit(seconds):
    def expired(_signal, _frame):
        raise CheckTimeout(f"still running after {seconds} s")

    signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def equal(actual, expected, what="value"):
    if actual != expected:
        raise AssertionError(f"{what}: got {actual!r}, expected {expected!r}")


@contextlib.contextmanager
def raises(*kinds):
    """The block must raise one of `kinds`."""
    try:
        yield
    except kinds:
        return
    raise AssertionError(f"nothing was raised, expected {[kind.__name__ for kind in kinds]}")


def eventually(condition, what, seconds=15):
    """Polls until `condition()` is truthy and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def base_timestamp_ms():
    """An hour ago: young enough for retention, clearly not the time of the append."""
    return (int(time.time()) - 3600) * 1000


def sample_records(count, base_ms, tag=""):
    """(key, value, headers, timestamp) with every shape a record can have: no key, no value, empty, unicode."""
    records = []
    for i in range(count):
        key = None if i % 5 == 4 else f"key-{tag}{i}".encode()
        if i % 7 == 3 and key is not None:
            value = None
        elif i % 7 == 5:
            value = b""
        else:
            value = f"value-{tag}{i}-é-".encode() * (1 + i % 4 * 20)
        headers = [("index", str(i).encode()), ("twice", b"1"), ("twice", b"2"), ("empty", b"")] if i % 3 == 0 else []
        records.append((key, value, headers, base_ms + i * 10))
    return records


class Member:
    """A consumer group member in a process of its own, so that it can be killed like one.

    It prints `assigned 0,2` when its partitions change and `got PARTITION OFFSET` for each record;
    a closed standard input asks it to leave the group.
    """

    def __init__(self, program, arguments):
        self.assigned = set()
        self.got = set()
        self.log = []
        self.process = subprocess.Popen(
            [sys.executable, program, "member", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            words = line.split()
            self.log.append(line.rstrip())
            if words and words[0] == "assigned":
                self.assigned = {int(p) for p in words[1].split(",")} if len(words) > 1 else set()
            elif words and words[0] == "got":
                self.got.add((int(words[1]), int(words[2])))

    def leave(self):
        self.process.stdin.close()
        self.process.wait(15)
        self.assigned = set()

    def kill(self):
        self.process.kill()
        self.process.wait(5)
        self.assigned = set()


def wait_for_leave_request():
    """An event that is set when the parent closes our standard input."""
    leave = threading.Event()

    def wait():
        sys.stdin.read()
        leave.set()

    threading.Thread(target=wait, daemon=True).start()
    return leave


class AssignmentPrinter:
    """Prints a member's partitions whenever they differ from those printed before."""

    def __init__(self):
        self.last = None

    def update(self, partitions):
        partitions = sorted(partitions)
        if partitions != self.last:
            self.last = partitions
            print("assigned", ",".join(map(str, partitions)), flush=True)


def group_of_three(program, arguments, partitions, produce):
    """Three members share `partitions` partitions; one leaves, one is killed, the last one has them all.

    `produce(count)` appends `count` records to every partition and returns the set of (partition, offset).
    """
    everything = set(range(partitions))
    members = [Member(program, [*arguments, f"member-{i}"]) for i in range(3)]
    first, leaver, victim = members
    try:

        def shared_by(alive):
            parts = [m.assigned for m in alive]
            return all(parts) and sum(map(len, parts)) == partitions and set().union(*parts) == everything

        def consumed(records):
            return records <= set().union(*[m.got for m in members])

        def state():
            return [(m.process.poll(), m.log[-6:]) for m in members]

        def wait(condition, what):
            try:
                eventually(condition, what, REBALANCE_SECONDS_MAX)
            except AssertionError as error:
                raise AssertionError(f"{error}; members: {state()}") from None

        wait(lambda: shared_by(members), "three members share the partitions")
        records = produce(5)
        wait(lambda: consumed(records), "three members got every record")
        leaver.leave()
        wait(lambda: shared_by([first, victim]), "two members share the partitions after a leave")
        victim.kill()
        wait(lambda: first.assigned == everything, "one member has every partition after a death")
        records = produce(5)
        wait(lambda: records <= first.got, "the last member got every record")
        first.leave()
    finally:
        for member in members:
            if member.process.poll() is None:
                member.process.kill()


def static_members(program, arguments, partitions):
    """Two static members share the partitions; one restarts within its session and gets its own back.

    The other one sees no rebalance. The last argument that a member gets is its instance's name.
    """
    a = Member(program, [*arguments, "a"])
    b = Member(program, [*arguments, "b"])
    try:
        eventually(
            lambda: a.assigned and b.assigned and len(a.assigned) + len(b.assigned) == partitions,
            "both members have partitions",
            REBALANCE_SECONDS_MAX,
        )
        had, seen = b.assigned, len(a.log)
        b.leave()
        b = Member(program, [*arguments, "b"])
        eventually(lambda: b.assigned, "the restarted member has partitions", REBALANCE_SECONDS_MAX)
        equal(b.assigned, had, "partitions after the restart")
        equal(a.log[seen:], [], "what the other member saw")
    finally:
        a.kill()
        b.kill()


def main(suite, make_context, member=None):
    """`PROGRAM BOOTSTRAP [NAME PART]` runs the suite; `PROGRAM member …` is a group member."""
    if len(sys.argv) > 1 and sys.argv[1] == "member":
        member(*sys.argv[2:])
        return
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} BOOTSTRAP [PART OF A CHECK'S NAME]")
    suite.run(make_context(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
