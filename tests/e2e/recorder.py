"""Clients that record a history of what they asked and were told, for `ringraft-sim check --model kv`.

What ringraft-kv's answers mean (the three answers of ringraft/errc.h, as kv/reports.cc words them):

  -UNKNOWN, a broken connection, no answer in time   may have been executed, or be so later: recorded without an answer,
                                                     and the client goes on under a number never used before
  -NOTLEADER, -CLUSTERDOWN, -BUSY, -ERR              certainly not executed: left out. If it was executed all the same,
                                                     the checker finds a value that was never written.
  everything else                                    executed: recorded with the bytes of the answer
"""
import collections
import itertools
import random
import threading
import time

from cluster import Client, RedisError

EPOCH = 400     # operations, after which the clients turn to fresh keys: a check of few operations a key is quick
OLD_KEYS = 0.1  # of all operations read keys of earlier times, so that they are not forgotten
KEYS = 3        # of each kind in use at a time
SILENCE = 2.0   # seconds beyond the service's own deadline after which a client gives up
REFUSALS = ('NOTLEADER', 'CLUSTERDOWN', 'BUSY', 'ERR')


class RawClient(Client):
    """Tells replies as the bytes they are."""

    def reply_bytes(self):
        line = self.file.readline()
        if not line.endswith(b'\r\n'):
            raise ConnectionError('the server closed the connection')
        if line[:1] != b'$' or line == b'$-1\r\n':
            return line
        data = self.file.read(int(line[1:-2]) + 2)
        if not data.endswith(b'\r\n'):
            raise ConnectionError('the server closed the connection')
        return line + data


class History:
    """Everything that all clients did. Its methods are called by any of them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.lines = []      # (client, invoked, returned, command, answer); None where it is unknown
        self.refused = collections.Counter()  # by the error's first word
        self.successes = []  # (invoked, returned) of each operation with an answer, in the order of their returns
        self.numbers = itertools.count(1)
        self.begun = time.monotonic_ns()

    def new_client(self):
        with self.lock:
            return next(self.numbers)

    def add(self, client, invoked, words, answer):
        """Of the right time, because it takes that of the return itself."""
        with self.lock:
            returned = time.monotonic_ns() if answer is not None else None
            self.lines.append((client, invoked, returned, ' '.join(words).encode(), answer))
            if answer is not None:
                self.successes.append((invoked, returned))

    def refuse(self, code):
        with self.lock:
            self.refused[code] += 1

    def epoch(self):
        return len(self.lines) // EPOCH

    def unknown(self):
        with self.lock:
            return sum(1 for line in self.lines if line[2] is None)

    def first_success_after(self, moment):
        """When the first operation that was sent after `moment` was answered; None if there is none yet."""
        with self.lock:
            recent = self.successes[-2000:]
        return min((returned for invoked, returned in recent if invoked > moment), default=None)

    def longest_silence(self):
        """Seconds without any success, and how long after the beginning they began."""
        moments = [self.begun, *(returned for _, returned in self.successes), time.monotonic_ns()]
        gap, since = max((b - a, a) for a, b in zip(moments, moments[1:]))
        return gap / 1e9, (since - self.begun) / 1e9

    def write(self, path):
        """As checker/history.h describes. The words of commands are plain, so a blank between them encodes them."""
        with self.lock, open(path, 'w') as file:
            for client, invoked, returned, command, answer in self.lines:
                if returned is None:
                    file.write(f'{client} {invoked} - {command.hex()} -\n')
                else:
                    file.write(f'{client} {invoked} {returned} {command.hex()} {answer.hex()}\n')


class Recorder(threading.Thread):
    """One client: at one node for a while, then at another."""

    def __init__(self, load, seed):
        super().__init__(daemon=True)
        self.load = load
        self.random = random.Random(seed)
        self.number = load.history.new_client()
        self.count = 0   # makes each value unique, with `number`
        self.seen = {}   # key -> the value last read
        self.client = None
        self.failure = None

    def run(self):
        try:
            while not self.load.stopping.is_set():
                if not self.load.running.is_set():
                    self.load.idle(self)
                elif self.client is None:
                    self.connect()
                else:
                    self.step(self.next_operation())
                    time.sleep(self.random.random() * 2 * self.load.pause)
        except Exception as error:  # told by Load.check, on the main thread
            self.failure = error

    def connect(self):
        node = self.random.choice(self.load.nodes)
        try:
            self.client = RawClient(node.port, 1.0, node.host, self.load.source)
            self.client.socket.settimeout(self.load.deadline + SILENCE)
        except OSError:
            time.sleep(0.05)

    def drop(self):
        self.client.close()
        self.client = None

    def step(self, words):
        invoked = time.monotonic_ns()
        try:
            self.client.send(*words)
            answer = self.client.reply_bytes()
        except OSError:
            answer = b'-UNKNOWN'
            self.drop()
        if not answer.startswith(b'-'):
            self.load.history.add(self.number, invoked, words, answer)
            if words[0] == 'GET' and answer != b'$-1\r\n':
                self.seen[words[1]] = answer.split(b'\r\n')[1].decode()
            if self.random.random() < 0.002:
                self.drop()
            return
        code = answer[1:].decode(errors='replace').split(' ', 1)[0].strip()
        if code == 'UNKNOWN':
            self.load.history.add(self.number, invoked, words, None)
            self.number = self.load.history.new_client()
        else:
            assert code in REFUSALS, f'an unexpected error: {answer!r}'
            self.load.history.refuse(code)
        if self.client is not None:  # another node may know better
            self.drop()

    def next_operation(self):
        epoch = self.load.history.epoch()
        kind = self.random.choice((self.text_operation, self.counter_operation, self.list_operation))
        name = {'text_operation': 't', 'counter_operation': 'n', 'list_operation': 'l'}[kind.__name__]
        if epoch > 0 and self.random.random() < OLD_KEYS:
            return ['GET', f'{name}{self.random.randrange(epoch)}.{self.random.randrange(KEYS)}']
        return kind(f'{name}{epoch}.{self.random.randrange(KEYS)}')

    def value(self):
        self.count += 1
        return f'{self.number}:{self.count}'

    def text_operation(self, key):
        draw = self.random.randrange(100)
        if draw < 40:
            return ['GET', key]
        if draw < 60:
            return ['SET', key, self.value()]
        if draw < 70:
            return ['SET', key, self.value(), 'GET']
        if draw < 80 and key in self.seen:
            return ['SET', key, self.value(), 'IFEQ', self.seen[key]]
        if draw < 90:
            return ['SET', key, self.value(), self.random.choice(('NX', 'XX'))]
        return [self.random.choice(('DEL', 'GETDEL', 'EXISTS', 'STRLEN')), key]

    def counter_operation(self, key):
        draw = self.random.randrange(100)
        if draw < 30:
            return ['GET', key]
        if draw < 60:
            return [self.random.choice(('INCR', 'DECR')), key]
        return [self.random.choice(('INCRBY', 'DECRBY')), key, str(self.random.randrange(2, 1000))]

    def list_operation(self, key):
        return ['GET', key] if self.random.randrange(100) < 40 else ['APPEND', key, self.value() + ',']


class Load:
    """Several recorders at once. `pause` is the mean time between an answer and the next operation."""

    def __init__(self, nodes, clients, deadline, pause, seed, source=None):
        self.nodes = nodes
        self.deadline, self.pause, self.source = deadline, pause, source
        self.history = History()
        self.running, self.stopping = threading.Event(), threading.Event()
        self.running.set()
        self.idlers, self.changed = set(), threading.Condition()
        self.recorders = [Recorder(self, f'{seed}/{i}') for i in range(clients)]

    def __enter__(self):
        for recorder in self.recorders:
            recorder.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.running.set()
        for recorder in self.recorders:
            recorder.join(timeout=60)

    def idle(self, recorder):
        with self.changed:
            self.idlers.add(recorder)
            self.changed.notify_all()
        self.running.wait()
        with self.changed:
            self.idlers.discard(recorder)

    def rest(self):
        """Returns when no operation is under way, and none begins before `go_on`."""
        self.running.clear()
        with self.changed:
            def all_idle():
                return self.idlers >= {r for r in self.recorders if r.is_alive()}
            assert self.changed.wait_for(all_idle, timeout=120), 'a client does not come to rest'
        self.check()

    def go_on(self):
        self.running.set()

    def check(self):
        for recorder in self.recorders:
            if recorder.failure is not None:
                raise recorder.failure

    def read_everything(self, node):
        """A last look at every key that was ever used, with the clients at rest: what was acknowledged long ago must be
        there still. Pipelined, so each read is one of a client of its own."""
        names = sorted({line[3].split(b' ')[1].decode() for line in self.history.lines})
        with RawClient(node.port, 60.0, node.host) as client:
            for start in range(0, len(names), 100):
                reads = [['GET', name] for name in names[start:start + 100]]
                invoked = time.monotonic_ns()
                client.socket.sendall(b''.join(client.encode(*read) for read in reads))
                for read in reads:
                    answer = client.reply_bytes()
                    if answer.startswith(b'-'):
                        raise RedisError(answer[1:].decode())
                    self.history.add(self.history.new_client(), invoked, read, answer)
