"""A cluster of two builds, with different versions of Cap'n Proto: it begins, serves through every node whichever build
leads, and survives that its nodes are exchanged one after the other. tests/debian13.sh makes the other build."""
# hazards: J8
import cluster


def through_all(c, count):
    """Calls through every node, and none ends unknown."""
    for node in c.nodes:
        with node.client(30.0) as client:
            for i in range(count):
                assert client.command('SET', f'n{node.id}', i) == b'OK'
                assert client.command('GET', f'n{node.id}') == str(i).encode()


def test(arguments):
    if not arguments.other:
        raise cluster.Skip('there is no other build; tests/debian13.sh makes one')
    binaries = [arguments.binary, arguments.other]
    for leads, follows in (binaries, binaries[::-1]):
        with cluster.Cluster(arguments.binary) as c:
            for node, binary in zip(c.nodes, (leads, follows, follows)):
                node.binary = binary
            c.start()
            c.make_leader(c.nodes[0])
            through_all(c, arguments.calls)
            for node in c.nodes:
                assert node.terminate() == 0
                node.binary = leads if node.binary == follows else follows
                node.start()
                node.wait_ready()
                c.wait_leader()
                through_all(c, arguments.calls // 10)
            for node in c.nodes:
                assert 'finished a call that it never sent' not in node.log()


cluster.run(test, [('--other', '', 'ringraft-kv of the other build'), ('--calls', 200, 'through each node')])
