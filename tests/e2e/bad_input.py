"""What bad input gets: one clear line and an exit code, or a closed connection, and a cluster that goes on."""
# hazards: C13
import ctypes
import os
import random
import shutil
import socket
import struct
import subprocess
import time

import cluster
from history import Load

USAGE, RUNTIME = 2, 1


def test(arguments):
    check_command_line(arguments.binary)
    with cluster.Cluster(arguments.binary) as c:
        c.start()
        with c.nodes[0].client() as client:
            assert client.command('SET', 'k', 'v') == b'OK'
        check_places(c)
        check_garbage(c)
        check_limits(c)
        check_directories(c)
    check_beginning(arguments.binary)
    check_first_start(arguments.binary)
    check_full_map(arguments.binary)
    check_no_io_uring(arguments.binary)


def refused(command, code, *words, **more):
    """The command ends with this exit code and one line on standard error that has all the words."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, **more)
    what = f'{command[1:]} ended with {ended.returncode} and said:\n{ended.stderr}'
    assert ended.returncode == code, what
    lines = [line for line in ended.stderr.splitlines() if line.startswith('ringraft-kv:')]
    assert len(lines) == 1, f'not one line: {what}'
    for word in words:
        assert word in lines[0], f'{word!r} is missing: {what}'
    print(lines[0])


def check_command_line(binary):
    good = {'--id': ['1'], '--data': ['/nonexistent/data'], '--listen': ['127.0.0.1:6401'],
            '--peer': ['1=127.0.0.1:7101', '2=127.0.0.1:7102']}

    def usage(change, *words):
        options = {**good, **change}
        pairs = [(name, value) for name, values in options.items() for value in values]
        refused([binary] + [word for pair in pairs for word in pair if word is not None], USAGE, *words)
    for peer in ('', 'x', '1', '1=', '=127.0.0.1:1', '0=127.0.0.1:1', '1=127.0.0.1', '1=127.0.0.1:0',
                 '1=127.0.0.1:65536', '1=:7101',
                 '-1=127.0.0.1:7101', '1=::1:7101', '1=127.0.0.1:7101,2=127.0.0.1:7102'):
        usage({'--peer': [peer]}, '--peer' if peer else '')
    usage({'--peer': ['1=127.0.0.1:7101', '1=127.0.0.1:7102']}, 'ID 1 twice')
    usage({'--peer': ['1=127.0.0.1:7101', '2=127.0.0.1:7101']}, '127.0.0.1:7101 twice')
    usage({'--id': ['3']}, '--id 3', '--peer 3=')
    for number in ('0', 'x', '-1', '010', ''):
        usage({'--id': [number]}, f"invalid --id '{number}'")
    usage({'--listen': ['nowhere']}, '--listen', 'nowhere')
    usage({'--listen': ['127.0.0.1:7101']}, '--listen', '127.0.0.1:7101')
    usage({'--bootstrap': [None]}, '--bootstrap')
    usage({'--peer': []}, '--addr')
    usage({'--peer': [], '--join': [None]}, '--addr')
    usage({'--join': [None]}, '--join', '--peer')
    alone = {'--peer': [], '--addr': ['127.0.0.1:7101']}
    usage({**alone, '--join': [None], '--bootstrap': [None]}, '--join', '--bootstrap')
    usage({**alone, '--bootstrap': [None], '--cluster': ['orders']}, '--bootstrap', '--cluster orders', 'a random')
    usage(alone, '/nonexistent/data', '--join', '--bootstrap', '--peer')
    usage({'--addr': ['127.0.0.1:7109']}, '--addr')
    usage({'--election-timeout': ['500-300']}, 'election_timeout')
    usage({'--election-timeout': ['fast']}, '--election-timeout', 'fast')
    usage({'--heartbeat': ['1000']}, 'heartbeat')
    usage({'--deadline-ms': ['0']}, '--deadline-ms')
    usage({'--log-level': ['loud']}, '--log-level', 'loud')
    usage({'--nonsense': ['1']}, '--nonsense')
    refused([binary], USAGE, 'required')
    for flag in ('--version', '--help'):
        told = subprocess.run([binary, flag], capture_output=True, text=True, timeout=30)
        assert told.returncode == 0 and 'ringraft-kv' in told.stdout, told


def arguments_of(node, **changes):
    """The node's command line with other values."""
    words = node.arguments()
    for name, value in changes.items():
        words[words.index('--' + name) + 1] = value
    return words


def check_places(c):
    """Ports and directories that are taken, or that no process can use."""
    node = c.nodes[0]
    fresh = os.path.join(c.directory, 'fresh')
    refused(arguments_of(node, data=fresh, listen=f'127.0.0.1:{cluster.free_port()}'), RUNTIME, node.addr, 'in use')
    shutil.rmtree(fresh)
    other = f'127.0.0.1:{node.port}'
    refused([c.binary, '--id', '1', '--data', fresh, '--listen', other, '--bootstrap', '--addr',
             f'127.0.0.1:{cluster.free_port()}'], RUNTIME, other, 'in use')
    refused(arguments_of(node, listen=f'127.0.0.1:{cluster.free_port()}'), RUNTIME, node.data, str(node.process.pid))
    refused(arguments_of(node, data='/nonexistent/parent/data'), RUNTIME, '/nonexistent/parent/data')
    refused(arguments_of(node, data='/proc/data'), RUNTIME, '/proc/data')
    file = os.path.join(c.directory, 'file')
    open(file, 'w').close()
    refused(arguments_of(node, data=file), RUNTIME, file)
    if os.getuid() != 0:  # root may write everywhere
        closed = os.path.join(c.directory, 'closed')
        os.mkdir(closed, 0o500)
        refused(arguments_of(node, data=closed), RUNTIME, closed)


def check_garbage(c):
    """Garbage on either port closes that connection. The cluster does not notice."""
    leader = c.wait_leader()
    term = leader.info()['term']
    noise = random.Random(1)
    with Load(c.nodes, writers=3) as load:
        begun = time.monotonic()
        for node in c.nodes:
            for port in (node.peer_port, node.port):
                for data in (noise.randbytes(100), noise.randbytes(100000), b'\x00' * 64, b'\xff' * 64,
                             struct.pack('<II', 0xffffffff, 0xffffffff), struct.pack('<II', 0, 8) + b'\x00' * 64,
                             b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'*1\r\n$536870913\r\n', b'*1000000000\r\n'):
                    with socket.create_connection(('127.0.0.1', port), timeout=20) as s:
                        try:
                            s.sendall(data)
                            s.shutdown(socket.SHUT_WR)
                            while s.recv(65536):
                                pass
                        except OSError as error:
                            assert not isinstance(error, TimeoutError), f'port {port} keeps a connection after garbage'
        cluster.wait_for(lambda: load.first_success_after(time.monotonic() - 0.2) and time.monotonic() > begun + 1,
                         'writes to go on')
    assert load.count('acknowledged') == sum(len(w.outcomes) for w in load.writers), 'a client saw an error'
    assert c.wait_leader() is leader and leader.info()['term'] == term, 'garbage changed the leader'
    for node in c.nodes:
        load.check(node)

    for data, text in [(b'\x16\x03\x01\x02\x00', b'byte 0x16'), (b'*1\r\n:1\r\n', b"expected '$', got ':'"),
                       (b'*x\r\n', b'invalid multibulk length'), (b'*1\r\n$x\r\n', b'invalid bulk length'),
                       (b'*1\r\n$536870913\r\n', b'invalid bulk length'), (b'x' * 70000, b'too big inline request'),
                       (b'set "a\r\n', b'unbalanced quotes in request'), (b'POST / HTTP/1.1\r\n', b'HTTP')]:
        with socket.create_connection(('127.0.0.1', leader.port), timeout=20) as s:
            s.sendall(b'PING\r\n' + data)
            answer = b''
            while piece := s.recv(65536):  # until it is closed
                answer += piece
            assert answer.startswith(b'+PONG\r\n-ERR Protocol error: ') and text in answer, (data[:50], answer)


def check_limits(c):
    """A command over 1 MiB is refused, with both numbers, and the connection goes on; far over that it is closed."""
    for node in c.nodes:
        with node.client(30.0) as client:
            for command in (('SET', 'big', b'x' * (1 << 20)), ('MSET', 'small', 1, 'big', b'x' * (2 << 20))):
                try:
                    client.command(*command)
                    raise AssertionError('a command over the limit was accepted')
                except cluster.RedisError as error:
                    assert 'at most 1048576' in str(error), error
            assert client.command('EXISTS', 'big', 'small') == 0
            assert client.command('SET', 'big', b'x' * ((1 << 20) - 100)) == b'OK'
            assert client.command('DEL', 'big') == 1
            try:
                client.command('SET', 'big', b'x' * (8 << 20))
                raise AssertionError('a request far over the limit was accepted')
            except (cluster.RedisError, ConnectionError) as error:
                assert 'limit' in str(error) or isinstance(error, ConnectionError), error


def check_directories(c):
    """A stopped node's directory, moved, copied, or damaged, is refused by name; put back, it is taken."""
    node, other = c.nodes[2], c.nodes[1]
    assert node.terminate() == 0
    kept = node.data + '.kept'
    shutil.copytree(node.data, kept)

    def restore():
        shutil.rmtree(node.data)
        shutil.copytree(kept, node.data)

    other_code = other.terminate()
    assert other_code == 0
    refused(arguments_of(other, data=node.data), RUNTIME, node.data, 'node 3')
    refused(arguments_of(node) + ['--cluster', 'another'], RUNTIME, node.data, 'cluster')
    restore()
    other.start()
    other.wait_ready()

    database = os.path.join(node.data, 'ringraft.mdb')
    size = os.path.getsize(database)

    def content():
        files = [f for f in os.listdir(node.data) if 'lock' not in f.lower()]
        return sorted((f, os.path.getsize(os.path.join(node.data, f))) for f in files)

    def damage(change):
        change()
        before = content()
        refused(arguments_of(node), RUNTIME, node.data)
        after = content()
        assert before == after, f'a refused directory was changed from {before} to {after}'
        restore()

    def zero(start, end):
        with open(database, 'r+b') as file:
            file.seek(start)
            file.write(b'\x00' * (end - start))
    damage(lambda: os.remove(database))
    for length in (0, 1, 4096, 8191, 8192, size // 2 // 4096 * 4096):
        damage(lambda: os.truncate(database, length))
    damage(lambda: zero(0, size))
    damage(lambda: zero(0, 8192))
    damage(lambda: zero(0, 4096))
    node.start()
    node.wait_ready()
    c.wait_caught_up(node)


def check_beginning(binary):
    """A node without a log has to be told how it comes to a cluster. One that has a log knows."""
    with cluster.Cluster(binary, size=2, growing=True) as c:
        first, second = c.nodes

        def untold(node):
            return [word for word in node.arguments() if word not in ('--join', '--bootstrap')]
        remedies = (second.data, '--join', '--bootstrap', '--peer')
        refused(untold(second), USAGE, *remedies)
        assert not os.path.exists(second.data), 'a refused start has made a directory'
        os.mkdir(second.data)
        refused(untold(second), USAGE, *remedies)
        assert not os.listdir(second.data), 'a refused start has left something in a directory'
        second.start()
        second.wait_ready()
        assert second.terminate() == 0
        refused(untold(second), USAGE, *remedies)  # it has waited, and was never added

        first.start()
        second.start()
        second.wait_ready()
        c.wait_leader([first])
        with first.client(30.0) as client:
            assert client.command('SET', 'k', 1) == b'OK'  # so the leader has committed an entry of its term
            assert client.command('RAFT', 'ADD', second.id, second.addr) == b'OK'
        for is_told in (True, False):  # the same command lines again, then some that say nothing
            for node in c.nodes:
                assert node.terminate() == 0
                if not is_told:
                    node.arguments = lambda words=untold(node): words
            leader = c.start()
            assert leader.info()['members'] == '2', leader.info()


def check_first_start(binary):
    """A first start that is cut short anywhere is completed by the next."""
    with cluster.Cluster(binary, growing=True) as c:
        node = c.nodes[0]
        for i in range(30):
            node.start()
            # Not a wait for something: a moment to be killed in, a little later each time.
            time.sleep(i * 0.001)
            node.kill()
            node.start()
            c.wait_leader([node])
            with node.client() as client:
                assert client.command('SET', 'k', i) == b'OK'
            node.kill()
            shutil.rmtree(node.data)
        os.mkdir(node.data)
        with open(os.path.join(node.data, 'ringraft.mdb.new'), 'wb') as file:
            file.write(b'half')
        node.start()
        c.wait_leader([node])


def check_full_map(binary):
    """A node whose database is full says so and ends; the others go on."""
    with cluster.Cluster(binary) as c:
        full = c.nodes[2]
        full.extra = ['--max-bytes', '8MB']
        c.start()
        with c.nodes[0].client(30.0) as client:
            for i in range(40):
                try:
                    client.command('SET', 'k', b'x' * 500000)
                except cluster.RedisError as error:
                    assert error.code == 'UNKNOWN', error
            cluster.wait_for(lambda: full.process.poll() is not None, 'the full node to end')
            assert full.process.returncode == RUNTIME, full.process.returncode
            full.process = None
            line = [line for line in full.log().splitlines() if line.startswith('ringraft-kv:')][-1]
            assert 'max_bytes' in line and full.data in line, line
            print(line)
            c.wait_leader(c.nodes[:2])
            assert client.command('SET', 'after', 1) == b'OK'


def check_no_io_uring(binary):
    """A kernel or container that refuses io_uring."""
    # A seccomp filter: EPERM for io_uring_setup (425 on every architecture), everything else is allowed.
    program = b''.join(struct.pack('HBBI', *instruction) for instruction in (
        (0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)))

    def forbid():
        buffer = ctypes.create_string_buffer(program)
        header = struct.pack('HxxxxxxP', len(program) // 8, ctypes.addressof(buffer))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, ctypes.c_char_p(header), 0, 0) == 0, 'prctl'
    with cluster.Cluster(binary, growing=True) as c:
        refused(c.nodes[0].arguments(), RUNTIME, 'io_uring', preexec_fn=forbid)


cluster.run(test, limit=180)
