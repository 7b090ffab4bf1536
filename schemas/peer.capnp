# What nodes say to each other: version 1 of the protocol between peers. See src/rpc for the two ends.
#
# A connection begins with `Door.handshake` (or `Door.admin`, see admin.capnp); nothing else can be called before it has
# succeeded, since the session is a capability that only a successful handshake gives out. Numbers of Errc
# (include/ringraft/errc.h) stand for errors; no text is sent to peers, so nothing internal leaks, and the reader adds
# the text of its own version.
#
# Fields are added at the end, with defaults that mean "as before". What an old peer must not ignore raises the version.
@0xb56fb22b92d27d0f;

using Cxx = import "/capnp/c++.capnp";
using Admin = import "admin.capnp";
$Cxx.namespace("ringraft::schema");

struct ClusterId {
  high @0 :UInt64;
  low @1 :UInt64;
}

# Who a process is. All zero in `cluster`: it does not know its cluster yet.
struct Identity {
  cluster @0 :ClusterId;
  node @1 :UInt64;
  incarnation @2 :UInt64;
  startCount @3 :UInt64;
  process @4 :UInt64;  # random, made at each start; 0: an older build
  earlier @5 :List(UInt64);  # those of the starts before, the last one first; up to 32
  generation @6 :UInt64;  # 1, and one more with each recovery from a lost quorum; 0: not known
  origin @7 :UInt64;  # of which founding or recovery the generation is, see stored.md; 0: not known, taken for any
}

# What a connection is for. It changes nothing on the receiving side, but tells an operator which one is which.
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
  errc @0 :UInt16;      # 0: welcome
  version @1 :UInt32;   # these two are set in a refusal too, so that the caller can name both values
  from @2 :Identity;
  session @3 :Session;  # null in a refusal
}

interface Door {
  handshake @0 (hello :Hello) -> (welcome :Welcome);
  # For who is no node: an operator's tool.
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
  timeoutNow @8 :Bool;  # an old peer does not stand, and the leader carries on
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
  incarnation @6 :UInt64;  # whose acknowledgement it is
  isWitness @7 :Bool;
  priority @8 :UInt8;       # whom leaders hand over to
  isDiskStalled @9 :Bool;   # it takes no leadership over now
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
  incarnation @3 :UInt64;  # whose vote it is
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

# The members of a fixed list find out whose data directories they have, before there is a cluster.
struct BootstrapArgs {
  group @0 :UInt64;
  to @1 :UInt64;
}

struct BootstrapResults {
  errc @0 :UInt16;
  incarnation @1 :UInt64;
  isBootstrapped @2 :Bool;
  members @3 :Data;  # the configuration that it has written down to begin with, see stored.md; empty: none yet
}

interface Session {
  appendEntries @0 (args :AppendEntriesArgs) -> (results :AppendEntriesResults);
  requestVote @1 (args :RequestVoteArgs) -> (results :RequestVoteResults);
  forward @2 (args :ForwardArgs) -> (results :ForwardResults);
  bootstrap @3 (args :BootstrapArgs) -> (results :BootstrapResults);
}
