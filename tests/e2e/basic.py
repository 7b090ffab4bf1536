"""Three processes: every command on every node, forwarding, INFO, ROLE, pipelining, binary-safe values, HELLO 3, and
SIGTERM."""
import os
import shutil
import subprocess

import cluster


def expect(client, command, reply):
    actual = client.command(*command)
    assert actual == reply, f'{command} answered {actual!r} and not {reply!r}'


def expect_error(client, command, text):
    try:
        actual = client.command(*command)
    except cluster.RedisError as error:
        assert str(error) == text, f'{command} answered -{error} and not -{text}'
    else:
        raise AssertionError(f'{command} answered {actual!r} and not -{text}')


def test(arguments):
    with cluster.Cluster(arguments.binary) as c:
        leader = c.start()
        for node in c.nodes:
            check_commands(node)
            check_errors(node)
            check_pipeline(node)
            check_binary(node)
            check_resp3(node)
        check_forwarding(c)
        check_reports(c, leader)
        check_redis_cli(c)
        check_terminate(c)


def check_commands(node):
    with node.client() as client:
        expect(client, ['FLUSHALL'], b'OK')
        for command, reply in [
                (['PING'], b'PONG'), (['ECHO', 'x'], b'x'), (['SELECT', 0], b'OK'),
                (['SET', 'k', 'v'], b'OK'), (['GET', 'k'], b'v'), (['SET', 'k', 'w', 'NX'], None),
                (['SET', 'k', 'w', 'XX', 'GET'], b'v'), (['SET', 'k', 'x', 'IFEQ', 'v'], None),
                (['SET', 'k', 'x', 'IFEQ', 'w'], b'OK'), (['GETDEL', 'k'], b'x'), (['GET', 'k'], None),
                (['SETNX', 'k', '1'], 1), (['SETNX', 'k', '2'], 0), (['INCR', 'n'], 1), (['INCRBY', 'n', 41], 42),
                (['DECR', 'n'], 41), (['DECRBY', 'n', 2], 39), (['APPEND', 'k', '23'], 3), (['STRLEN', 'k'], 3),
                (['MSET', 'a', 1, 'b', 2], b'OK'), (['MGET', 'a', 'x', 'b'], [b'1', None, b'2']),
                (['EXISTS', 'a', 'b', 'x'], 2), (['DBSIZE'], 4), (['KEYS', '[ab]'], None), (['DEL', 'a', 'x'], 1),
                (['SCAN', 0, 'COUNT', 100], None), (['FLUSHALL'], b'OK'), (['DBSIZE'], 0)]:
            if command[0] == 'KEYS':
                assert sorted(client.command(*command)) == [b'a', b'b']
            elif command[0] == 'SCAN':
                cursor, keys = client.command(*command)
                assert (cursor, sorted(keys)) == (b'0', [b'b', b'k', b'n'])
            else:
                expect(client, command, reply)


def check_errors(node):
    with node.client() as client:
        expect_error(client, ['FOO', 'a', 'b'], "ERR unknown command 'FOO', with args beginning with: 'a' 'b' ")
        expect_error(client, ['GET'], "ERR wrong number of arguments for 'get' command")
        expect_error(client, ['SET', 'k', 'v', 'NX', 'XX'], 'ERR syntax error')
        expect(client, ['SET', 'k', 'abc'], b'OK')
        expect_error(client, ['INCR', 'k'], 'ERR value is not an integer or out of range')
        expect_error(client, ['SELECT', 1], 'ERR DB index is out of range')
        expect(client, ['PING'], b'PONG')


def check_pipeline(node):
    """Replies come in the order of the commands, whatever kinds of commands are mixed."""
    commands, replies = [], []
    for i in range(3000):
        commands += [('SET', f'p{i % 7}', i), ('GET', f'p{i % 7}'), ('ECHO', i), ('NOSUCH',), ('STRLEN', f'p{i % 7}')]
        replies += [b'OK', str(i).encode(), str(i).encode(), None, len(str(i))]
    with node.client(60.0) as client:
        for command, actual, reply in zip(commands, client.pipeline(commands), replies):
            if reply is None:
                assert isinstance(actual, cluster.RedisError) and 'NOSUCH' in str(actual), actual
            else:
                assert actual == reply, f'{command} answered {actual!r} and not {reply!r}'


def check_binary(node):
    value = bytes(range(256)) * 4000  # a little below 1 MiB
    key = b'\x00\r\n$3\r\n\xff'
    with node.client(30.0) as client:
        expect(client, ['SET', key, value], b'OK')
        expect(client, ['GET', key], value)
        expect(client, ['GETDEL', key], value)
        expect(client, ['SET', b'', b''], b'OK')
        expect(client, ['GET', b''], b'')


def check_resp3(node):
    with node.client() as client:
        hello = client.command('HELLO', 3, 'SETNAME', 'tester')
        assert hello[b'proto'] == 3 and hello[b'server'] == b'redis', hello
        expect(client, ['CLIENT', 'GETNAME'], b'tester')
        client.send('GET', 'no-such-key')
        assert client.file.readline() == b'_\r\n'
        status = client.command('RAFT', 'STATUS')
        assert status[b'id'] == node.id and len(status[b'members']) == 3, status
        assert b'role:' in client.command('INFO')
        expect(client, ['RESET'], b'RESET')
        client.send('GET', 'no-such-key')
        assert client.file.readline() == b'$-1\r\n'
        expect(client, ['QUIT'], b'OK')
        assert client.at_end()


def check_forwarding(c):
    """What one node has acknowledged, every other one answers at once: all commands are linearizable."""
    clients = [node.client() for node in c.nodes]
    for i in range(300):
        expect(clients[i % 3], ['SET', 'shared', i], b'OK')
        expect(clients[(i + 1) % 3], ['GET', 'shared'], str(i).encode())
    for client in clients:
        client.close()


def check_reports(c, leader):
    info = leader.info()
    for field in ('role', 'term', 'leader', 'last_index', 'commit_index', 'applied_index', 'durable_index', 'keys',
                  'redis_version', 'uptime_in_seconds', 'connected_clients'):
        assert field in info, f'INFO has no {field}: {info}'
    assert (info['role'], info['leader']) == ('leader', str(leader.id)), info

    def lags():
        fields = leader.info()
        peers = [dict(p.split('=', 1) for p in fields[f'peer{n.id}'].split(',')) for n in c.nodes if n is not leader]
        return all(p['lag'] == '0' and p['reachable'] == '1' for p in peers)
    cluster.wait_for(lags, 'both peers to have lag 0 at the idle leader')
    for node in c.nodes:
        with node.client() as client:
            role = client.command('ROLE')
            assert role[0] == (b'master' if node is leader else b'slave'), role
            if node is not leader:
                assert role[2] == leader.peer_port, role
                assert node.info()['role'] == 'follower'
                expect_error(client, ['RAFT', 'REMOVE', 1],
                             f'NOTLEADER node {leader.id} with the peer address {leader.addr} is the leader: send '
                             "this command to its client port, or use the tool 'ringraft', which finds it")


def check_redis_cli(c):
    """The stock client, if there is one."""
    if shutil.which('redis-cli') is None:
        print('redis-cli is missing: not tried')
        return
    for node, protocol in zip(c.nodes, ('-2', '-3', '-3')):
        def cli(*words):
            command = ['redis-cli', '-p', str(node.port), protocol, *words]
            ran = subprocess.run(command, capture_output=True, check=True, timeout=20, text=True)
            return ran.stdout.strip()
        assert cli('SET', 'cli', 'a b') == 'OK'
        assert cli('GET', 'cli') == 'a b'
        assert cli('COMMAND', 'COUNT').isdigit()
        assert 'ERR unknown command' in cli('NOSUCH')


def check_terminate(c):
    """SIGTERM ends a process cleanly, and what it had acknowledged is there after a restart of all."""
    with c.nodes[0].client() as client:
        expect(client, ['SET', 'last', 'word'], b'OK')
    idle = c.nodes[0].client()
    for node in c.nodes:
        code = node.terminate()
        assert code == 0, f'node {node.id} ended with {code}'
    assert idle.at_end()
    for node in c.nodes:
        assert os.path.isdir(node.data)
    c.start()
    with c.nodes[1].client() as client:
        expect(client, ['GET', 'last'], b'word')


cluster.run(test, limit=120)
