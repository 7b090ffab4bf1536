# The protocol between peers, version 1. Both ends are in src/rpc.
#
# A connection begins with `Door.handshake` (or `Door.admin`, see admin.capnp). Nothing else can be called before it has
# succeeded: the session is a capability that only a successful handshake returns. Errors are sent as numbers of Errc
# (include/ringraft/errc.h) without text, so that nothing internal leaks; the receiver adds its own text.
#
# New fields are added at the end, with defaults that mean "as before". A change that an old peer must not ignore raises
# the version.
@0xb56fb22b92d27d0f;

using Cxx = import "/capnp/c++.capnp";
using Admin = import "admin.capnp";
$Cxx.namespace("ringraft::schema");

struct ClusterId {
  high @0 :UInt64;
  low @1 :UInt64;
}

# The identity of a process. `cluster` is all zero if the node does not know its cluster yet.
struct Identity {
  cluster @0 :ClusterId;
  node @1 :UInt64;
  incarnation @2 :UInt64;
  startCount @3 :UInt64;
  process @4 :UInt64;  # random, drawn at each start; 0: an older build
  earlier @5 :List(UInt64);  # `process` of the starts before, latest first; up to 32
  generation @6 :UInt64;  # 1, plus the number of recoveries from a lost quorum; 0: not known
  origin @7 :UInt64;  # of the bootstrap or recovery that began the generation, see stored.md; 0: not known, matches any
}

# The purpose of a connection. The receiver treats all alike; the lane names the connection in log lines.
enum Lane {
  control @0;  # votes and heartbeats
  data @1;     # appends with entries
  forward @2;  # commands on their way to the leader
}

struct Hello {
  version @0 :UInt32;
  from @1 :Identity;
  to @2 :UInt64;  # the node that the caller expects here
  lane @3 :Lane;
}

struct Welcome {
  errc @0 :UInt16;      # 0: accepted
  version @1 :UInt32;   # `version` and `from` are set in a refusal too, so that the caller can name both values
  from @2 :Identity;
  session @3 :Session;  # null in a refusal
}

interface Door {
  handshake @0 (hello :Hello) -> (welcome :Welcome);
  # For operators' tools.
  admin @1 (hello :Admin.AdminHello) -> (welcome :Admin.AdminWelcome);
}

struct AppendEntriesArgs {
  group @0 :UInt64;
  to @1 :UInt64;
  term @2 :UInt64;
  leaderId @3 :UInt64;  # the node at the other end of the connection
  prevIndex @4 :UInt64;
  prevTerm @5 :UInt64;
  leaderCommit @6 :UInt64;
  entries @7 :List(Data);  # encoded batches, see stored.md
  timeoutNow @8 :Bool;  # an old peer ignores it, and the transfer ends at its deadline
  generation @9 :UInt64;  # the leader's
  origin @10 :UInt64;  # the leader's
}

struct AppendEntriesResults {
  errc @0 :UInt16;
  success @1 :Bool;
  term @2 :UInt64;
  durableMatch @3 :UInt64;
  conflictIndex @4 :UInt64;
  conflictTerm @5 :UInt64;
  incarnation @6 :UInt64;  # the data directory that acknowledges
  isWitness @7 :Bool;
  priority @8 :UInt8;       # Options::election_priority
  isDiskStalled @9 :Bool;   # not to be chosen as successor now
}

struct RequestVoteArgs {
  group @0 :UInt64;
  to @1 :UInt64;
  term @2 :UInt64;
  candidateId @3 :UInt64;  # the node at the other end of the connection
  lastIndex @4 :UInt64;
  lastTerm @5 :UInt64;
  preVote @6 :Bool;
  isTransfer @7 :Bool;
}

struct RequestVoteResults {
  errc @0 :UInt16;
  voteGranted @1 :Bool;
  term @2 :UInt64;
  incarnation @3 :UInt64;  # the data directory that votes
}

struct ForwardCall {
  commands @0 :List(Data);
}

struct ForwardOutcome {
  errc @0 :UInt16;
  results @1 :List(Data);
  leaderId @2 :UInt64;  # with kNotLeader, if known
  leaderAddr @3 :Text;
}

struct ForwardArgs {
  group @0 :UInt64;
  to @1 :UInt64;
  timeoutNs @2 :Int64;
  calls @3 :List(ForwardCall);
}

struct ForwardResults {
  errc @0 :UInt16;
  leaderId @1 :UInt64;  # with kNotLeader, if known
  leaderAddr @2 :Text;
  outcomes @3 :List(ForwardOutcome);
}

# Sent by the members of a fixed list to learn each other's data directories before the cluster is bootstrapped.
struct BootstrapArgs {
  group @0 :UInt64;
  to @1 :UInt64;
}

struct BootstrapResults {
  errc @0 :UInt16;
  incarnation @1 :UInt64;
  isBootstrapped @2 :Bool;
  members @3 :Data;  # the configuration that it has recorded to bootstrap with, see stored.md; empty: none yet
}

interface Session {
  appendEntries @0 (args :AppendEntriesArgs) -> (results :AppendEntriesResults);
  requestVote @1 (args :RequestVoteArgs) -> (results :RequestVoteResults);
  forward @2 (args :ForwardArgs) -> (results :ForwardResults);
  bootstrap @3 (args :BootstrapArgs) -> (results :BootstrapResults);
}
