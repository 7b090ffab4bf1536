"""The leader is stopped with SIGTERM under load, again and again: it hands its leadership over first, nothing
acknowledged is lost or applied twice, and the pause is told."""
# hazards: A21
import cluster
import departures

LIMITS = [(50, 20)]  # milliseconds


def stop(leader):
    code = leader.terminate()
    assert code == 0, f'node {leader.id} ended with {code}'


def check(departure):
    told = [node for _, node, text in departure.events if departures.HANDS_OVER in text]
    assert told == [departure.node.id], f'one hand-over, by the node that stops, was expected: {told}'
    assert departure.elections == 1, 'a node campaigned without a request'


def test(arguments):
    departures.campaign(arguments, 'SIGTERM', arguments.stops, stop, LIMITS, check)


cluster.run(test, [('--stops', 10, 'how often'), ('--writes', 200, 'acknowledged before each stop'),
                   departures.JUDGE], limit=300)
