"""A cluster that grows: one --bootstrap node, a voter and a learner added by RAFT ADD, a leader that is removed."""
import cluster


def members(node):
    with node.client() as client:
        client.command('HELLO', 3)
        status = client.command('RAFT', 'STATUS')
    return None if status[b'is_joint'] else sorted(m[b'id'] for m in status[b'members'] if m[b'kind'] == b'voter')


def wait_members(nodes, ids):
    for node in nodes:
        cluster.wait_for(lambda: members(node) == ids, f'node {node.id} to have the members {ids}')


def change(node, *command):
    """RAFT ADD or REMOVE at the leader; again only as long as an earlier entry of the leader is not committed, or it
    has not heard of a majority yet."""
    def done():
        try:
            with node.client(20.0) as client:
                return client.command('RAFT', *command) == b'OK'
        except cluster.RedisError as error:
            assert 'not complete and committed' in str(error) or cluster.NO_QUORUM in str(error), error
            return False
    cluster.wait_for(done, f'RAFT {command}')


def test(arguments):
    with cluster.Cluster(arguments.binary, growing=True) as c:
        first, second, third = c.nodes
        first.start()
        first.wait_ready()
        c.wait_leader([first])
        with first.client() as client:
            assert client.command('MSET', 'a', 1, 'b', 2) == b'OK'
            for command, text in [(('ADD', 0, second.addr), "invalid ID '0'"), (('ADD', 2, 'nowhere'), 'nowhere'),
                                  (('ADD', 1, first.addr), 'member'), (('REMOVE', 7), 'member'),
                                  (('REMOVE', 'x'), "invalid ID 'x'"), (('PROMOTE', 1), 'voter already'),
                                  (('DEMOTE', 1), 'no voting member'), (('REMOVE', 1, 'IF', 999), 'index 999'),
                                  (('ADD', 9, '127.0.0.1:1'), 'has not replied')]:
                try:
                    client.command('RAFT', *command)
                    raise AssertionError(f'RAFT {command} was accepted')
                except cluster.RedisError as error:
                    assert text in str(error), error

        for node, ids in ((second, [1, 2]), (third, [1, 2, 3])):
            node.start()
            node.wait_ready()
            if node is third:  # first as a learner
                change(first, 'ADD', node.id, node.addr, 'LEARNER')
                wait_members(c.running(), [1, 2])
                change(first, 'DATA', node.id, 'third')
                change(first, 'PROMOTE', node.id)
            else:
                change(first, 'ADD', node.id, node.addr)
            wait_members(c.running(), ids)
        for node in c.nodes:
            with node.client() as client:
                assert client.command('MGET', 'a', 'b') == [b'1', b'2']
                assert client.command('SET', f'from{node.id}', 'x') == b'OK'

        # The members survive a restart with the same command lines: --bootstrap and --join count no more.
        for node in c.nodes:
            assert node.terminate() == 0
        c.start()
        wait_members(c.nodes, [1, 2, 3])

        # The leader removes itself; the two others go on.
        removed = c.wait_leader()
        others = [n for n in c.nodes if n is not removed]
        change(removed, 'REMOVE', removed.id)
        wait_members(others, [n.id for n in others])
        removed.kill()
        c.wait_leader(others)
        for node in others:
            with node.client() as client:
                assert client.command('GET', f'from{removed.id}') == b'x'
                assert client.command('SET', 'after', 'removal') == b'OK'


if __name__ == '__main__':
    cluster.run(test, limit=120)
