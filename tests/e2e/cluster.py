"""Clusters of real ringraft-kv processes, on free loopback ports unless a test moves them, and a small Redis client.

Every wait is a wait for a condition, with a bound and a message. Directories and logs live in a temporary
directory; when a test fails, the ends of the logs are printed.
"""
import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

SKIPPED = 77  # the exit code by which meson knows a skipped test
# Of a change of the members that is refused, and may be tried again (Errc::kNoQuorum).
NO_QUORUM = 'majority of the voters that the change would leave'


class RedisError(Exception):
    """An error reply. `code` is its first word: ERR, UNKNOWN, CLUSTERDOWN, ..."""

    def __init__(self, text):
        super().__init__(text)
        self.code = text.split(' ', 1)[0]


class Client:
    """One connection. Replies are bytes, int, None, list, dict; errors are raised, or returned within lists."""

    def __init__(self, port, timeout=10.0, host='127.0.0.1', source=None):
        self.socket = socket.create_connection((host, port), timeout=timeout, source_address=source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile('rb')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    @staticmethod
    def encode(*args):
        words = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        return b'*%d\r\n' % len(words) + b''.join(b'$%d\r\n%s\r\n' % (len(w), w) for w in words)

    def send(self, *args):
        self.socket.sendall(self.encode(*args))

    def command(self, *args):
        self.send(*args)
        return self.reply()

    def pipeline(self, commands):
        """All replies in order; errors stand among them."""
        self.socket.sendall(b''.join(self.encode(*c) for c in commands))
        return [self._read() for _ in commands]

    def reply(self):
        value = self._read()
        if isinstance(value, RedisError):
            raise value
        return value

    def at_end(self):
        """Has the server closed the connection?"""
        try:
            return self.file.read(1) == b''
        except ConnectionError:
            return True

    def _read(self):
        line = self.file.readline()
        if not line.endswith(b'\r\n'):
            raise ConnectionError('the server closed the connection')
        kind, rest = line[:1], line[1:-2]
        if kind == b'+':
            return rest
        if kind == b'-':
            return RedisError(rest.decode(errors='replace'))
        if kind == b':':
            return int(rest)
        if kind == b'_':
            return None
        if kind in b'$=':
            size = int(rest)
            if size < 0:
                return None
            data = self.file.read(size + 2)
            if len(data) != size + 2:
                raise ConnectionError('the server closed the connection')
            return data[4:-2] if kind == b'=' else data[:-2]
        if kind == b'*':
            return None if int(rest) < 0 else [self._read() for _ in range(int(rest))]
        if kind == b'%':
            return {self._read(): self._read() for _ in range(int(rest))}
        raise AssertionError(f'a reply of unknown type: {line!r}')


def wait_for(condition, what, timeout=20.0):
    """Returns the first true value of `condition`. Connections that fail count as false."""
    end = time.monotonic() + timeout
    while True:
        try:
            value = condition()
        except (OSError, RedisError):
            value = None
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'waited {timeout:g} s in vain: {what}')
        time.sleep(0.01)


_given_ports = set()


def free_port():
    """A port below the ephemeral range, so that no outgoing connection takes it before its server does."""
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        if port in _given_ports:
            continue
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port))
            except OSError:
                continue
        _given_ports.add(port)
        return port


class Node:
    def __init__(self, cluster, node_id):
        self.cluster = cluster
        self.binary = cluster.binary
        self.id = node_id
        self.host = '127.0.0.1'
        self.peer_port = free_port()
        self.port = free_port()
        self.data = os.path.join(cluster.directory, f'data{node_id}')
        self.log_path = os.path.join(cluster.directory, f'node{node_id}.log')
        self.process = None
        self.extra = []  # more arguments
        self.env = {}

    @property
    def addr(self):
        return f'{self.host}:{self.peer_port}'

    def arguments(self):
        members = self.cluster.member_arguments(self)
        return [self.binary, '--id', str(self.id), '--data', self.data, '--listen', f'{self.host}:{self.port}',
                *members, *self.extra]

    def start(self):
        assert self.process is None, f'node {self.id} runs already'
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.arguments(), stderr=log, env={**os.environ, **self.env})

    def wait_ready(self, timeout=20.0):
        def ready():
            code = self.process.poll()
            assert code is None, f'node {self.id} ended with {code}: ' + self.log().rstrip().rsplit('\n', 1)[-1]
            with self.client() as c:
                return c.command('PING') == b'PONG'
        wait_for(ready, f'node {self.id} to answer PING', timeout)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(timeout=20)
        self.process = None

    def terminate(self, timeout=20.0):
        """SIGTERM; its exit code."""
        self.process.terminate()
        code = self.process.wait(timeout=timeout)
        self.process = None
        return code

    def client(self, timeout=10.0):
        return Client(self.port, timeout, self.host)

    def info(self):
        """INFO as a dictionary of texts."""
        with self.client(2.0) as c:
            lines = c.command('INFO').decode().split('\r\n')
        return dict(line.split(':', 1) for line in lines if ':' in line)

    def log(self):
        with open(self.log_path, errors='replace') as log:
            return log.read()


class Cluster:
    """A fixed cluster of `size` nodes, or a growing one that begins with node 1."""

    def __init__(self, binary, size=3, growing=False, extra=()):
        self.binary = binary
        self.directory = tempfile.mkdtemp(prefix='ringraft-e2e-')
        self.growing = growing
        self.nodes = [Node(self, i + 1) for i in range(size)]
        for node in self.nodes:
            node.extra = list(extra)

    def member_arguments(self, node):
        if self.growing:
            return ['--addr', node.addr] + ['--bootstrap' if node.id == 1 else '--join']
        return [word for other in self.nodes for word in ('--peer', f'{other.id}={other.addr}')]

    def __enter__(self):
        return self

    def __exit__(self, error_type, *_):
        for node in self.nodes:
            if node.process is not None:
                node.process.send_signal(signal.SIGCONT)
                node.kill()
        if error_type is not None and error_type is not Skip:
            for node in self.nodes:
                if os.path.exists(node.log_path):
                    print(f'--- the end of the log of node {node.id}:\n' + node.log()[-3000:], flush=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self):
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready()
        return self.wait_leader()

    def running(self):
        return [n for n in self.nodes if n.process is not None]

    def wait_leader(self, among=None, timeout=20.0):
        """The node that leads, and that a majority of those asked follows."""
        nodes = among or self.running()

        def leader():
            infos = {n: n.info() for n in nodes}
            leaders = [n for n in nodes if infos[n]['role'] == 'leader']
            if len(leaders) != 1:
                return None
            return leaders[0] if all(infos[n]['leader'] == str(leaders[0].id) for n in nodes) else None
        return wait_for(leader, f'one leader that nodes {[n.id for n in nodes]} agree on', timeout)

    def make_leader(self, node, among=None):
        """What is read through a leader is what it has applied itself; the others ask it."""
        def leads():
            leader = self.wait_leader(among)
            if leader is not node:
                with leader.client() as client:
                    client.command('RAFT', 'TRANSFER', node.id)
            return leader is node
        wait_for(leads, f'node {node.id} to lead')

    def wait_caught_up(self, node, timeout=60.0):
        """Until `node` has applied all that the leader had committed when this was called."""
        leader = self.wait_leader([n for n in self.running() if n is not node])
        goal = int(leader.info()['commit_index'])
        wait_for(lambda: int(node.info()['applied_index']) >= goal, f'node {node.id} to apply up to {goal}', timeout)


class Skip(Exception):
    """Raised by a test that cannot run here, with the reason."""


def run(test, options=(), limit=120):
    """Runs `test(arguments)` as a program that ends within `limit` seconds: exit code 0, 1, or 77 if skipped.

    `options` are (name, default, help); a default of False makes a flag. --limit overrides the limit. With
    RINGRAFT_TEST_SHORT in the environment, as sanitized builds are tested, integer defaults are a fifth, and the
    slower programs have three times as long.
    """
    short = bool(os.environ.get('RINGRAFT_TEST_SHORT'))
    if short:
        limit = min(580, 3 * limit)
    parser = argparse.ArgumentParser(description=test.__doc__ or sys.modules['__main__'].__doc__)
    parser.add_argument('binary', help='the ringraft-kv to test')
    parser.add_argument('--limit', type=int, default=limit, help='seconds after which the test fails')
    for name, default, text in options:
        if short and type(default) is int:
            default = max(1, default // 5)
        if default is False:
            parser.add_argument(name, action='store_true', help=text)
        else:
            parser.add_argument(name, type=type(default), default=default, help=text)
    arguments = parser.parse_args()
    arguments.binary = os.path.abspath(arguments.binary)

    def too_long(*_):
        raise AssertionError(f'the test took longer than {arguments.limit} s')
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(arguments.limit)
    try:
        test(arguments)
    except Skip as skip:
        print(f'skipped: {skip}')
        sys.exit(SKIPPED)
    except BaseException:  # also KeyboardInterrupt: threads must not keep the process
        traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
    print('passed')
