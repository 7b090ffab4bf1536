"""A DNS server is silent: a member's name that never resolves costs a cluster of numeric addresses nothing, also over
restarts and stops; a cluster of names that are resolved slowly elects a leader; and a node whose own name never
resolves obeys SIGTERM."""
# hazards: J1
import cluster

DEAD = 'learner.silent.example:7000'


def check_member(arguments):
    with cluster.Cluster(arguments.binary) as c:
        for node in c.nodes:
            node.env = {'LD_PRELOAD': arguments.shim}
        leader = c.start()
        with leader.client() as client:
            client.command('RAFT', 'ADD', 9, DEAD, 'LEARNER')
            for i in range(2000):
                assert client.command('SET', f'k{i}', 'x' * 1000) == b'OK'
        # The voters are restarted one after the other, and each replays and serves.
        for node in c.nodes:
            assert node.terminate() == 0
            node.start()
            node.wait_ready()
            c.wait_leader()
        for node in c.nodes:
            with node.client() as client:
                assert client.command('SET', f'after{node.id}', 'y') == b'OK'
                assert client.command('GET', 'k1999') == b'x' * 1000
        for node in c.nodes:
            assert node.terminate() == 0


def check_slow_names(arguments):
    """Look-ups that take longer than a connection may: it connects with the answer of the one before."""
    with cluster.Cluster(arguments.binary) as c:
        members = [word for n in c.nodes for word in ('--peer', f'{n.id}=node{n.id}.slow.example:{n.peer_port}')]
        c.member_arguments = lambda node: members
        for node in c.nodes:
            node.env = {'LD_PRELOAD': arguments.shim}
        with c.start().client() as client:
            assert client.command('SET', 'k', 'v') == b'OK'


def check_own_name(arguments):
    with cluster.Cluster(arguments.binary, size=1) as c:
        node = c.nodes[0]
        node.env = {'LD_PRELOAD': arguments.shim}
        node.host = 'own.silent.example'
        node.start()
        cluster.wait_for(lambda: 'was not resolved in time' in node.log(), 'a line that names the look-up')
        assert node.terminate() == 0, 'it did not stop cleanly'
        assert 'has stopped' in node.log()


def test(arguments):
    check_own_name(arguments)
    check_slow_names(arguments)
    check_member(arguments)


cluster.run(test, [('--shim', '', 'the shared object made of silent_dns.c')], limit=120)
