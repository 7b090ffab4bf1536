"""A DNS server is silent: a member's name that never resolves costs a cluster of numeric addresses nothing, also over
restarts and stops, and a node whose own name never resolves obeys SIGTERM."""
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
    check_member(arguments)


cluster.run(test, [('--shim', '', 'the shared object made of silent_dns.c')], limit=120)
