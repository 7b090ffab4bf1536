"""Clients that write without pause and remember every answer, and the check that nothing acknowledged was lost,
applied twice or reordered.

Each client takes turns: `SET unique-key value NX`, and `APPEND list "n,"`. An answer is one of three:
acknowledged (must be there, once), refused (must not be there), unknown (may be there, at most once; that is what
-UNKNOWN and a broken connection mean).
"""
import collections
import random
import threading
import time

import cluster
from cluster import Client, RedisError

ACKNOWLEDGED, REFUSED, UNKNOWN = 'acknowledged', 'refused', 'unknown'
REFUSALS = ('CLUSTERDOWN', 'NOTLEADER', 'BUSY', 'ERR')
LIST_LENGTH = 5000  # entries of one list, so that no value comes near the limit of its size


class Writer(threading.Thread):
    """One client: at one node as long as that answers, then at another."""

    def __init__(self, number, ports, pause=0.001):
        super().__init__(daemon=True)
        self.number = number
        self.ports = ports
        self.pause = pause
        self.random = random.Random(number)
        self.stopping = threading.Event()
        self.outcomes = []      # of operation n, in order
        self.acknowledged = []  # (sent, answered) on the monotonic clock
        self.errors = collections.Counter()  # error replies, by their first word
        self.failure = None
        self.client = self.port = None
        self.next_port = None  # where it is to go; None: it stays, or goes anywhere

    def operation(self, n):
        if n % 2 == 0:
            return ('SET', f'key:{self.number}:{n}', str(n), 'NX')
        return ('APPEND', self.list_name(n), f'{n},')

    def list_name(self, n):
        return f'list:{self.number}:{n // LIST_LENGTH}'

    def run(self):
        try:
            while not self.stopping.is_set():
                self.step(len(self.outcomes))
                time.sleep(self.pause)
        except Exception as error:  # told by check(), on the main thread
            self.failure = error

    def step(self, n):
        if self.client is not None and self.next_port is not None:
            self.drop()
        if self.client is None:
            self.port, self.next_port = self.next_port or self.random.choice(self.ports), None
            try:
                self.client = Client(self.port, timeout=8.0)
            except OSError:
                time.sleep(0.02)
                return
        sent = time.monotonic()
        try:
            reply = self.client.command(*self.operation(n))
            self.outcomes.append(ACKNOWLEDGED)
            self.acknowledged.append((sent, time.monotonic()))
            assert reply is not None, f'{self.operation(n)} was applied twice: the answer is that the key exists'
        except RedisError as error:
            assert error.code == 'UNKNOWN' or error.code in REFUSALS, f'an unexpected error: {error}'
            self.errors[error.code] += 1
            self.outcomes.append(UNKNOWN if error.code == 'UNKNOWN' else REFUSED)
        except OSError:
            self.outcomes.append(UNKNOWN)
            self.drop()

    def drop(self):
        self.client.close()
        self.client = None


class Load:
    """Several writers at once."""

    def __init__(self, nodes, writers=6, pause=0.001):
        self.writers = [Writer(i, [n.port for n in nodes], pause) for i in range(writers)]

    def __enter__(self):
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for writer in self.writers:
            writer.stopping.set()
        for writer in self.writers:
            writer.join(timeout=30)
            assert not writer.is_alive(), 'a client waits for its answer for more than 30 s'

    def use(self, nodes):
        """The clients go to these nodes, evenly, and have ended what they had asked others."""
        ports = [n.port for n in nodes]
        for writer in self.writers:
            writer.ports, writer.next_port = ports, ports[writer.number % len(ports)]
        cluster.wait_for(lambda: all(w.next_port is None or not w.is_alive() for w in self.writers), 'clients to move')

    def errors(self):
        return sum((w.errors for w in self.writers), collections.Counter())

    def longest_pause(self, begin, end):
        """Between two acknowledgements, of any client: (its begin, its end)."""
        times = sorted(a for w in self.writers for _, a in w.acknowledged if begin <= a <= end)
        return max(zip(times, times[1:]), key=lambda pair: pair[1] - pair[0])

    def count(self, outcome):
        return sum(w.outcomes.count(outcome) for w in self.writers)

    def wait_for_writes(self, more, timeout=60.0):
        """Until `more` further writes have been acknowledged, so that what follows happens under load."""
        def acknowledged():
            return [len(w.acknowledged) for w in self.writers]
        goal = sum(acknowledged()) + more
        cluster.wait_for(lambda: sum(acknowledged()) >= goal, f'{more} more acknowledged writes', timeout)

    def first_success_after(self, moment):
        """When the first operation was answered that was sent after `moment`; None if there is none yet."""
        answered = [a for w in self.writers for s, a in w.acknowledged[-2000:] if s > moment]
        return min(answered, default=None)

    def check(self, node):
        """After `stop`: compares what `node` answers with what the clients were told."""
        for writer in self.writers:
            if writer.failure is not None:
                raise writer.failure
            with node.client(60.0) as client:
                check_keys(writer, client)
                check_lists(writer, client)


def check_keys(writer, client):
    for start in range(0, len(writer.outcomes), 1000):
        numbers = range(start, min(start + 1000, len(writer.outcomes)), 2)
        values = client.command('MGET', *(f'key:{writer.number}:{n}' for n in numbers))
        for n, value in zip(numbers, values):
            what = f'key:{writer.number}:{n}, {writer.outcomes[n]}, is {value!r}'
            assert value in (None, str(n).encode()), f'a wrong value: {what}'
            assert not (value is None and writer.outcomes[n] == ACKNOWLEDGED), f'an acknowledged write is lost: {what}'
            assert not (value is not None and writer.outcomes[n] == REFUSED), f'a refused write is there: {what}'


def check_lists(writer, client):
    for start in range(0, len(writer.outcomes), LIST_LENGTH):
        name = writer.list_name(start)
        text = (client.command('GET', name) or b'').decode()
        entries = [int(word) for word in text.split(',')[:-1]]
        assert len(entries) == len(set(entries)), f'{name} has an entry twice'
        places = {n: place for place, n in enumerate(entries)}
        last = -1  # the place of the last acknowledged entry
        for n in range(start, min(start + LIST_LENGTH, len(writer.outcomes))):
            if n % 2 == 0:
                continue
            outcome, place = writer.outcomes[n], places.pop(n, None)
            what = f'entry {n} of {name}, {outcome}'
            assert not (place is None and outcome == ACKNOWLEDGED), f'an acknowledged write is lost: {what}'
            assert not (place is not None and outcome == REFUSED), f'a refused write is there: {what}'
            # It was sent after all earlier ones had been acknowledged.
            assert place is None or place > last, f'out of order: {what}'
            if outcome == ACKNOWLEDGED:
                last = place
        assert not places, f'{name} has entries that were never written: {sorted(places)}'
